"""The input of a layer as events: which inputs are not silent, when, and how strong.

Spikes are sparse (about one neuron in ten fires in a time step), and so are images. What is more, the time steps of an
image differ in little, and so do its copies under several labels. So the input is written as differences:

    of a row                what is there in more than half of its time steps (or all the time: a constant input)
    of a row's time step    what the first copy has then, less the row's
    of a copy's time step   what it has, less the first copy's; and its label, where the layer sees it

A layer's current is the sum of the weights of these events, each sum built on the one above it, and its gradient is
the transpose of that. Inputs that are seldom 0 are kept as a matrix instead.

Legend: T time steps, R rows (images), B samples (copies x R; sample b shares row b % R), F inputs.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit, types
from numba.cpython.unsafe import numbers
from numba.extending import intrinsic

from ffsnn.kernels.parallel import in_parallel

f32, u32, u64 = np.float32, np.uint32, np.uint64
trailing_zeros: Any = numbers.trailing_zeros
ONES = u64(0x0101010101010101)  # a spike in each byte of a word


class SparseInput(NamedTuple):
    """Lists of events: row r's own is number `r * (1 + steps * (1 + copies))`; those of its time steps follow, each the
    step's own and then one a copy."""

    start: Any  # (lists + 1) int64: where each list begins
    input: Any  # (events) int32: which input
    value: Any  # (events) float32: how strong
    squared_norm: torch.Tensor  # (steps, B): the sum of squares of each sample's input
    rows: int
    copies: int
    steps: int  # 1: the same at every time step
    matrix: torch.Tensor | None = None  # (R, E) float32: the last inputs, if they are no events; steps is 1 then

    @property
    def samples(self) -> int:
        return self.rows * self.copies


def of_images(
    x_TRF: torch.Tensor, labels: int, y: torch.Tensor | None, copies: int, amplitude: float, matrix_inputs: int = 0
) -> SparseInput:
    """Inputs that all copies share, under a label each.

    Args:
        x_TRF: (1 or T, R, F) intensities, float32, or (T, R, F) spikes, uint8; the label's inputs are 0.
        labels: inputs that are the label's, the first ones; 0: none, and the copies are alike.
        y: (copies, R) labels; None: the neutral label, all at 1 / labels.
        copies: samples a row.
        amplitude: input at the label.
        matrix_inputs: inputs, the last ones, that are to be kept as a matrix where they are constant intensities.
    """
    if not matrix_inputs or len(x_TRF) > 1 or x_TRF.dtype == torch.uint8:
        return _collect(x_TRF, True, copies, labels, y, amplitude)
    matrix = x_TRF[0, :, -matrix_inputs:]
    events = _collect(x_TRF[..., :-matrix_inputs], True, copies, labels, y, amplitude)
    squared_norm = events.squared_norm + matrix.square().sum(1).repeat(copies)
    return events._replace(squared_norm=squared_norm, matrix=matrix)


def of_spikes(
    x_TBF: torch.Tensor, copies: int, labels: int = 0, y: torch.Tensor | None = None, amplitude: float = 0.0
) -> SparseInput:
    """Inputs of which each copy has its own: (T, B, F) spikes, uint8, alike in most, or (1, B, F) rates, float32.

    Other arguments as of `of_images`.
    """
    return _collect(x_TBF, False, copies, labels, y, amplitude)


def _collect(
    x: torch.Tensor, shared: bool, copies: int, labels: int, y: torch.Tensor | None, amplitude: float
) -> SparseInput:
    """Count, make room, fill."""
    steps, samples, width = x.shape
    rows, values = samples if shared else samples // copies, x.contiguous().numpy()
    per_label = 0 if not labels else labels if y is None else 1
    label_index = np.zeros((copies, rows), np.int64) if y is None else y.contiguous().numpy()
    label = label_index, per_label, f32(amplitude / max(per_label, 1))
    kernel: Any = _lists_of_numbers
    shown: tuple[Any, ...] = (values, shared)
    if x.dtype == torch.uint8:
        words = -(-width // 64)
        bits, usual = np.empty((steps, samples, words), np.uint64), np.empty((rows, words), np.uint64)
        in_parallel(rows, lambda lo, hi: _bits_of_spikes(lo, hi, values, bits, usual))
        kernel, shown = _lists_of_spikes, (bits, usual, shared)
    start = np.zeros(rows * (1 + steps * (1 + copies)) + 1, np.int64)
    squared_norm = torch.empty(steps, copies * rows)
    shape, none, nothing = (copies, start, squared_norm.numpy()), np.empty(0, np.int32), np.empty(0, f32)
    in_parallel(rows, lambda lo, hi: kernel(lo, hi, False, *shown, *shape, none, nothing, *label))
    np.cumsum(start, out=start)
    number, value = np.empty(start[-1], np.int32), np.empty(start[-1], f32)
    in_parallel(rows, lambda lo, hi: kernel(lo, hi, True, *shown, *shape, number, value, *label))
    return SparseInput(start, number, value, squared_norm, rows, copies, steps)


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _bits_of_spikes(lo: int, hi: int, x: Any, bits: Any, usual: Any) -> None:
    """Rows lo..hi of spikes (T, samples, F) as bits, and which of the first copy's are there in more than half of the
    time steps."""
    (steps, samples, _), rows = x.shape, len(usual)
    eights = np.zeros(8 * usual.shape[1], np.uint64)  # eight spikes a word
    spikes, counted = eights.view(np.uint8), np.empty(eights.size, np.uint64)
    short = u64(max(0, 127 - steps // 2)) * ONES  # of 128, which is a byte's highest bit
    for r in range(lo, hi):
        counted[:] = 0
        for t in range(steps):
            for b in range(r, samples, rows):
                _copy(x[t, b], spikes)
                _pack(eights, bits[t, b])
                if b == r and steps < 128:  # as many as a byte can count
                    for f in range(eights.size):
                        counted[f] += eights[f]
        for f in range(eights.size):
            counted[f] = ((counted[f] + short) >> u64(7)) & ONES
        _pack(counted, usual[r])


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _lists_of_spikes(
    lo: int, hi: int, fill: bool, bits: Any, usual: Any, shared: bool, copies: int, start: Any, squared_norm: Any,
    number: Any, value: Any, label_index: Any, per_label: int, strength: Any,
) -> None:  # fmt: skip
    """Rows lo..hi of spikes: first the lengths of their lists into start[1:], then the lists."""
    steps, (rows, words) = len(bits), usual.shape
    silent = np.zeros(words, np.uint64)
    for r in range(lo, hi):
        at = r * (1 + steps * (1 + copies))
        _list(at, fill, usual[r], silent, start, number, value)
        for t in range(steps):
            at += 1
            _list(at, fill, bits[t, r], usual[r], start, number, value)
            for c in range(copies):
                at += 1
                own = bits[t, r if shared else r + c * rows]
                if c and not shared:
                    _list(at, fill, own, bits[t, r], start, number, value)
                if per_label:
                    _label(at, fill, label_index, c, r, per_label, strength, start, number, value)
                if not fill:
                    squared_norm[t, r + c * rows] = _spikes(own, silent) + per_label * strength * strength


@njit(inline="always")
def _copy(source: Any, target: Any) -> None:
    for f in range(source.size):  # a loop is inlined, an assignment is a call
        target[f] = source[f]


@njit(inline="always")
def _pack(eights: Any, packed: Any) -> None:
    """Pack words with a spike a byte into words with a spike a bit."""
    for f in range(packed.size):
        word = u64(0)
        for k in range(8):
            word |= ((eights[8 * f + k] * u64(0x0102040810204080)) >> u64(56)) << u64(8 * k)
        packed[f] = word


@intrinsic
def _ones(_context: Any, word: Any = None) -> Any:
    """Bits of a word that are set."""
    return types.int64(word), lambda _context, builder, _signature, arguments: builder.ctpop(arguments[0])


@njit(inline="always")
def _spikes(row: Any, base: Any) -> Any:
    """Places where two rows differ."""
    n = 0
    for f in range(row.size):
        n += _ones(row[f] ^ base[f])
    return n


@njit(inline="always")
def _list(at: int, fill: bool, row: Any, base: Any, start: Any, number: Any, value: Any) -> None:
    """List where the spikes of `row` and `base` differ: +1 for one in `row` alone, -1 for one in `base` alone."""
    if not fill:
        start[at + 1] = _spikes(row, base)
    else:
        n = start[at]
        for f in range(row.size):
            word = row[f] ^ base[f]
            while word:
                bit = trailing_zeros(word)
                number[n] = 64 * f + bit
                value[n] = f32(2 * np.int32((row[f] >> u64(bit)) & u64(1)) - 1)
                n += 1
                word &= word - u64(1)


@njit(inline="always")
def _label(
    at: int,
    fill: bool,
    label_index: Any,
    c: int,
    r: int,
    per_label: int,
    strength: Any,
    start: Any,
    number: Any,
    value: Any,
) -> None:
    """List the label behind what the list has already."""
    if fill:
        begin = start[at + 1] - per_label
        for k in range(per_label):
            number[begin + k] = label_index[c, r] if per_label == 1 else k
            value[begin + k] = strength
    else:
        start[at + 1] += per_label


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _lists_of_numbers(
    lo: int, hi: int, fill: bool, x: Any, shared: bool, copies: int, start: Any, squared_norm: Any, number: Any,
    value: Any, label_index: Any, per_label: int, strength: Any,
) -> None:  # fmt: skip
    """Rows lo..hi of intensities: what the copies share is the row's own where it is constant, else the time step's;
    else each copy has all of its own."""
    steps, rows = x.shape[0], x.shape[1] if shared else x.shape[1] // copies
    found = np.empty(x.shape[2] + 1, np.int32)
    for r in range(lo, hi):
        first = r * (1 + steps * (1 + copies))
        for t in range(steps):
            at, squares = first + 1 + t * (1 + copies), f32(0)
            if shared:
                squares = _numbers(at if steps > 1 else first, fill, x[t, r], found, start, number, value)
            for c in range(copies):
                if not shared:
                    squares = _numbers(at + 1 + c, fill, x[t, r + c * rows], found, start, number, value)
                if per_label:
                    _label(at + 1 + c, fill, label_index, c, r, per_label, strength, start, number, value)
                squared_norm[t, r + c * rows] = squares + per_label * strength * strength


@njit(inline="always")
def _numbers(at: int, fill: bool, row: Any, found: Any, start: Any, number: Any, value: Any) -> Any:
    """List what is not 0; its sum of squares."""
    n, squares = 0, f32(0)
    for f in range(row.size):
        found[n] = f
        n += row[f] != 0
        squares += row[f] * row[f]
    if fill:
        for k in range(n):
            number[start[at] + k] = found[k]
            value[start[at] + k] = row[found[k]]
    else:
        start[at + 1] = n
    return squares


def bernoulli(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """Independent spikes (T, B, F), uint8, of probability x: each a hash of its place and a draw of the generator."""
    seed = torch.randint(2**62, (), generator=generator).item()
    spikes = torch.empty(T, *x_BF.shape, dtype=torch.uint8)
    x = x_BF.contiguous().numpy()
    in_parallel(len(x_BF), lambda lo, hi: _bernoulli(lo, hi, u64(seed), x, spikes.numpy()))
    return spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _bernoulli(lo: int, hi: int, seed: Any, x: Any, spikes: Any) -> None:
    width = x.shape[1]
    limit, z = np.empty(width, np.uint32), np.empty(width, np.uint32)
    for b in range(lo, hi):
        for f in range(width):
            limit[f] = u32(x[b, f] * f32(2**24))
        for t in range(spikes.shape[0]):
            key = seed + u64(t * x.shape[0] + b) * u64(0x9E3779B97F4A7C15)  # SplitMix64 of the row's place
            key = (key ^ (key >> u64(30))) * u64(0xBF58476D1CE4E5B9)
            key = (key ^ (key >> u64(27))) * u64(0x94D049BB133111EB)
            low, high = u32(key), u32(key >> u64(32))
            out = spikes[t, b]
            for f in range(width):
                z[f] = (u32(f) * u32(0x9E3779B9) + low) ^ high
            for f in range(width):  # a 32-bit finaliser of little bias, constants by C. Wellons
                z[f] = (z[f] ^ (z[f] >> u32(16))) * u32(0x21F0AAAD)
                z[f] = (z[f] ^ (z[f] >> u32(15))) * u32(0x735A2D97)
                z[f] = z[f] ^ (z[f] >> u32(15))
            for f in range(width):
                out[f] = (z[f] >> u32(8)) < limit[f]
