"""A layer of spiking neurons that learns alone: what the network, the trainer and all that looks at them rely on.

A kind of layer is one file: a subclass of `Layer`, a function that gives the shapes of its layers, and
`register(name, shapes, build)`; `network.layer` names it. What it needs to know besides stands in `network.options`, by
a model of its own. Fully connected layers are in `ffsnn/dense.py`, convolutional ones in `examples/conv_layer.py`.

Positive and negative samples are copies of an image that differ in their label: copy 0 comes first, then copy 1, ...

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from ffsnn.config import RunConfig
from ffsnn.parts.registry import LAYERS
from ffsnn.shapes import LayerShape
from ffsnn.training.optimiser import Optimiser
from ffsnn.validation import Config

TILE = 16  # neurons, of which a GPU's products get a multiple: they are slow on rows that fill no tile


class Input(NamedTuple):
    """The input of a layer."""

    x: torch.Tensor  # (1 or T, R, F) intensities; 1: the same at every time step; or spikes (T, R, F)
    squared_norm: torch.Tensor | None = None  # (1 or T, R) sums of squares of x, where they are known

    def thinned(self, copies: int, share: float, generator: torch.Generator) -> "Input":
        """Dropout of a share of the neurons, drawn for each image: all time steps and copies lack the same ones.

        Nothing is made up for them, since the layer that sees them brings its inputs to one root mean square
        (Srivastava et al. 2014).
        """
        rows, neurons = self.x.shape[1:]
        drawn = torch.rand(rows // copies, neurons, generator=generator, device=self.x.device)
        return Input(self.x * (drawn >= share).to(self.x.dtype).repeat(copies, 1))


class LayerOutput(NamedTuple):
    """The response of a layer to an input; a tensor that was not asked for and would cost something has length 0."""

    spikes: torch.Tensor  # (T, B, H) uint8; from a GPU in the products' type, with silent neurons up to a full tile
    rates: torch.Tensor  # (B, H) spikes / T
    goodness: torch.Tensor  # (B,)
    firing: torch.Tensor  # () spikes a neuron and time step; may carry a gradient
    squared_norm: torch.Tensor | None = None  # (T, B) sums of squares of the spikes, where they are known
    loss: torch.Tensor | None = None  # () the local loss, if asked for; carries a gradient


class Layer(nn.Module, ABC):
    """Neurons, the weights into them, and their local loss.

    Attributes:
        shape: its own.
        reads_out: it learns the label by squared error, and has no goodness to speak of.
        compiled: it takes a compiled path now.
    """

    shape: LayerShape
    reads_out: bool

    @property
    @abstractmethod
    def compiled(self) -> bool: ...

    @abstractmethod
    def initialise(self, generator: torch.Generator) -> None:
        """Draw the weights."""

    @abstractmethod
    def forward(
        self, seen: Input, y: torch.Tensor | None, copies: int, spikes: bool = True, rates: bool = True,
        loss: bool = False,
    ) -> LayerOutput:  # fmt: skip
        """Show an input.

        Args:
            seen: what is shown; its first inputs, where they are the label's, are 0. Into the first layer all copies
                of a row are the same; into a deeper one R is the number of samples.
            y: (copies, images) labels, a copy a row; None: the neutral label, all C inputs at 1/C. Only a layer that
                sees the label and a loss look at it.
            copies: samples of an image, one a label.
            spikes, rates, loss: whether they are wanted. The loss is that of true labels, which make the samples of
                copy 0 positive ones, and wrong labels, which make those of the others negative ones.
        """

    @abstractmethod
    def optimiser(self) -> Optimiser:
        """A new optimiser of its weights."""

    def learned_words(self) -> str:
        """Values that its neurons have learned beside weights, in words; empty: none."""
        return ""

    def weight_sum(self) -> torch.Tensor:
        """The sum of all weights, (): not finite once one of them is not."""
        first, *rest = (parameter.detach().sum() for parameter in self.parameters())
        return sum(rest, first)


class SteppedLayer(Layer):
    """A layer that can be shown an input step by step, its membrane potentials carried by whoever shows it."""

    @abstractmethod
    def current(self, seen: Input, y: torch.Tensor | None, copies: int) -> torch.Tensor:
        """Current into the neurons, (1 or T, B, H); 1: the same at every time step. Arguments as of `forward`."""

    @abstractmethod
    def fire(self, current: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Spikes (B, H) of one step with a current (B, H) from membrane potentials (B, H), and those after it."""


@dataclass(frozen=True)
class LayerKind:
    """A kind of layer: the function for its shapes, and the one that builds a layer."""

    shapes: Callable[[RunConfig], list[LayerShape]]
    build: Callable[[int, LayerShape, RunConfig], Layer]  # of the layer's number
    options: type[Config] | None = None  # the model of `network.options`, if it has some
    supports: tuple[str, ...] = ()  # fields of `OPTIONAL_FOR_LAYERS` that it implements; others stay at their defaults


def register(
    name: str,
    shapes: Callable[[RunConfig], list[LayerShape]],
    build: Callable[[int, LayerShape, RunConfig], Layer],
    options: type[Config] | None = None,
    supports: tuple[str, ...] = (),
) -> None:
    """Make a kind of layer one that a configuration can name in `network.layer`; arguments as of `LayerKind`."""
    LAYERS.add(name, LayerKind(shapes, build, options, supports))
