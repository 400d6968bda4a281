"""The loops of a layer of LIF neurons on a CPU, compiled by numba: a tile of its neurons, forward and backward.

Leak, gain and threshold are numbers, or where neurons have learned their own, arrays of one a neuron: either is
compiled by itself.

Inputs are events (`sparse_input.py`). What neurons do in a time step they do in loops over all neurons of a tile, which
vectorise; what a row of images needs stays in the caches.

Legend: T time steps, B samples = copies x rows (sample b shares row b % rows), F inputs, H neurons.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic, overload

SURROGATES = ("atan", "sigmoid", "piecewise_quadratic", "piecewise_exp", "soft_sign", "super_spike", "erf")
ATAN, SIGMOID, PIECEWISE_QUADRATIC, PIECEWISE_EXP, SOFT_SIGN, SUPER_SPIKE, ERF = range(7)

f32, i64, u32, u64 = np.float32, np.int64, np.uint32, np.uint64
FASTMATH = {"nsz", "arcp", "contract"}  # no reordering of sums: the same bits everywhere


def _of(parameter: Any, f: int) -> Any:
    """The parameter of neuron f."""


@overload(_of, inline="always")
def _choose_of(parameter, f):  # type: ignore[no-untyped-def]  # numba compares the signatures
    if isinstance(parameter, types.Array):
        return lambda parameter, f: parameter[f]
    return lambda parameter, f: parameter


def _times(parameter: Any, scale: Any, out: Any) -> Any:
    """A parameter times a sample's scale; of one a neuron, in `out`."""


@overload(_times, inline="always")
def _choose_times(parameter, scale, out):  # type: ignore[no-untyped-def]
    if not isinstance(parameter, types.Array):
        return lambda parameter, scale, out: parameter * scale

    def each(parameter, scale, out):  # type: ignore[no-untyped-def]
        for f in range(out.size):
            out[f] = parameter[f] * scale
        return out

    return each


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
    """Surrogate derivative of the spike at h - threshold, as SpikingJelly defines it (`ffsnn.parts.surrogates`)."""
    one, half = f32(1), f32(0.5)
    if surrogate == ATAN:
        k = f32(np.pi / 2) * alpha
        for f in range(h.size):
            z = k * (h[f] - _of(threshold, f))
            out[f] = half * alpha / (one + z * z)
    elif surrogate == PIECEWISE_QUADRATIC:
        for f in range(h.size):
            out[f] = max(alpha - alpha * alpha * abs(h[f] - _of(threshold, f)), f32(0))
    elif surrogate == SOFT_SIGN:
        for f in range(h.size):
            z = one / alpha + abs(h[f] - _of(threshold, f))
            out[f] = half / (alpha * z * z)
    elif surrogate == SUPER_SPIKE:
        for f in range(h.size):
            z = one + abs(h[f] - _of(threshold, f))
            out[f] = alpha / (z * z)
    elif surrogate == ERF:
        for f in range(h.size):
            z = alpha * (h[f] - _of(threshold, f))
            out[f] = -z * z
        _exp_of_negative(out, bits, power)
        for f in range(h.size):
            out[f] *= alpha * f32(0.5641895835)
    else:
        for f in range(h.size):
            out[f] = -alpha * abs(h[f] - _of(threshold, f))
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
def _add(row: Any, total: Any) -> None:
    for f in range(row.size):
        total[f] += row[f]


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
def forward(
    lo: int, weight: Any, potential: Any, total: Any, squares: Any, leak: Any, gain: Any, threshold: Any, T: int,
    begin: int, end: int, start: Any, number: Any, value: Any, rows: int, copies: int, scale: Any, hard: bool,
    counts: Any, matrix_current: Any, spikes: Any,
) -> None:  # fmt: skip
    """A tile's neurons, the first of them number lo, see rows begin..end; matrix_current (rows, H), if it has rows,
    is current beside that of the events.

    Writes their counts (B, H), the sums (B,) of these and of their squares, and where there is room for them their
    spikes (T, B, H) and potentials (samples of these rows, T, tile).
    """
    steps, width, real = scale.shape[0], weight.shape[1], min(weight.shape[1], counts.shape[1] - lo)
    kept = len(potential) * potential.shape[1] >= copies * (end - begin) * T
    base = np.empty((steps, width), np.float32)
    own, v, count = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    scaled = np.empty(width, np.float32)
    for r in range(begin, end):
        first = r * (1 + steps * (1 + copies))
        _currents_of_row(weight, start, number, value, first, copies, base)
        if len(matrix_current):
            _add(matrix_current[r, lo : lo + real], base[0])
        for c in range(copies):
            b, place = c * rows + r, c * (end - begin) + r - begin if kept else 0
            _clear(v)
            _clear(count)
            current = base[0]
            for t in range(T):
                if t < steps:
                    at = first + 2 + t * (1 + copies) + c
                    current = base[t]
                    if start[at] < start[at + 1]:
                        _copy(base[t], own)
                        _gather(weight, number, value, start[at], start[at + 1], own)
                        current = own
                g, h = _times(gain, scale[min(t, steps - 1), b], scaled), potential[place, t if kept else 0]
                for f in range(width):
                    x = _of(leak, f) * v[f] + _of(g, f) * current[f]
                    h[f] = x
                    v[f] = (f32(0) if hard else x - _of(threshold, f)) if x >= _of(threshold, f) else x
                    count[f] += f32(1) if x >= _of(threshold, f) else f32(0)
                if len(spikes):
                    out = spikes[t, b, lo : lo + real]
                    for f in range(real):
                        out[f] = h[f] >= _of(threshold, f)
            _copy(count, counts[b, lo : lo + real])
            n, n2 = i64(0), i64(0)  # whole numbers, whose sums may be taken in any order
            for f in range(width):
                k = i64(count[f])
                n += k
                n2 += k * k
            total[b], squares[b] = n, n2


@njit(inline="always")
def _of_neurons(
    d_neuron: Any, before: Any, first: bool, h: Any, slope: Any, d_count: Any, d_v: Any, leak: Any, gain: Any,
    threshold: Any, hard: bool, through: Any,
) -> None:  # fmt: skip
    """Adds what a time step gives to the derivatives (3, H) by leak, gain and threshold.

    h = leak v + gain x, s = [h >= threshold], and v after it is h - s threshold, or h (1 - s). `before` are the charged
    potentials h of the step before; d_v is the derivative by v after this one.
    """
    for f in range(h.size):
        limit, charged = _of(threshold, f), f32(0) if first else before[f]
        spiked = f32(1) if h[f] >= limit else f32(0)
        v = (f32(0) if hard else charged - limit) if charged >= limit else charged
        fall = h[f] if hard else limit  # of the potential by a spike
        kept = f32(1) - spiked if hard else f32(1)
        d_h = d_count[f] * slope[f] + d_v[f] * (kept - through * fall * slope[f])
        direct = f32(0) if hard else spiked  # v - threshold, at a spike
        d_neuron[0, f] += d_h * v
        d_neuron[1, f] += d_h * (h[f] - _of(leak, f) * v) / _of(gain, f)
        d_neuron[2, f] += d_v[f] * (through * fall * slope[f] - direct) - d_count[f] * slope[f]


@njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
def backward(
    lo: int, potential: Any, d_weight: Any, leak: Any, gain: Any, threshold: Any, d_neuron: Any, T: int, begin: int,
    end: int, start: Any, number: Any, value: Any, rows: int, copies: int, scale: Any, hard: bool, counts: Any,
    matrix_current: Any, detach: bool, surrogate: int, alpha: Any, d_total: Any, d_squares: Any, d_counts: Any,
) -> None:  # fmt: skip
    """The same neurons and rows: adds to d_weight (F, tile), from their potentials and from the derivatives by what
    `forward` wrote, in the order of these rows' samples; d_counts may be empty. Adds to d_neuron (3, tile), the
    derivatives by leak, gain and threshold, unless that is (0, tile). Puts the derivative by `matrix_current` in its
    place."""
    steps, width, real = scale.shape[0], d_weight.shape[1], min(d_weight.shape[1], counts.shape[1] - lo)
    d_base, d_own = np.empty((steps, width), np.float32), np.empty((steps, width), np.float32)
    d_v, slope, power_bits = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.uint32)
    power, d_count = power_bits.view(np.float32), np.zeros(width, np.float32)
    scaled = np.empty(width, np.float32)
    through = f32(0) if detach else f32(1)
    for r in range(begin, end):
        first = r * (1 + steps * (1 + copies))
        for c in range(copies):
            b, place = c * rows + r, c * (end - begin) + r - begin
            d_current = d_own if c else d_base
            _clear(d_v)
            for t in range(steps):
                _clear(d_current[t])
            count = counts[b, lo : lo + real]
            for f in range(real):
                d_count[f] = d_total[place] + f32(2) * d_squares[place] * count[f]
            if len(d_counts):
                given = d_counts[place, lo : lo + real]
                for f in range(real):
                    d_count[f] += given[f]
            for t in range(T - 1, -1, -1):
                h, d_row = potential[place, t], d_current[min(t, steps - 1)]
                _derivative(h, threshold, surrogate, alpha, power_bits, power, slope)
                if len(d_neuron):
                    before = potential[place, t - 1 if t else 0]
                    _of_neurons(d_neuron, before, t == 0, h, slope, d_count, d_v, leak, gain, threshold, hard, through)
                g = _times(gain, scale[min(t, steps - 1), b], scaled)
                if hard:
                    for f in range(width):
                        still = f32(0) if h[f] >= _of(threshold, f) else f32(1)
                        d_h = d_count[f] * slope[f] + d_v[f] * (still - through * h[f] * slope[f])
                        d_v[f] = _of(leak, f) * d_h
                        d_row[f] += _of(g, f) * d_h
                else:
                    for f in range(width):
                        d_h = d_count[f] * slope[f] + d_v[f] * (f32(1) - through * _of(threshold, f) * slope[f])
                        d_v[f] = _of(leak, f) * d_h
                        d_row[f] += _of(g, f) * d_h
            for t in range(steps):
                at = first + 2 + t * (1 + copies) + c
                d_row, d_all = d_current[t], d_base[t]
                _scatter(d_weight, number, value, start[at], start[at + 1], d_row)
                if c:
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
        if len(matrix_current):
            _copy(d_v, matrix_current[r, lo : lo + real])
