r"""A kind of layer of one's own: convolutional LIF layers, then the fully connected ones of `network.widths`.

    ffsnn train --use examples/conv_layer.py --layer conv --options.channels "[16]" --options.kernel 5 --widths "[200]"

The label stands in place of the image's first C pixels, as in a dense network, and reaches every neuron of the first
layer: a weight for each label and channel, the same at every position. A kernel that only saw the label's pixels as
pixels would tell labels apart in one corner, where no image is.

On 10,000 images of MNIST it comes to 89.5 % of the validation images after 5 epochs, and a dense network of 500-500 to
91.0 %, ten and more times faster (seed 0; neither was tuned):

    ffsnn train --dataset mnist --train_images 10000 --epochs 5 --batch-size 256 --lr 0.003 --widths "[500,500]"
    ffsnn train --dataset mnist --train_images 10000 --epochs 5 --batch-size 256 --lr 0.003 --widths "[200]" \
        --use examples/conv_layer.py --layer conv --options.channels "[16]" --options.kernel 5

Neurons are SpikingJelly's, gradients autograd's (`ffsnn.neuron.lif`), on a CPU as on a GPU. Every convolutional layer
scales its input to a root mean square of 1.

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons (channels x side x side), C classes.
"""

import math
from itertools import pairwise

import torch
from pydantic import Field, field_validator
from torch import nn
from torch.nn.functional import conv2d

from ffsnn.config import RunConfig
from ffsnn.dense import EPS, DenseLayer
from ffsnn.layer import Input, Layer, LayerOutput, register
from ffsnn.neuron import LIF, lif
from ffsnn.parts.losses import goodness_loss, with_rate_penalty
from ffsnn.parts.registry import ENCODERS, GOODNESS
from ffsnn.shapes import LayerShape
from ffsnn.training.optimiser import SGD, Adam, Optimiser
from ffsnn.validation import Config, ConfigError


class Options(Config):
    """`network.options` of layer `conv`."""

    channels: tuple[int, ...] = Field((16,), min_length=1, description="of each convolutional layer")
    kernel: int = Field(5, ge=1, description="side of the kernels, in pixels")
    stride: int = Field(2, ge=1, description="pixels from one neuron to the next")

    @field_validator("kernel")
    @classmethod
    def _is_odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"must be odd, to have a middle, but got {kernel}")
        return kernel


class ConvLayer(Layer):
    """Channels of LIF neurons. Its weights are one matrix (labels + channels before x kernel^2, channels)."""

    reads_out = False
    compiled = False

    def __init__(self, number: int, shape: LayerShape, config: RunConfig) -> None:
        super().__init__()
        self.shape, self.network, self.learning = shape, config.network, config.learning
        self.options, self.neuron = Options(**config.network.options), LIF.of(config.network)
        self.seen = sizes(config)[number]
        self.goodness = GOODNESS[config.network.goodness]
        fan_in = self.seen[0] * self.options.kernel**2
        self.weight = nn.Parameter(torch.empty(shape.labels + fan_in, self.options.channels[number]))

    def initialise(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(len(self.weight))
        with torch.no_grad():
            self.weight.copy_((2 * torch.rand(self.weight.shape, generator=generator) - 1) * bound)

    def forward(
        self, seen: Input, y: torch.Tensor | None, copies: int, spikes: bool = True, rates: bool = True,
        loss: bool = False,
    ) -> LayerOutput:  # fmt: skip
        x, labels = seen.x.to(self.weight.dtype), self.shape.labels
        squared_norm = x.square().sum(-1)  # (1 or T, R)
        current = self._convolved(x)  # (1 or T, R, channels, positions)
        if labels:
            amplitude, label_weight = self.network.label_amplitude, self.weight[:labels]
            added = label_weight.mean(0).expand(copies * x.shape[1], -1) if y is None else label_weight[y.flatten()]
            current = current.repeat(1, copies, 1, 1) + amplitude * added[:, :, None]
            squared_norm = squared_norm.repeat(1, copies) + amplitude**2 / (labels if y is None else 1)
        scale = math.sqrt(self.shape.inputs) / (squared_norm.sqrt() + EPS)
        fired, counts = lif(self.neuron, self.network.T, current.flatten(2) * scale[:, :, None])
        rate = counts / self.network.T
        good = self.goodness.of(counts if self.network.activity == "count" else rate)
        answer = LayerOutput(fired, rate, good, rate.mean())
        if not loss:
            return answer
        return answer._replace(loss=with_rate_penalty(self.learning, goodness_loss(self.learning, good), answer.firing))

    def _convolved(self, x: torch.Tensor) -> torch.Tensor:
        size = self.options.kernel
        kernels = self.weight[self.shape.labels :].T.reshape(-1, self.seen[0], size, size)
        images = x.reshape(-1, *self.seen)
        return (
            conv2d(images, kernels, stride=self.options.stride, padding=size // 2).flatten(2).unflatten(0, x.shape[:2])
        )

    def optimiser(self) -> Optimiser:
        if self.learning.optimiser == "sgd":
            return SGD(self.weight, self.learning)
        return Adam(self.weight, self.learning, compiled=False)


def sizes(config: RunConfig) -> list[tuple[int, int, int]]:
    """Channels, height and width of each convolutional layer's input, and of the last one's output."""
    options = Options(**config.network.options)
    found = [config.data.facts.shape]
    for channels in options.channels:
        height, width = ((side - 1) // options.stride + 1 for side in found[-1][1:])
        found.append((channels, height, width))
    return found


def shapes(config: RunConfig) -> list[LayerShape]:
    """The convolutional layers, then the dense ones."""
    facts, network, options = config.data.facts, config.network, Options(**config.network.options)
    if network.label == "appended":
        raise ConfigError("layer='conv' takes the label in place, but got label='appended': take label='in_place'")
    encoder, size, found = ENCODERS[network.encoder], options.kernel, list[LayerShape]()
    seen = sizes(config)
    for before, after in pairwise(seen):
        labels, constant = (0, network.between == "rate") if found else (facts.classes, not facts.temporal)
        weights = (labels + before[0] * size**2) * after[0]
        reached = round(after[0] * (size / options.stride) ** 2)  # by an input that is not at the border
        constant, inputs = constant and encoder.constant, math.prod(before)
        found.append(LayerShape(inputs, math.prod(after), labels, constant, weights, reached))
    inputs = math.prod(seen[-1])
    for width in network.widths:
        constant = encoder.constant and network.between == "rate"
        found.append(LayerShape(inputs, width, 0, constant, inputs * width, width))
        inputs = width
    return found


def build(number: int, shape: LayerShape, config: RunConfig) -> Layer:
    """A convolutional layer, or behind those a dense one, whose number is its place in `network.widths`."""
    convolutional = len(Options(**config.network.options).channels)
    if number < convolutional:
        return ConvLayer(number, shape, config)
    return DenseLayer(number - convolutional, shape, config.network, config.learning)


register("conv", shapes, build, Options, supports=("learning.rate_penalty",))
