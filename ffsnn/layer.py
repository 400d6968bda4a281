"""One fully connected LIF layer that learns alone: its weights, its local loss, its optimiser.

The current into a layer is `scale * (x @ weight)`: a row of the weights is what one input spike adds. Positive and
negative samples are copies of an image that differ in their label: copy 0 comes first, then copy 1, and so on.

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons, C classes.
"""

import math
from typing import NamedTuple, assert_never

import torch
from torch import nn
from torch.nn.functional import pad

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.goodness import GOODNESS, pair_loss, readout_loss
from ffsnn.kernels.backends import compiled
from ffsnn.neuron import LIF, lif
from ffsnn.training.optimiser import SGD, Adam, Optimiser

TILE = 16  # neurons, of which a GPU's products get a multiple: they are slow on rows that fill no tile
EPS = 1e-4  # keeps a silent input's norm away from 0


class InputCurrent(NamedTuple):
    """What drives a layer's neurons: those of sample b, of row r, with `scale[b] * (current[r] + label[which[b]])`."""

    current: torch.Tensor  # (1 or T, R, H), in the products' type; 1: the same at every time step
    label: torch.Tensor | None  # (C or 1, H) that a label adds; None: the input carries none
    which: torch.Tensor | None  # (B,) each sample's label
    scale: torch.Tensor  # (1 or T, B)


class Input(NamedTuple):
    """What a layer is shown."""

    x: torch.Tensor  # (1, R, F) intensities, or spikes (T, R, F)
    power: torch.Tensor | None = None  # (1 or T, R) its sums of squares, where they are known


class LayerOutput(NamedTuple):
    """What a layer does when it is shown an input; at length 0 what is not wanted and would cost something."""

    spikes: torch.Tensor  # (T, B, H) uint8; from a GPU in the products' type, with silent neurons up to a full tile
    rates: torch.Tensor  # (B, H) spikes / T
    goodness: torch.Tensor  # (B,)
    firing: torch.Tensor  # () spikes a neuron and time step
    power: torch.Tensor | None = None  # (T, B) sums of squared spikes, where they are known
    loss: torch.Tensor | None = None  # () the local loss, if asked for; carries a gradient


class Layer(nn.Module):
    """LIF neurons with weights (F, H), without bias; the first `labels` inputs are the label's.

    Weights start uniform in +-1/sqrt(F), as `nn.Linear`'s; with inputs of root mean square 1 the current then has a
    standard deviation of 0.58, near any sensible v_threshold.
    """

    def __init__(
        self, number: int, inputs: int, width: int, labels: int, network: NetworkConfig, learning: LearningConfig
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, width))
        self.inputs, self.labels = inputs, labels
        self.network, self.learning = network, learning
        self.neuron = LIF.of(network)
        self.goodness = GOODNESS[network.goodness]
        self.normalize = network.normalize[number] if isinstance(network.normalize, tuple) else network.normalize
        self.reads_out = learning.output == "mse" and number == len(network.widths) - 1
        self.fused = True  # take the compiled path where there is one; see `compiled`

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights in products."""
        return torch.bfloat16 if self.learning.precision == "bfloat16" else self.weight.dtype

    @property
    def _state(self) -> torch.dtype:
        """Of what is summed and of potentials."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def compiled(self) -> bool:
        """Whether this layer takes a compiled path: in float32, with a compiler for its device."""
        return self.fused and self.weight.dtype == torch.float32 and compiled(self.weight.device)

    @property
    def sums_up(self) -> bool:
        """Whether one sum over a sample's neurons is all that its goodness needs."""
        return self.goodness.statistic != "counts"

    def initialise(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.inputs)
        with torch.no_grad():
            self.weight.copy_(torch.rand(self.weight.T.shape, generator=generator).T * (2 * bound) - bound)

    def forward(
        self, seen: Input, y: torch.Tensor | None, copies: int, spikes: bool = True, rates: bool = True,
        loss: bool = False,
    ) -> LayerOutput:  # fmt: skip
        """Show an input.

        Args:
            seen: what is shown. Into the first layer all copies of a row are the same and its first inputs, the
                label's, are 0; into a deeper one R is the number of samples.
            y: (copies, R) labels, a copy a row; None: the neutral label, all C inputs at 1/C. Only the first layer
                and a loss look at it.
            copies: samples of an image, one a label.
            spikes, rates, loss: whether they are wanted. The loss is that of true labels, which make the samples of
                copy 0 positive ones, and wrong labels, which make those of copy 1 negative ones.
        """
        wanted = spikes, rates or self.reads_out or not self.sums_up
        if self.compiled and not seen.x.is_cuda:
            return self._on_cpu(seen, y, copies, *wanted, y[0] if loss and y is not None else None)
        if self.compiled:
            answer = self._on_gpu(seen, y, copies, *wanted)
        else:
            fired, counts = self._plain(self._input_current(seen, y, copies))
            rate = counts / self.network.T
            answer = LayerOutput(fired, rate, self.goodness_of(rate), rate.detach().mean())
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
        from ffsnn.kernels.lif_cpu import SpikingLayer

        T = self.network.T
        loss_of: loss_gradients.LossOf | None = None
        if self.labels:
            arriving = sparse_input.of_images(seen.x, self.labels, y, copies, self.network.label_amplitude)
        else:
            arriving = sparse_input.of_spikes(seen.x, copies)
        if true is not None and self.reads_out:
            loss_of = loss_gradients.ReadoutLoss(true.numpy(), T)
        elif true is not None and self.sums_up and self.learning.loss in loss_gradients.COMPILED:
            squared = self.goodness.statistic == "squares"
            loss_of = loss_gradients.PairLoss(self.learning, squared, self._unit)
        elif true is not None:
            loss_of = loss_gradients.ByAutograd(self._loss_of_counts)
        weight = (self.weight if torch.is_grad_enabled() else self.weight.detach()).to(self.dtype)
        fired, total, squares, counts, loss = SpikingLayer.apply(
            weight, arriving, self._scale(arriving.power), T, self.neuron, spikes, loss_of
        )
        rate, firing = counts / T if rates else counts[:0], total.mean() / (T * weight.shape[1])
        goodness = self._goodness(total, squares, counts)
        return LayerOutput(fired, rate, goodness, firing, loss=loss if true is not None else None)

    def _on_gpu(self, seen: Input, y: torch.Tensor | None, copies: int, spikes: bool, rates: bool) -> LayerOutput:
        from ffsnn.kernels.lif_triton import SpikingNeurons, Wanted  # triton is needed on this path alone

        T, H = self.network.T, self.weight.shape[1]
        input_current = self._input_current(seen, y, copies, TILE)
        fired, power, counts, total, squares = SpikingNeurons.apply(
            *input_current, T, self.neuron, Wanted(spikes, rates)
        )
        firing = total.detach().mean() / (T * H)
        goodness = self._goodness(total, squares, counts[:, :H])
        return LayerOutput(fired, counts[:, :H] / T, goodness, firing, power)

    def _input_current(self, seen: Input, y: torch.Tensor | None, copies: int, tile: int = 1) -> InputCurrent:
        """The layer as a matrix product, of an image once for all its copies; with silent neurons up to a full tile."""
        (x, power), weight = seen, self.weight
        labels, amplitude, state = self.labels, self.network.label_amplitude, self._state
        numbers = x.to(self.dtype)
        if power is None and x.dtype == torch.uint8:  # exact in any type, and a GPU adds up bytes slowly
            power = numbers.sum(-1, dtype=state)
        elif power is None:
            power = torch.linalg.vector_norm(x, dim=-1, dtype=state).square()
        padded = pad(weight, (0, -weight.shape[1] % tile, 0, x.shape[-1] - weight.shape[0]))
        begin = labels if tile == 1 else 0  # rows that do not begin at a tile are slower than inputs that are 0
        current = numbers[..., begin:] @ padded[begin:].to(self.dtype)
        if not labels:
            return InputCurrent(current, None, None, self._scale(power))
        if y is None:
            neutral = torch.zeros(copies * x.shape[1], dtype=torch.int64, device=x.device)
            label, which, power = padded[:labels].mean(0, keepdim=True), neutral, power + amplitude**2 / labels
        else:
            label, which, power = padded[:labels], y.flatten(), power + amplitude**2
        return InputCurrent(current, amplitude * label, which, self._scale(power).repeat(1, copies))

    def _plain(self, input_current: InputCurrent) -> tuple[torch.Tensor, torch.Tensor]:
        """By SpikingJelly's LIF: for float64, where nothing is compiled, and to be compared with."""
        current, label, which, scale = input_current
        current = current.to(self._state)
        if label is not None and which is not None:
            current = current.repeat(1, len(which) // current.shape[1], 1) + label[which]
        return lif(self.neuron, self.network.T, current * scale[:, :, None])

    def _scale(self, power: torch.Tensor) -> torch.Tensor:
        """What brings inputs with these sums of squares to a root mean square of 1."""
        if not self.normalize:
            return torch.ones_like(power)
        scale: torch.Tensor = math.sqrt(self.inputs) / (power.sqrt() + EPS)
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
        """The same as `goodness_of`, of samples' sums of counts and of squared counts (B,), or of the counts (B, H)."""
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
        return pair_loss(self.learning, *self.goodness_of(counts / self.network.T).chunk(2))

    def local_loss(self, answer: LayerOutput, y: torch.Tensor) -> torch.Tensor:
        """The loss of an answer to positive samples and, behind them, negative ones.

        Args:
            answer: to 2R samples.
            y: (R,) true labels; a layer that reads out learns them from positive and negative samples alike.
        """
        if self.reads_out:
            return readout_loss(answer.rates, y.repeat(2))
        return pair_loss(self.learning, *answer.goodness.chunk(2))

    def optimiser(self) -> Optimiser:
        if self.learning.optimiser == "sgd":
            return SGD(self.weight, self.learning)
        return Adam(self.weight, self.learning, self.compiled)
