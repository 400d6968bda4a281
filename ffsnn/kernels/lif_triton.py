"""LIF neurons over T time steps on a GPU, forward and backward one Triton kernel each.

A step of a neuron is a handful of operations, so what costs is memory. Forward visits a neuron once for all T steps,
its potential in a register; it writes spikes in the type of the next layer's products, and adds up what a layer's
goodness is made of, so that nothing as large as a layer's counts passes through memory where nobody asks for them. A
layer's loss depends on its spikes through their counts alone, so dL/ds is the same at every time step, and backward
needs nothing but the current and dL/dgoodness: it charges the neurons anew, then walks back through their potentials
(Neftci et al. 2019, arXiv 1901.09948, section "surrogate gradients"; the derivatives are SpikingJelly's,
`ffsnn.parts.surrogates`).

What the copies of an image share stays shared: the current comes by rows, and a sample's label and scale are applied
as it is loaded. Where it is constant it is loaded once for all steps.

Legend: T time steps, R rows (images), B samples = copies x R (sample b shares row b % R), H neurons, C labels, P pieces
of a sample's neurons, one a program.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# (Triton gives the kernels' arguments their types.)

from functools import cache
from typing import Any, NamedTuple

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from ffsnn.neuron import LIF

BLOCK = 512  # neurons of a sample that a program takes at most
PROGRAMS = 8  # of the backward kernel on each multiprocessor


@triton.jit
def _label_current(label, label_index, lane, H, inside, LABELLED: tl.constexpr):
    """Current that a sample's label adds."""
    if LABELLED:
        return tl.load(label + tl.load(label_index) * H + lane, mask=inside, other=0.0)
    else:
        return 0.0


@triton.jit
def _derivative(x, alpha, SURROGATE: tl.constexpr):
    """Surrogate derivative of a spike whose potential is x above the threshold, as SpikingJelly defines it."""
    if SURROGATE == "atan":
        z = 1.5707963267948966 * alpha * x
        return 0.5 * alpha / (1.0 + z * z)
    elif SURROGATE == "sigmoid":
        e = tl.exp(-alpha * tl.abs(x))
        return alpha * e / ((1.0 + e) * (1.0 + e))
    elif SURROGATE == "piecewise_quadratic":
        return tl.maximum(alpha - alpha * alpha * tl.abs(x), 0.0)
    elif SURROGATE == "piecewise_exp":
        return 0.5 * alpha * tl.exp(-alpha * tl.abs(x))
    elif SURROGATE == "soft_sign":
        z = 1.0 / alpha + tl.abs(x)
        return 0.5 / (alpha * z * z)
    elif SURROGATE == "super_spike":
        z = 1.0 + tl.abs(x)
        return alpha / (z * z)
    else:
        tl.static_assert(SURROGATE == "erf")
        z = alpha * x
        return 0.5641895835477563 * alpha * tl.exp(-z * z)


@triton.jit
def _forward(
    current, label, label_index, scale, spikes, fired, counts, total, squares, T, R, H, leak, threshold,
    CONSTANT: tl.constexpr, LABELLED: tl.constexpr, HARD: tl.constexpr, SPIKES: tl.constexpr, COUNTS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A program takes up to BLOCK neurons of a sample: axis 0 counts the samples, axis 1 the pieces."""
    B, sample = tl.num_programs(0), tl.cast(tl.program_id(0), tl.int64)
    lane = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = lane < H
    row = current + sample % R * H + lane
    added = _label_current(label, label_index + sample, lane, H, inside, LABELLED)
    x = tl.load(row, mask=inside, other=0.0).to(tl.float32) + added
    g = tl.load(scale + sample)
    v = tl.full([BLOCK], 0.0, tl.float32)
    count = tl.full([BLOCK], 0.0, tl.float32)
    for t in range(T):
        h = leak * v + g * x
        spike = tl.where((h >= threshold) & inside, 1.0, 0.0)
        v = tl.where(h >= threshold, 0.0 if HARD else h - threshold, h)
        count += spike
        if SPIKES:
            place = tl.cast(t, tl.int64) * B + sample
            tl.store(spikes + place * H + lane, spike, mask=inside)
            tl.store(fired + tl.program_id(1) * T * B + place, tl.sum(spike))
        if not CONSTANT:
            after = tl.cast(t, tl.int64) + 1
            x = tl.load(row + after * R * H, mask=inside & (after < T), other=0.0).to(tl.float32) + added
            g = tl.load(scale + after * B + sample, mask=after < T, other=0.0)
    if COUNTS:
        tl.store(counts + sample * H + lane, count, mask=inside)
    tl.store(total + tl.program_id(1) * B + sample, tl.sum(count))
    tl.store(squares + tl.program_id(1) * B + sample, tl.sum(count * count))


@triton.jit
def _backward(
    current, label, label_index, scale, d_counts, d_total, d_squares, d_current, d_label, potential, pieces, copies, T,
    R, H, leak, threshold, alpha, CONSTANT: tl.constexpr, LABELLED: tl.constexpr, HARD: tl.constexpr,
    DETACH: tl.constexpr, SURROGATE: tl.constexpr, COUNTS: tl.constexpr, TOTAL: tl.constexpr, SQUARES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A program takes every so many'th piece of a row, and of each all copies, for they share its gradient.

    It writes how far each potential lay above the threshold into a piece of memory of its own. There are only as many
    programs as run at once, and they use their pieces again and again, so what is read back is still in the
    second-level cache.
    """
    kept = potential + tl.cast(tl.program_id(0), tl.int64) * T * BLOCK + tl.arange(0, BLOCK)
    B = tl.cast(copies, tl.int64) * R
    for piece in range(tl.program_id(0), R * pieces, tl.num_programs(0)):
        row = tl.cast(piece // pieces, tl.int64)
        lane = piece % pieces * BLOCK + tl.arange(0, BLOCK)
        inside = lane < H
        at = row * H + lane
        d_shared = tl.full([BLOCK], 0.0, tl.float32)
        for copy in range(copies):
            sample = tl.cast(copy, tl.int64) * R + row
            added = _label_current(label, label_index + sample, lane, H, inside, LABELLED)
            x = tl.load(current + at, mask=inside, other=0.0).to(tl.float32) + added
            g = tl.load(scale + sample)
            v = tl.full([BLOCK], 0.0, tl.float32)
            count = tl.full([BLOCK], 0.0, tl.float32)
            for t in range(T):
                h = leak * v + g * x
                tl.store(kept + t * BLOCK, h - threshold)
                v = tl.where(h >= threshold, 0.0 if HARD else h - threshold, h)
                count += tl.where(h >= threshold, 1.0, 0.0)
                if not CONSTANT:
                    after = tl.cast(t, tl.int64) + 1
                    more = after < T
                    x = tl.load(current + after * R * H + at, mask=inside & more, other=0.0).to(tl.float32) + added
                    g = tl.load(scale + after * B + sample, mask=more, other=0.0)
            tl.debug_barrier()  # what another thread may have written is read

            d_count = tl.full([BLOCK], 0.0, tl.float32)
            if COUNTS:
                d_count += tl.load(d_counts + sample * H + lane, mask=inside, other=0.0)
            if TOTAL:
                d_count += tl.load(d_total + sample)
            if SQUARES:
                d_count += 2.0 * tl.load(d_squares + sample) * count
            d_v = tl.full([BLOCK], 0.0, tl.float32)
            d_sum = tl.full([BLOCK], 0.0, tl.float32)
            for back in range(T):
                now = tl.cast(T - 1 - back, tl.int64)
                above = tl.load(kept + now * BLOCK).to(tl.float32)
                slope = _derivative(above, alpha, SURROGATE)
                passed = 1.0  # dv/dh
                if HARD:
                    passed = tl.where(above >= 0.0, 0.0, 1.0)
                if not DETACH:
                    passed -= slope * (above + threshold if HARD else threshold)
                d_h = d_count * slope + d_v * passed
                d_v = leak * d_h
                if CONSTANT:
                    d_sum += g * d_h
                else:
                    g = tl.load(scale + now * B + sample)
                    d_sum += g * d_h
                    place = d_current + now * R * H + at
                    before = tl.load(place, mask=inside & (copy > 0), other=0.0).to(tl.float32)
                    tl.store(place, before + g * d_h, mask=inside)
            if LABELLED:
                tl.store(d_label + sample * H + lane, d_sum, mask=inside)
            d_shared += d_sum
            tl.debug_barrier()  # before the potentials are written over
        if CONSTANT:
            tl.store(d_current + at, d_shared, mask=inside)


class Wanted(NamedTuple):
    """Outputs that are asked for beside the sums of counts."""

    spikes: bool
    counts: bool


class SpikingNeurons(torch.autograd.Function):
    """`(current, label, which, scale, T, lif, wanted) -> (spikes, fired, counts, total, squares)`.

    All but spikes and fired carry a gradient, to current and label.

    current (1 or T, R, H) float32 or bfloat16, by rows; 1: the same at every time step
    label   (C, H) float32, what each label adds to a sample's current; None: nothing
    which   (B,) int64, each sample's label; None where there are none
    scale   (1 or T, B) float32, what a sample's current is multiplied by
    spikes  (T, B, H) in the current's type; (0, B, H) where they are not wanted
    fired   (T, B) float32, a sample's spikes at a time step; (0, B) where spikes are not wanted
    counts  (B, H) float32; (0, H) where they are not wanted
    total   (B,) float32, a sample's sum of counts
    squares (B,) float32, a sample's sum of squared counts
    """

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, label: torch.Tensor | None, label_index: torch.Tensor | None,
        scale: torch.Tensor, T: int, lif: LIF, wanted: Wanted,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        current, scale = current.contiguous(), (lif.gain * scale).contiguous()
        (steps, R, H), B = current.shape, scale.shape[1]
        block, pieces = _pieces(H)
        steps_wanted = T if wanted.spikes else 0
        spikes = current.new_empty(steps_wanted, B, H)
        counts = scale.new_empty(B if wanted.counts else 0, H)
        fired, total, squares = (scale.new_empty(pieces, *shape) for shape in ((steps_wanted, B), (B,), (B,)))
        _launch(
            _forward, current, (B, pieces),
            current, *_labels(label, label_index, scale), scale, spikes, fired, counts, total, squares, T, R, H,
            lif.leak, lif.v_threshold,
            CONSTANT=steps == 1, LABELLED=label is not None, HARD=lif.reset == "hard", SPIKES=wanted.spikes,
            COUNTS=wanted.counts, BLOCK=block, num_warps=2,
        )  # fmt: skip
        ctx.save_for_backward(current, label, label_index, scale)
        ctx.T, ctx.lif = T, lif
        ctx.set_materialize_grads(False)  # what no loss depends on costs nothing
        fired, total, squares = (it.sum(0) if pieces > 1 else it[0] for it in (fired, total, squares))
        ctx.mark_non_differentiable(spikes, fired)
        return spikes, fired, counts, total, squares

    @staticmethod
    def backward(
        ctx: Any, _d_spikes: None, _d_fired: None, d_counts: torch.Tensor | None, d_total: torch.Tensor | None,
        d_squares: torch.Tensor | None,
    ) -> Any:  # fmt: skip
        current, label, label_index, scale = ctx.saved_tensors
        T, lif, device = ctx.T, ctx.lif, current.device
        (steps, R, H), B = current.shape, scale.shape[1]
        block, pieces = _pieces(H)
        programs = min(R * pieces, PROGRAMS * _multiprocessors(device))
        d_current = torch.empty_like(current)
        d_own = current.new_empty(B if label is not None else 0, H)
        given = [None if it is None else it.contiguous() for it in (d_counts, d_total, d_squares)]
        _launch(
            _backward, current, (programs,),
            current, *_labels(label, label_index, scale), scale, *(scale if it is None else it for it in given),
            d_current, d_own, current.new_empty(programs * T * block), pieces, B // R, T, R, H,
            lif.leak, lif.v_threshold, lif.surrogate_alpha,
            CONSTANT=steps == 1, LABELLED=label is not None, HARD=lif.reset == "hard", DETACH=lif.detach_reset,
            SURROGATE=lif.surrogate, COUNTS=given[0] is not None, TOTAL=given[1] is not None,
            SQUARES=given[2] is not None, BLOCK=block, num_warps=4,
        )  # fmt: skip
        d_label = None
        if label is not None:  # a product, for sums by atomic additions differ from run to run
            chosen = d_own.new_zeros(len(label), B).scatter_(0, label_index[None], 1.0)
            d_label = (chosen @ d_own).to(label.dtype)
        return d_current, d_label, None, None, None, None, None


def _pieces(H: int) -> tuple[int, int]:
    """Neurons a program, and programs a sample."""
    block = min(BLOCK, triton.next_power_of_2(H))
    return block, triton.cdiv(H, block)


def _labels(
    label: torch.Tensor | None, label_index: torch.Tensor | None, unused: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """The labels' pointers; where there are none, the kernels look at neither."""
    if label is None or label_index is None:
        return unused, unused
    return label.contiguous(), label_index.contiguous()


def _launch(kernel: Any, current: torch.Tensor, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    with torch.cuda.device_of(current):  # Triton launches on the current one
        kernel[grid](*arguments, **constants)


@cache
def _multiprocessors(device: torch.device) -> int:
    """On a CPU, where Triton interprets, a few that take turns as those of a GPU do."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


@cache
def compile_once(device: torch.device) -> None:
    """Build both kernels for the neuron that a configuration has by default, or load them from Triton's cache."""
    from ffsnn.config import NetworkConfig

    current = torch.zeros(1, 16, 16, device=device, requires_grad=True)
    with torch.enable_grad():  # the first use may be a prediction
        lif, scale = LIF.of(NetworkConfig()), torch.ones(1, 16, device=device)
        SpikingNeurons.apply(current, None, None, scale, 4, lif, Wanted(True, False))[4].sum().backward()
