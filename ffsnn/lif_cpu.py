"""Fused multi-step LIF for CPUs, compiled by numba: the arithmetic of `neuron.lif_plain`, storing next to nothing.

Why it can be lean: in forward-forward training a layer's loss depends on its spikes through their counts alone, so
dL/ds is the same at every time step, and no gradient passes to the layer below. Backward then needs only the input
current, and recomputes the membrane potentials row by row in the first-level cache.

Legend: T time steps, R rows of shared current (images), B samples = copies x R (a copy a label), F neurons.
Sample b shares row b % R. Currents and spikes are float32, or bfloat16 seen as uint16.
The input of sample b at step t is `scale[t, r] * (current[t, r] + offset[b])`; what does not change in time has a time
axis of length 1, and an offset of length 0 is none.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numba import njit

SURROGATES = ("atan", "sigmoid", "piecewise_quadratic", "piecewise_exp", "soft_sign", "super_spike", "erf")
ATAN, SIGMOID, PIECEWISE_QUADRATIC, PIECEWISE_EXP, SOFT_SIGN, SUPER_SPIKE, ERF = range(7)

f32, u32 = np.float32, np.uint32
# Reordering additions would break "same bits on every path"; nothing is summed across neurons here, so it is not
# needed.
FASTMATH = {"nsz", "arcp", "contract"}


@njit(inline="always")
def _load(source: Any, bits: Any, row: Any) -> None:
    """Copy a row to float32; a bfloat16 is the upper half of a float32's bits."""
    if source.itemsize == 2:
        for f in range(row.size):
            bits[f] = u32(source[f]) << u32(16)
    else:
        for f in range(row.size):
            row[f] = source[f]


@njit(inline="always")
def _store(row: Any, bits: Any, target: Any) -> None:
    """Copy a float32 row; to bfloat16 by rounding to nearest even."""
    if target.itemsize == 2:
        for f in range(row.size):
            target[f] = (bits[f] + u32(0x7FFF) + ((bits[f] >> u32(16)) & u32(1))) >> u32(16)
    else:
        for f in range(row.size):
            target[f] = row[f]


@njit(inline="always")
def _exp_of_negative(y: Any, bits: Any, power: Any) -> None:
    """y <- exp(y) for y <= 0, in loops that vectorise: 2^k by its bits, 2^fraction by a polynomial (error 2e-7)."""
    for f in range(y.size):
        x = max(y[f] * f32(1.442695041), f32(-125.0))
        k = np.floor(x)
        bits[f] = u32(np.int32(k) + np.int32(127)) << u32(23)
        x -= k
        p = f32(1.8775767e-3)
        p = p * x + f32(8.9893397e-3)
        p = p * x + f32(5.5826318e-2)
        p = p * x + f32(2.4015361e-1)
        p = p * x + f32(6.9315308e-1)
        y[f] = p * x + f32(0.99999994)
    for f in range(y.size):
        y[f] *= power[f]


@njit(inline="always")
def _derivative(h: Any, threshold: Any, surrogate: int, alpha: Any, bits: Any, power: Any, out: Any) -> None:
    """Surrogate derivative of the spike at h - threshold, as SpikingJelly defines it (`surrogate.py`)."""
    one, half = f32(1), f32(0.5)
    if surrogate == ATAN:
        k = f32(np.pi / 2) * alpha
        for f in range(h.size):
            z = k * (h[f] - threshold)
            out[f] = half * alpha / (one + z * z)
    elif surrogate == PIECEWISE_QUADRATIC:
        for f in range(h.size):
            out[f] = max(alpha - alpha * alpha * abs(h[f] - threshold), f32(0))
    elif surrogate == SOFT_SIGN:
        for f in range(h.size):
            z = one / alpha + abs(h[f] - threshold)
            out[f] = half / (alpha * z * z)
    elif surrogate == SUPER_SPIKE:
        for f in range(h.size):
            z = one + abs(h[f] - threshold)
            out[f] = alpha / (z * z)
    elif surrogate == ERF:
        for f in range(h.size):
            z = alpha * (h[f] - threshold)
            out[f] = -z * z
        _exp_of_negative(out, bits, power)
        for f in range(h.size):
            out[f] *= alpha * f32(0.5641895835)
    else:
        for f in range(h.size):
            out[f] = -alpha * abs(h[f] - threshold)
        _exp_of_negative(out, bits, power)
        for f in range(h.size):
            e = out[f]
            out[f] = alpha * e / ((one + e) * (one + e)) if surrogate == SIGMOID else half * alpha * e


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _forward(
    lo: int, hi: int, current: Any, offset: Any, scale: Any, leak: Any, gain: Any, threshold: Any, hard: bool,
    one: Any, spikes: Any, counts: Any,
) -> None:  # fmt: skip
    """Rows lo..hi: spikes (T, B, F), of `one` or 0, and counts (B, F)."""
    steps, rows, width = spikes.shape[0], current.shape[1], current.shape[2]
    bits = np.empty(width, np.uint32)
    row = bits.view(np.float32)
    v = np.empty(width, np.float32)
    for r in range(lo, hi):
        for b in range(r, counts.shape[0], rows):
            v[:] = 0
            counts[b] = 0
            for t in range(steps):
                if t == 0 or current.shape[0] > 1:
                    _load(current[t, r], bits, row)
                    if offset.shape[0] > 0:
                        for f in range(width):
                            row[f] += offset[b, f]
                g = gain * scale[t if scale.shape[0] > 1 else 0, r]
                for f in range(width):
                    h = leak * v[f] + g * row[f]
                    fired = h >= threshold
                    spikes[t, b, f] = one if fired else one - one
                    counts[b, f] += f32(1) if fired else f32(0)
                    v[f] = (f32(0) if hard else h - threshold) if fired else h


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _backward(
    lo: int, hi: int, steps: int, current: Any, offset: Any, scale: Any, leak: Any, gain: Any, threshold: Any,
    hard: bool, detach: bool, surrogate: int, alpha: Any, d_counts: Any, d_current: Any, d_offset: Any,
) -> None:  # fmt: skip
    """Rows lo..hi: d_current (1 or T, R, F) and d_offset (B or 0, F), from d_counts (B, F)."""
    rows, width = current.shape[1], current.shape[2]
    bits, power_bits = np.empty(width, np.uint32), np.empty(width, np.uint32)
    row, power = bits.view(np.float32), power_bits.view(np.float32)
    v, d_v, slope = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    h = np.empty((steps, width), np.float32)
    d_bits = np.empty((d_current.shape[0], width), np.uint32)
    d_row = d_bits.view(np.float32)
    for r in range(lo, hi):
        d_row[:] = 0
        for b in range(r, d_counts.shape[0], rows):
            v[:] = 0
            for t in range(steps):
                if t == 0 or current.shape[0] > 1:
                    _load(current[t, r], bits, row)
                    if offset.shape[0] > 0:
                        for f in range(width):
                            row[f] += offset[b, f]
                g = gain * scale[t if scale.shape[0] > 1 else 0, r]
                for f in range(width):
                    x = leak * v[f] + g * row[f]
                    h[t, f] = x
                    v[f] = (f32(0) if hard else x - threshold) if x >= threshold else x
            d_v[:] = 0
            if offset.shape[0] > 0:
                d_offset[b] = 0
            for t in range(steps - 1, -1, -1):
                _derivative(h[t], threshold, surrogate, alpha, power_bits, power, slope)
                g = gain * scale[t if scale.shape[0] > 1 else 0, r]
                at = t if current.shape[0] > 1 else 0
                for f in range(width):
                    x = h[t, f]
                    kept = f32(0) if hard and x >= threshold else f32(1)
                    jump = f32(0) if detach else (x if hard else threshold)
                    d_h = d_counts[b, f] * slope[f] + d_v[f] * (kept - jump * slope[f])
                    d_v[f] = leak * d_h
                    d_row[at, f] += g * d_h
                    if offset.shape[0] > 0:
                        d_offset[b, f] += g * d_h
        for t in range(d_current.shape[0]):
            _store(d_row[t], d_bits[t], d_current[t, r])


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lif")


def _over_rows(kernel: Any, rows: int, *arguments: Any) -> None:
    """Share the rows among torch's threads; they are independent, so the bits do not depend on how many."""
    threads = min(torch.get_num_threads(), rows)
    if threads == 1:
        kernel(0, rows, *arguments)
        return
    cuts = [rows * i // threads for i in range(threads + 1)]
    for done in [_pool(threads).submit(kernel, lo, hi, *arguments) for lo, hi in pairwise(cuts)]:
        done.result()


def _numpy(tensor: torch.Tensor) -> Any:
    tensor = tensor.detach().contiguous()
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


class FusedLIF(torch.autograd.Function):
    """`(current, offset, scale) -> (spikes, counts)`; see `neuron.lif` for the meaning. Spikes carry no gradient."""

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, offset: torch.Tensor, scale: torch.Tensor, T: int, lif: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        copies = offset.shape[0] // current.shape[1] or 1
        counts = torch.empty(copies * current.shape[1], current.shape[2])
        spikes = torch.empty(T, *counts.shape, dtype=current.dtype)
        one = np.uint16(0x3F80) if current.dtype == torch.bfloat16 else f32(1)
        _over_rows(
            _forward, current.shape[1], *map(_numpy, (current, offset, scale)),
            f32(lif.leak), f32(lif.gain), f32(lif.v_threshold), lif.reset == "hard", one, _numpy(spikes),
            _numpy(counts),
        )  # fmt: skip
        ctx.save_for_backward(current, offset, scale)
        ctx.steps, ctx.lif = T, lif
        ctx.mark_non_differentiable(spikes)
        return spikes, counts

    @staticmethod
    def backward(ctx: Any, _d_spikes: torch.Tensor, d_counts: torch.Tensor) -> Any:
        current, offset, scale = ctx.saved_tensors
        lif = ctx.lif
        d_current, d_offset = (
            torch.empty(x.shape, dtype=x.dtype) for x in (current, offset)
        )  # contiguous, whatever x is
        _over_rows(
            _backward, current.shape[1], ctx.steps, *map(_numpy, (current, offset, scale)),
            f32(lif.leak), f32(lif.gain), f32(lif.v_threshold), lif.reset == "hard", lif.detach_reset,
            SURROGATES.index(lif.surrogate), f32(lif.surrogate_alpha),
            _numpy(d_counts), _numpy(d_current), _numpy(d_offset),
        )  # fmt: skip
        return d_current, d_offset, None, None, None
