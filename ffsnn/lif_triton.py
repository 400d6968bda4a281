"""LIF neurons over T time steps on a GPU, forward and backward one Triton kernel each.

A step of a neuron is a handful of operations, so what costs is memory. Forward visits a neuron once for all T steps,
its potential in a register, and writes a byte a spike (none where nobody asks for spikes) and one count. A layer's loss
depends on its spikes through their counts alone, so dL/ds is the same at every time step and backward needs nothing but
the current: it charges the neurons anew, then walks back through their potentials (Neftci et al. 2019, arXiv
1901.09948, section "surrogate gradients"; the derivatives are SpikingJelly's, `surrogate.py`).

What the copies of an image share stays shared: the current comes by rows, and a sample's label and scale are applied
as it is loaded. Where it is constant it is loaded once for all steps.

Legend: T time steps, R rows (images), B samples = copies x R (sample b shares row b % R), H neurons, C labels.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# (Triton gives the kernels' arguments their types.)

from functools import cache
from typing import Any

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

from ffsnn.neuron import LIF

BLOCK = 512  # neurons that a program takes at once
PROGRAMS = 8  # of the backward kernel on each multiprocessor


@triton.jit
def _label_current(label, which, h, H, inside, LABELLED: tl.constexpr):
    """What its label adds to each sample's current."""
    if LABELLED:
        return tl.load(label + tl.load(which, mask=inside, other=0) * H + h, mask=inside, other=0.0)
    else:
        return 0.0


@triton.jit
def _derivative(x, alpha, SURROGATE: tl.constexpr):
    """Of a spike whose potential is x above the threshold, as SpikingJelly defines it."""
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
    current, label, which, scale, spikes, counts, T, R, H, leak, threshold,
    CONSTANT: tl.constexpr, LABELLED: tl.constexpr, HARD: tl.constexpr, SPIKES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program takes BLOCK of the R * H places in a copy: axis 0 counts the blocks, axis 1 the copies."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < R * H
    sample = tl.program_id(1) * R + at // H
    mine = tl.cast(tl.program_id(1), tl.int64) * R * H + at
    B = tl.num_programs(1) * R
    added = _label_current(label, which + sample, at % H, H, inside, LABELLED)
    x = tl.load(current + at, mask=inside, other=0.0).to(tl.float32) + added
    g = tl.load(scale + sample, mask=inside, other=0.0)
    v = tl.full([BLOCK], 0.0, tl.float32)
    count = tl.full([BLOCK], 0.0, tl.float32)
    for t in range(T):
        h = leak * v + g * x
        fired = h >= threshold
        v = tl.where(fired, 0.0 if HARD else h - threshold, h)
        count += tl.where(fired, 1.0, 0.0)
        after = tl.cast(t, tl.int64) + 1
        if SPIKES:
            tl.store(spikes + (after - 1) * B * H + mine, fired.to(tl.uint8), mask=inside)
        if not CONSTANT:
            more = inside & (after < T)
            x = tl.load(current + after * R * H + at, mask=more, other=0.0).to(tl.float32) + added
            g = tl.load(scale + after * B + sample, mask=more, other=0.0)
    tl.store(counts + mine, count, mask=inside)


@triton.jit
def _backward(
    current, label, which, scale, d_counts, d_current, d_label, potential, blocks, copies, T, R, H, leak, threshold,
    alpha, CONSTANT: tl.constexpr, LABELLED: tl.constexpr, HARD: tl.constexpr, DETACH: tl.constexpr,
    SURROGATE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program takes every so many'th block of R * H places, and of each all copies, for they share its gradient.

    It writes the potentials of all steps into a piece of memory of its own. There are only as many programs as run at
    once, and they use their pieces again and again, so what is read back is still in the second-level cache.
    """
    lane = tl.arange(0, BLOCK)
    kept = potential + tl.cast(tl.program_id(0), tl.int64) * T * BLOCK + lane
    for block in range(tl.program_id(0), blocks, tl.num_programs(0)):
        at = block * BLOCK + lane
        inside = at < R * H
        d_shared = tl.full([BLOCK], 0.0, tl.float32)
        for copy in range(copies):
            sample = copy * R + at // H
            mine = tl.cast(copy, tl.int64) * R * H + at
            added = _label_current(label, which + sample, at % H, H, inside, LABELLED)
            x = tl.load(current + at, mask=inside, other=0.0).to(tl.float32) + added
            g = tl.load(scale + sample, mask=inside, other=0.0)
            v = tl.full([BLOCK], 0.0, tl.float32)
            for t in range(T):
                h = leak * v + g * x
                tl.store(kept + t * BLOCK, h)
                v = tl.where(h >= threshold, 0.0 if HARD else h - threshold, h)
                if not CONSTANT:
                    after = tl.cast(t, tl.int64) + 1
                    more = inside & (after < T)
                    x = tl.load(current + after * R * H + at, mask=more, other=0.0).to(tl.float32) + added
                    g = tl.load(scale + after * copies * R + sample, mask=more, other=0.0)
            tl.debug_barrier()  # what another thread may have written is read

            d_count = tl.load(d_counts + mine, mask=inside, other=0.0)
            d_v = tl.full([BLOCK], 0.0, tl.float32)
            d_sum = tl.full([BLOCK], 0.0, tl.float32)
            for back in range(T):
                now = tl.cast(T - 1 - back, tl.int64)
                h = tl.load(kept + now * BLOCK)
                slope = _derivative(h - threshold, alpha, SURROGATE)
                passed = 1.0  # dv/dh
                if HARD:
                    passed = tl.where(h >= threshold, 0.0, 1.0)
                if not DETACH:
                    passed -= slope * (h if HARD else threshold)
                d_h = d_count * slope + d_v * passed
                d_v = leak * d_h
                if CONSTANT:
                    d_sum += g * d_h
                else:
                    g = tl.load(scale + now * copies * R + sample, mask=inside, other=0.0)
                    d_sum += g * d_h
                    place = d_current + now * R * H + at
                    before = tl.load(place, mask=inside & (copy > 0), other=0.0)
                    tl.store(place, before + g * d_h, mask=inside)
            if LABELLED:
                tl.store(d_label + mine, d_sum, mask=inside)
            d_shared += d_sum
            tl.debug_barrier()  # before the potentials are written over
        if CONSTANT:
            tl.store(d_current + at, d_shared, mask=inside)


class SpikingNeurons(torch.autograd.Function):
    """`(current, label, which, scale, T, lif, wanted) -> (spikes, counts)`; current and label have a gradient.

    current (1 or T, R, H) float32 or bfloat16, by rows; 1: the same at every time step
    label   (C, H) float32, what each label adds to a sample's current; None: nothing
    which   (B,) int64, each sample's label; None where there are none
    scale   (1 or T, B) float32, what a sample's current is multiplied by
    wanted  whether spikes are
    spikes  (T, B, H) uint8, or (0, B, H) where they are not wanted
    counts  (B, H) float32
    """

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, label: torch.Tensor | None, which: torch.Tensor | None, scale: torch.Tensor,
        T: int, lif: LIF, wanted: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        current, scale = current.contiguous(), (lif.gain * scale).contiguous()
        (steps, R, H), B = current.shape, scale.shape[1]
        counts = torch.empty(B, H, device=current.device)
        spikes = torch.empty(T if wanted else 0, B, H, dtype=torch.uint8, device=current.device)
        _launch(
            _forward, current, (-(-R * H // BLOCK), B // R),
            current, *_labels(label, which, counts), scale, spikes if wanted else counts, counts, T, R, H,
            lif.leak, lif.v_threshold,
            CONSTANT=steps == 1, LABELLED=label is not None, HARD=lif.reset == "hard", SPIKES=wanted, BLOCK=BLOCK,
        )  # fmt: skip
        ctx.save_for_backward(current, label, which, scale)
        ctx.T, ctx.lif = T, lif
        ctx.set_materialize_grads(False)  # or the spikes, which have none, would be sent zeros
        ctx.mark_non_differentiable(spikes)
        return spikes, counts

    @staticmethod
    def backward(ctx: Any, _d_spikes: torch.Tensor, d_counts: torch.Tensor) -> Any:
        current, label, which, scale = ctx.saved_tensors
        T, lif, device = ctx.T, ctx.lif, current.device
        (steps, R, H), B = current.shape, scale.shape[1]
        blocks = -(-R * H // BLOCK)
        programs = min(blocks, PROGRAMS * _multiprocessors(device))
        d_current = torch.empty_like(current)
        d_own = torch.empty(B if label is not None else 0, H, device=device)
        _launch(
            _backward, current, (programs,),
            current, *_labels(label, which, d_own), scale, d_counts.contiguous(), d_current, d_own,
            torch.empty(programs * T * BLOCK, device=device), blocks, B // R, T, R, H,
            lif.leak, lif.v_threshold, lif.surrogate_alpha,
            CONSTANT=steps == 1, LABELLED=label is not None, HARD=lif.reset == "hard", DETACH=lif.detach_reset,
            SURROGATE=lif.surrogate, BLOCK=BLOCK,
        )  # fmt: skip
        d_label = None
        if label is not None:  # a product, for sums by atomic additions differ from run to run
            chosen = torch.zeros(len(label), B, device=device).scatter_(0, which[None], 1.0)
            d_label = chosen @ d_own
        return d_current, d_label, None, None, None, None, None


def _labels(label: torch.Tensor | None, which: torch.Tensor | None, unused: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The labels' pointers; where there are none, the kernels look at neither."""
    if label is None or which is None:
        return unused, unused
    return label.contiguous(), which.contiguous()


def _launch(kernel: Any, current: torch.Tensor, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    with torch.cuda.device_of(current):  # Triton launches on the current one
        kernel[grid](*arguments, **constants)


@cache
def _multiprocessors(device: torch.device) -> int:
    """On a CPU, where Triton interprets, a few that take turns as those of a GPU do."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


@cache
def compile_once() -> None:
    """Build both kernels for the neuron that a configuration has by default, or load them from Triton's cache."""
    from ffsnn.config import NetworkConfig

    current = torch.zeros(1, 16, 16, device="cuda", requires_grad=True)
    with torch.enable_grad():  # the first use may be a prediction
        lif, scale = LIF.of(NetworkConfig()), torch.ones(1, 16, device="cuda")
        SpikingNeurons.apply(current, None, None, scale, 4, lif, True)[1].sum().backward()
