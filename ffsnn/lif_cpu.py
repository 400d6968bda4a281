"""A layer of LIF neurons on a CPU, from its input's events to its spikes and back, compiled by numba.

What makes it fast is what a spiking network is about: a current is summed over the inputs that fired, not over all of
them, and what the copies of an image share is summed once (`events.py`). What makes it lean: a layer's loss depends on
its spikes through their counts alone, so dL/ds is the same at every time step, and no gradient passes to the layer
below. So backward sums the currents and potentials of a row anew, in the first-level cache, and nothing of size T is
kept but the spikes, a byte each.

A tile of neurons passes over all rows before the next one starts, so that its weights stay in the second-level cache.

Legend: T time steps, R rows (images), B samples = copies x R (sample b shares row b % R), F inputs, H neurons.
"""

import fcntl
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from ffsnn import events
from ffsnn.events import Events
from ffsnn.parallel import in_parallel, threads

SURROGATES = ("atan", "sigmoid", "piecewise_quadratic", "piecewise_exp", "soft_sign", "super_spike", "erf")
ATAN, SIGMOID, PIECEWISE_QUADRATIC, PIECEWISE_EXP, SOFT_SIGN, SUPER_SPIKE, ERF = range(7)

CACHE = 2**21  # bytes of weights that a tile may have
VECTORS = 64  # neurons: a whole number of vectors on any CPU, and of cache lines

f32, u32, u64 = np.float32, np.uint32, np.uint64
FASTMATH = {"nsz", "arcp", "contract"}  # no reordering of sums: the same bits everywhere


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


@intrinsic
def _widened(_context: Any, weight: Any = None) -> Any:
    """A weight as float32; a bfloat16, seen as uint16, is the upper half of a float32's bits."""

    def code(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        if weight == types.float32:
            return arguments[0]
        bits = builder.shl(builder.zext(arguments[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(weight), code


@njit(inline="always")
def _copy(source: Any, target: Any) -> None:
    """The first values of a row; a loop is inlined, an assignment is a call."""
    for f in range(target.size):
        target[f] = source[f]


@njit(inline="always")
def _clear(row: Any) -> None:
    for f in range(row.size):
        row[f] = f32(0)


@njit(inline="always")
def _gather(weight: Any, number: Any, value: Any, begin: int, end: int, total: Any) -> None:
    """total (H) += the weights (F, H) of the events begin..end, times their values."""
    k = begin
    while k + 4 <= end:
        a, b, c, d = u64(number[k]), u64(number[k + 1]), u64(number[k + 2]), u64(number[k + 3])
        p, q, r, s = value[k], value[k + 1], value[k + 2], value[k + 3]
        for f in range(total.size):
            total[f] += (p * _widened(weight[a, f]) + q * _widened(weight[b, f])) + (
                r * _widened(weight[c, f]) + s * _widened(weight[d, f])
            )
        k += 4
    while k < end:
        a, p = u64(number[k]), value[k]
        for f in range(total.size):
            total[f] += p * _widened(weight[a, f])
        k += 1


@njit(inline="always")
def _currents_of_row(weight: Any, start: Any, number: Any, value: Any, first: int, copies: int, base: Any) -> None:
    """base (steps, H): the currents that the copies of a row share; `first` is the row's first list."""
    _clear(base[0])
    _gather(weight, number, value, start[first], start[first + 1], base[0])
    for t in range(base.shape[0] - 1, -1, -1):
        at = first + 1 + t * (1 + copies)
        _copy(base[0], base[t])
        _gather(weight, number, value, start[at], start[at + 1], base[t])


@njit(inline="always")
def _scatter(d_weight: Any, number: Any, value: Any, begin: int, end: int, d_total: Any) -> None:
    """The transpose of `_gather`."""
    for k in range(begin, end):
        a, p = u64(number[k]), value[k]
        for f in range(d_total.size):
            d_weight[a, f] += p * d_total[f]


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _forward(
    lo: int, weight: Any, start: Any, number: Any, value: Any, rows: int, copies: int, scale: Any,
    leak: Any, gain: Any, threshold: Any, hard: bool, spikes: Any, counts: Any,
) -> None:  # fmt: skip
    """The neurons of a tile, the first of them number lo: their part of spikes (T, B, H) and counts (B, H)."""
    steps, width, real = scale.shape[0], weight.shape[1], min(weight.shape[1], counts.shape[1] - lo)
    base = np.empty((steps, width), np.float32)
    row, v, count = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    fired = np.empty(width, np.float32)
    for r in range(rows):
        first = r * (1 + steps * (1 + copies))
        _currents_of_row(weight, start, number, value, first, copies, base)
        for c in range(copies):
            b = c * rows + r
            _clear(v)
            _clear(count)
            for t in range(spikes.shape[0]):
                if t < steps:
                    at = first + 2 + t * (1 + copies) + c
                    _copy(base[t], row)
                    _gather(weight, number, value, start[at], start[at + 1], row)
                g = gain * scale[min(t, steps - 1), b]
                for f in range(width):
                    h = leak * v[f] + g * row[f]
                    fired[f] = f32(1) if h >= threshold else f32(0)
                    v[f] = (f32(0) if hard else h - threshold) if h >= threshold else h
                for f in range(width):
                    count[f] += fired[f]
                out = spikes[t, b, lo : lo + real]
                for f in range(real):
                    out[f] = fired[f] > 0
            _copy(count, counts[b, lo : lo + real])


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def _backward(
    lo: int, weight: Any, d_weight: Any, T: int, start: Any, number: Any, value: Any, rows: int, copies: int,
    scale: Any, leak: Any, gain: Any, threshold: Any, hard: bool, detach: bool, surrogate: int, alpha: Any,
    d_counts: Any,
) -> None:  # fmt: skip
    """The neurons of a tile, the first of them number lo: adds to d_weight (F, tile), from d_counts (B, H)."""
    steps, width, real = scale.shape[0], weight.shape[1], min(weight.shape[1], d_counts.shape[1] - lo)
    base, d_base = np.empty((steps, width), np.float32), np.empty((steps, width), np.float32)
    d_current, potential = np.empty((steps, width), np.float32), np.empty((T, width), np.float32)
    row, v, d_v = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    slope, power_bits = np.empty(width, np.float32), np.empty(width, np.uint32)
    power, d_count = power_bits.view(np.float32), np.zeros(width, np.float32)
    through = f32(0) if detach else f32(1)
    for r in range(rows):
        first = r * (1 + steps * (1 + copies))
        _currents_of_row(weight, start, number, value, first, copies, base)
        for t in range(steps):
            _clear(d_base[t])
        for c in range(copies):
            b = c * rows + r
            _clear(v)
            for t in range(T):
                if t < steps:
                    at = first + 2 + t * (1 + copies) + c
                    _copy(base[t], row)
                    _gather(weight, number, value, start[at], start[at + 1], row)
                g, h = gain * scale[min(t, steps - 1), b], potential[t]
                for f in range(width):
                    x = leak * v[f] + g * row[f]
                    h[f] = x
                    v[f] = (f32(0) if hard else x - threshold) if x >= threshold else x
            _clear(d_v)
            for t in range(steps):
                _clear(d_current[t])
            out = d_counts[b, lo : lo + real]
            for f in range(real):
                d_count[f] = out[f]
            for t in range(T - 1, -1, -1):
                h, d_row = potential[t], d_current[min(t, steps - 1)]
                _derivative(h, threshold, surrogate, alpha, power_bits, power, slope)
                g = gain * scale[min(t, steps - 1), b]
                if hard:
                    for f in range(width):
                        kept = f32(0) if h[f] >= threshold else f32(1)
                        d_h = d_count[f] * slope[f] + d_v[f] * (kept - through * h[f] * slope[f])
                        d_v[f] = leak * d_h
                        d_row[f] += g * d_h
                else:
                    for f in range(width):
                        d_h = d_count[f] * slope[f] + d_v[f] * (f32(1) - through * threshold * slope[f])
                        d_v[f] = leak * d_h
                        d_row[f] += g * d_h
            for t in range(steps):
                at = first + 2 + t * (1 + copies) + c
                _scatter(d_weight, number, value, start[at], start[at + 1], d_current[t])
                d_row, d_all = d_current[t], d_base[t]
                for f in range(width):
                    d_all[f] += d_row[f]
        _clear(d_v)  # now of what the row's time steps share
        for t in range(steps):
            at = first + 1 + t * (1 + copies)
            _scatter(d_weight, number, value, start[at], start[at + 1], d_base[t])
            d_all = d_base[t]
            for f in range(width):
                d_v[f] += d_all[f]
        _scatter(d_weight, number, value, start[first], start[first + 1], d_v)


@cache
def compile_once() -> None:
    """Compile the kernels, or load what was compiled before; of several processes one compiles, the others wait.

    About 8 seconds once a machine, half of one after that (numba's cache, beside these files).
    """
    with (Path(tempfile.gettempdir()) / f"ffsnn-compile-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        from ffsnn.config import NetworkConfig
        from ffsnn.neuron import LIF

        lif, draw, y = LIF.of(NetworkConfig()), torch.Generator(), torch.zeros(1, 1, dtype=torch.int64)
        weight = torch.zeros(8, 1, requires_grad=True)
        spikes = events.bernoulli(torch.zeros(1, 8), 1, draw)
        for seen in (events.of_images(torch.zeros(1, 1, 8), 1, y, 1, 1.0), events.of_spikes(spikes, 1)):
            with torch.enable_grad():  # the first use may be a prediction
                SpikingLayer.apply(weight, seen, torch.ones(1, 1), 1, lif)[1].sum().backward()


class SpikingLayer(torch.autograd.Function):
    """`(weight, events, scale, T, lif) -> (spikes, counts)`; only the weights have a gradient.

    weight (F, H) and scale (1 or T, B) are float32; spikes (T, B, H) are uint8, counts (B, H) float32.
    """

    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, events: Events, scale: torch.Tensor, T: int, lif: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        spikes = torch.empty(T, events.samples, weight.shape[1], dtype=torch.uint8)
        counts = torch.empty(events.samples, weight.shape[1])
        tiles = in_tiles(weight.detach())
        arguments = (
            events.start, events.input, events.value, events.rows, events.copies, scale.contiguous().numpy(),
            f32(lif.leak), f32(lif.gain), f32(lif.v_threshold), lif.reset == "hard",
        )  # fmt: skip
        _each_tile(_forward, [tiles], *arguments, spikes.numpy(), counts.numpy())
        ctx.T, ctx.shape, ctx.lif, ctx.tiles, ctx.arguments = T, weight.shape, lif, tiles, arguments
        ctx.mark_non_differentiable(spikes)
        return spikes, counts

    @staticmethod
    def backward(ctx: Any, _d_spikes: torch.Tensor, d_counts: torch.Tensor) -> Any:
        lif, d_tiles = ctx.lif, torch.zeros(ctx.tiles.shape)
        surrogate = SURROGATES.index(lif.surrogate), f32(lif.surrogate_alpha)
        _each_tile(
            _backward, [ctx.tiles, d_tiles], ctx.T, *ctx.arguments, lif.detach_reset, *surrogate,
            d_counts.contiguous().numpy(),
        )  # fmt: skip
        return from_tiles(d_tiles, ctx.shape[1]), None, None, None, None


def in_tiles(weight: torch.Tensor) -> torch.Tensor:
    """(F, H) -> (tiles, F, width): each tile a piece of memory, no larger than the cache, its width whole vectors.

    There are no fewer tiles than threads; the neurons added to fill the last one are silent.
    """
    inputs, neurons = weight.shape
    vectors = -(-neurons // VECTORS)
    tiles = min(vectors, max(threads(), -(-weight.element_size() * inputs * neurons // CACHE)))
    width = -(-vectors // tiles) * VECTORS
    tiles = -(-neurons // width)
    padded = torch.nn.functional.pad(weight, (0, tiles * width - neurons))
    return padded.view(inputs, tiles, width).transpose(0, 1).contiguous()


def from_tiles(tiles: torch.Tensor, neurons: int) -> torch.Tensor:
    """`in_tiles` undone."""
    return tiles.transpose(0, 1).flatten(1)[:, :neurons].contiguous()


def _numpy(tiles: torch.Tensor) -> Any:
    return tiles.view(torch.uint16).numpy() if tiles.dtype == torch.bfloat16 else tiles.numpy()


def _each_tile(kernel: Any, tiled: list[torch.Tensor], *arguments: Any) -> None:
    """Threads share the tiles, so no two write to the same weight, and the bits do not depend on how many there are."""
    arrays, width = [_numpy(tiles) for tiles in tiled], tiled[0].shape[2]

    def work(lo: int, hi: int) -> None:
        for n in range(lo, hi):
            kernel(n * width, *(array[n] for array in arrays), *arguments)

    in_parallel(len(tiled[0]), work)
