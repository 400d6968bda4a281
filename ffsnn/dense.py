"""A fully connected layer of LIF neurons: the current into it, its compiled and its plain path, its local loss.

The current into a layer is `scale * (x @ weight)`: a row of the weights is what one input spike adds.

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons, C classes.
"""

import math
from typing import NamedTuple, assert_never

import torch
from torch import nn
from torch.nn.functional import pad

from ffsnn.config import LearningConfig, NetworkConfig, RunConfig
from ffsnn.config.run import OPTIONAL_FOR_LAYERS
from ffsnn.kernels.backends import compiled
from ffsnn.layer import TILE, Input, LayerOutput, SteppedLayer, register
from ffsnn.learned import LearnedNeurons
from ffsnn.neuron import LIF, lif, lif_step
from ffsnn.parts.losses import goodness_loss, readout_loss, with_rate_penalty
from ffsnn.parts.registry import ENCODERS, FEATURES, GOODNESS, LOSSES, SURROGATES
from ffsnn.shapes import LayerShape
from ffsnn.training.optimiser import SGD, Adam, Joint, Optimiser

EPS = 1e-4  # keeps a silent input's norm away from 0


class InputCurrent(NamedTuple):
    """The current into a layer: in sample b of row r it is `scale[b] * (current[r] + label[label_index[b]])`; behind
    the first layer each sample has a row of its own."""

    current: torch.Tensor  # (1 or T, R, H), in the products' type; 1: the same at every time step
    label: torch.Tensor | None  # (C or 1, H) that a label adds; None: the input carries none
    label_index: torch.Tensor | None  # (B,) each sample's label
    scale: torch.Tensor  # (1 or T, B)


class DenseLayer(SteppedLayer):
    """LIF neurons with weights (F, H), without bias; the first `labels` inputs are the label's.

    Weights start uniform in +-1/sqrt(F), as `nn.Linear`'s; with inputs of root mean square 1 the current then has a
    standard deviation of 0.58, near any sensible v_threshold.
    """

    def __init__(self, number: int, shape: LayerShape, network: NetworkConfig, learning: LearningConfig) -> None:
        super().__init__()
        self.shape, inputs, width, labels = shape, shape.inputs, shape.width, shape.labels
        self.weight = nn.Parameter(torch.empty(inputs, width))
        self.inputs, self.labels = inputs, labels
        self.shares_images = number == 0 and labels > 0  # the copies of an image come in as one row
        self.network, self.learning = network, learning
        self.neuron = LIF.of(network)
        self.goodness = GOODNESS[network.goodness]
        self.normalize = network.normalized_layers[number]
        self.reads_out = learning.output == "mse" and number == len(network.widths) - 1
        self.learned = LearnedNeurons(network, width) if network.learn != "none" else None
        self.fused = True  # take the compiled path where there is one; see `compiled`

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights in matrix products."""
        return torch.bfloat16 if self.learning.precision == "bfloat16" else self.weight.dtype

    @property
    def _state(self) -> torch.dtype:
        """Type of sums and of membrane potentials."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def compiled(self) -> bool:
        """True where a compiled path is taken: in float32, with a compiler for the device and a compiled surrogate."""
        known = SURROGATES[self.network.surrogate].compiled and self.weight.dtype == torch.float32
        if self.learned is not None and self.weight.is_cuda:  # the GPU's kernels take one value for all neurons
            return False
        return self.fused and known and compiled(self.weight.device)

    @property
    def _own(self) -> torch.Tensor | None:
        """Leak, gain and v_threshold of each neuron, (3, H), where some of it is learned."""
        if self.learned is None:
            return None
        own: torch.Tensor = self.learned()
        return own

    def learned_words(self) -> str:
        return "" if self.learned is None else self.learned.words()

    @property
    def sums_up(self) -> bool:
        """True where goodness needs one sum over a sample's neurons and no more."""
        return self.goodness.statistic != "counts"

    def initialise(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.inputs)
        with torch.no_grad():
            self.weight.copy_(torch.rand(self.weight.T.shape, generator=generator).T * (2 * bound) - bound)

    def forward(
        self, seen: Input, y: torch.Tensor | None, copies: int, spikes: bool = True, rates: bool = True,
        loss: bool = False,
    ) -> LayerOutput:  # fmt: skip
        wanted = spikes, rates or self.reads_out or not self.sums_up
        if self.compiled and not seen.x.is_cuda:
            return self._on_cpu(seen, y, copies, *wanted, y[0] if loss and y is not None else None)
        if self.compiled:
            answer = self._on_gpu(seen, y, copies, *wanted)
        else:
            fired, counts = lif(self.neuron, self.network.T, self.current(seen, y, copies), self._own)
            rate = counts / self.network.T
            answer = LayerOutput(fired, rate, self.goodness_of(rate), rate.mean())
        if not loss or y is None:
            return answer
        return answer._replace(loss=self.local_loss(answer, y[0]))

    def _on_cpu(
        self,
        seen: Input,
        y: torch.Tensor | None,
        copies: int,
        spikes: bool,
        rates: bool,
        true: torch.Tensor | None,
    ) -> LayerOutput:
        from ffsnn.kernels import loss_gradients, sparse_input  # numba is needed on this path alone
        from ffsnn.kernels.lif_cpu import SpikingLayer, compile_once

        if self.learned is not None:
            compile_once(own=True)
        T = self.network.T
        local: loss_gradients.LossOf | None = None
        amplitude = self.network.label_amplitude
        if self.shares_images:
            arriving = sparse_input.of_images(seen.x, self.labels, y, copies, amplitude, self.shape.matrix_inputs)
        else:
            arriving = sparse_input.of_spikes(seen.x, copies, self.labels, y, amplitude)
        if true is not None and self.reads_out:
            local = loss_gradients.ReadoutLoss(true.numpy(), T)
        elif true is not None and self.sums_up and LOSSES[self.learning.loss].compiled:
            squared = self.goodness.statistic == "squares"
            local = loss_gradients.GoodnessLoss(self.learning, squared, self._unit)
        elif true is not None:
            local = loss_gradients.ByAutograd(self._loss_of_counts, copies)
        loss_of = loss_gradients.RatePenalty(local, self.learning, T) if local and self.learning.rate_penalty else local
        weight = (self.weight if torch.is_grad_enabled() else self.weight.detach()).to(self.dtype)
        fired, total, squares, counts, loss = SpikingLayer.apply(
            weight, arriving, self.input_scale(arriving.squared_norm), T, self.neuron, spikes, loss_of, self._own
        )
        rate, firing = counts / T if rates else counts[:0], total.mean() / (T * weight.shape[1])
        goodness = self._goodness(total, squares, counts)
        return LayerOutput(fired, rate, goodness, firing, loss=loss if true is not None else None)

    def _on_gpu(self, seen: Input, y: torch.Tensor | None, copies: int, spikes: bool, rates: bool) -> LayerOutput:
        from ffsnn.kernels.lif_triton import SpikingNeurons, Wanted  # triton is needed on this path alone

        T, H = self.network.T, self.weight.shape[1]
        input_current = self._input_current(seen, y, copies, TILE)
        fired, squared_norm, counts, total, squares = SpikingNeurons.apply(
            *input_current, T, self.neuron, Wanted(spikes, rates)
        )
        firing = total.mean() / (T * H)
        goodness = self._goodness(total, squares, counts[:, :H])
        return LayerOutput(fired, counts[:, :H] / T, goodness, firing, squared_norm)

    def _input_current(self, seen: Input, y: torch.Tensor | None, copies: int, tile: int = 1) -> InputCurrent:
        """The layer as a matrix product, of an image once for all its copies; with silent neurons up to a full tile."""
        (x, squared_norm), weight = seen, self.weight
        labels, amplitude, state = self.labels, self.network.label_amplitude, self._state
        numbers = x.to(self.dtype)
        if squared_norm is None and x.dtype == torch.uint8:  # exact in any type, and a GPU adds up bytes slowly
            squared_norm = numbers.sum(-1, dtype=state)
        elif squared_norm is None:
            squared_norm = torch.linalg.vector_norm(x, dim=-1, dtype=state).square()
        padded = pad(weight, (0, -weight.shape[1] % tile, 0, x.shape[-1] - weight.shape[0]))
        begin = labels if tile == 1 else 0  # rows that do not begin at a tile are slower than inputs that are 0
        current = numbers[..., begin:] @ padded[begin:].to(self.dtype)
        if not labels:
            return InputCurrent(current, None, None, self.input_scale(squared_norm))
        repeated = copies if self.shares_images else 1
        if y is None:
            neutral = torch.zeros(repeated * x.shape[1], dtype=torch.int64, device=x.device)
            label, label_index = padded[:labels].mean(0, keepdim=True), neutral
            squared_norm = squared_norm + amplitude**2 / labels
        else:
            label, label_index, squared_norm = padded[:labels], y.flatten(), squared_norm + amplitude**2
        return InputCurrent(current, amplitude * label, label_index, self.input_scale(squared_norm).repeat(1, repeated))

    def current(self, seen: Input, y: torch.Tensor | None, copies: int) -> torch.Tensor:
        """Current (1 or T, B, H) of the plain path: for float64, where nothing is compiled, and as a reference."""
        current, label, label_index, scale = self._input_current(seen, y, copies)
        current = current.to(self._state)
        if label is not None and label_index is not None:
            current = current.repeat(1, len(label_index) // current.shape[1], 1) + label[label_index]
        return current * scale[:, :, None]

    def fire(self, current: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return lif_step(self.neuron, current, v, self._own)

    def input_scale(self, squared_norm: torch.Tensor) -> torch.Tensor:
        """Factor that brings inputs with these sums of squares to a root mean square of 1."""
        if not self.normalize:
            return torch.ones_like(squared_norm)
        scale: torch.Tensor = math.sqrt(self.inputs) / (squared_norm.sqrt() + EPS)
        return scale

    def goodness_of(self, rate: torch.Tensor) -> torch.Tensor:
        """Goodness (B,) of rates (B, H), or of the counts behind them."""
        activity = rate * self.network.T if self.network.activity == "count" else rate
        return self.goodness.of(activity)

    @property
    def _unit(self) -> float:
        """Goodness of a sum of counts, or of squared counts, that is 1."""
        count = 1 if self.network.activity == "count" else self.network.T
        return 1.0 / (float(count) ** self.goodness.power * self.weight.shape[1])

    def _goodness(self, total: torch.Tensor, squares: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Goodness from samples' sums of counts and of squared counts (B,), or from the counts (B, H)."""
        match self.goodness.statistic:
            case "squares":
                return self._unit * squares
            case "total":
                return self._unit * total
            case "counts":
                return self.goodness_of(counts / self.network.T)
            case other:
                assert_never(other)

    def _loss_of_counts(self, counts: torch.Tensor) -> torch.Tensor:
        """The loss of positive samples and, behind them, negative ones, from their counts (B, H)."""
        return goodness_loss(self.learning, self.goodness_of(counts / self.network.T))

    def local_loss(self, answer: LayerOutput, y: torch.Tensor) -> torch.Tensor:
        """The loss of an answer to positive samples and, behind them, negative ones.

        Args:
            answer: to R positive samples and, behind them, the negative ones.
            y: (R,) true labels; a layer that reads out learns them from positive and negative samples alike.
        """
        if self.reads_out:
            loss = readout_loss(answer.rates, y.repeat(self.learning.copies))
        else:
            loss = goodness_loss(self.learning, answer.goodness)
        return with_rate_penalty(self.learning, loss, answer.firing)

    def optimiser(self) -> Optimiser:
        weights = self._optimiser_of(self.weight, self.learning)
        if self.learned is None:
            return weights
        learning = self.learning.model_copy(update={"weight_decay": 0.0})
        return Joint(weights, {name: self._optimiser_of(it, learning) for name, it in self.learned.named_parameters()})

    def _optimiser_of(self, parameter: nn.Parameter, learning: LearningConfig) -> Optimiser:
        if learning.optimiser == "sgd":
            return SGD(parameter, learning)
        return Adam(parameter, learning, self.compiled)


def shapes(config: RunConfig) -> list[LayerShape]:
    """Fully connected layers of `network.widths` neurons, the first one first."""
    facts, network, encoder = config.data.facts, config.network, ENCODERS[config.network.encoder]
    inputs = facts.inputs + (facts.classes if network.label == "appended" else 0)
    features = FEATURES[network.features].count(facts.shape)
    inputs += features
    matrix_inputs = inputs - facts.classes if encoder.dense else features
    found = []
    for number, width in enumerate(network.widths):
        constant = encoder.constant and (network.between == "rate" if number else not facts.temporal)
        varying = encoder.constant and number == 0 and facts.time == "series"
        labels = facts.classes if number == 0 or network.label_layers == "every" else 0
        inputs += labels if number else 0
        found.append(LayerShape(inputs, width, labels, constant, inputs * width, width, matrix_inputs, varying))
        inputs, matrix_inputs = width, 0
    return found


def _build(number: int, shape: LayerShape, config: RunConfig) -> DenseLayer:
    return DenseLayer(number, shape, config.network, config.learning)


register("dense", shapes, _build, supports=OPTIONAL_FOR_LAYERS)
