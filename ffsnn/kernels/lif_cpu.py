"""A layer of LIF neurons on a CPU, from its input's events to its spikes, its loss and the loss's gradient.

What makes it fast is what a spiking network is about: a current is summed over the inputs that fired, not over all of
them, and what the copies of an image share is summed once (`sparse_input.py`). What makes it lean: a layer's loss is a
mean over images and depends on their spikes through counts alone, and no gradient passes to the layer below. So a few
images pass forward, have their loss and pass back before the next ones come: their potentials never leave the cache,
and nothing of size T is kept but the spikes, a byte each, if the next layer wants them.

A tile of neurons passes over these images before the next one does, so that its weights stay in the second-level cache.
Inputs that are a matrix (`SparseInput.matrix`) are multiplied by their weights for all images, before and after that.

Legend: T time steps, R rows (images), B samples = copies x R (sample b shares row b % R), F inputs, H neurons.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ffsnn.kernels import sparse_input
from ffsnn.kernels.lif_kernels import SURROGATES, backward, forward
from ffsnn.kernels.loss_gradients import GoodnessLoss, LossGradients
from ffsnn.kernels.parallel import in_parallel, threads
from ffsnn.kernels.sparse_input import SparseInput
from ffsnn.neuron import LIF

WEIGHT_TILE_BYTES = 2**21  # bytes of weights that a tile may have
POTENTIAL_BYTES = 2**21  # bytes of potentials, for each such tile, that rows which pass at once may have
BLOCK = 256  # neurons whose product with a matrix of inputs is one piece of work, however many threads there are
ALIGNMENT = 64  # neurons: a whole number of vectors on any CPU, and of cache lines

f32 = np.float32


@cache
def compile_once(own: bool = False) -> None:
    """Compile the kernels, or load them from numba's cache (beside these files); one process compiles, others wait.

    About 10 s once a machine, then 0.5 s a process. `own`: those for learned neuron parameters, too.
    """
    with (Path(tempfile.gettempdir()) / f"ffsnn-compile-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        from ffsnn.config import LearningConfig, NetworkConfig

        lif, loss = LIF.of(NetworkConfig()), GoodnessLoss(LearningConfig(), squared=True, unit=1.0)
        weight, y = torch.zeros(8, 1, requires_grad=True), torch.zeros(2, 1, dtype=torch.int64)
        spikes = sparse_input.bernoulli(torch.zeros(2, 8), 1, torch.Generator())
        for seen in (sparse_input.of_images(torch.zeros(1, 1, 8), 1, y, 2, 1.0), sparse_input.of_spikes(spikes, 2)):
            with torch.enable_grad():  # the first use may be a prediction
                neurons = torch.ones(3, 1) if own else None
                SpikingLayer.apply(weight, seen, torch.ones(1, 2), 1, lif, True, loss, neurons)


class SpikingLayer(torch.autograd.Function):
    """`(weight, seen, scale, T, lif, wants_spikes, loss_of, neurons) -> (spikes, total, squares, counts, loss)`.

    weight  (F, H) float32 or bfloat16; has a gradient, by the loss alone
    neurons (3, H) float32, leak, gain and threshold of each neuron, where they learn them; has a gradient, too. None:
            they are the lif's
    scale   (1 or T, B) float32, what a sample's current is multiplied by
    loss_of loss and derivatives of some rows: (begin, end, total (tiles, B), squares (tiles, B), counts); None: no loss
    spikes  (T, B, H) uint8; (0, B, H) where they are not wanted
    total, squares  (B,) float32, sums of a sample's counts and of their squares; counts (B, H) float32; loss ()
    """

    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, seen: SparseInput, scale: torch.Tensor, T: int, lif: LIF, wants_spikes: bool,
        loss_of: Callable[..., LossGradients] | None, own: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        (rows, copies, samples), H = (seen.rows, seen.copies, seen.samples), weight.shape[1]
        learns = loss_of is not None and ctx.needs_input_grad[0]
        events = weight.shape[0] - (0 if seen.matrix is None else seen.matrix.shape[1])
        tiles, loss = in_tiles(weight.detach()[:events]), 0.0
        current = torch.empty(0, H) if seen.matrix is None else product(seen.matrix, weight.detach()[events:].float())
        room = POTENTIAL_BYTES * -(-weight[:events].nbytes // WEIGHT_TILE_BYTES)
        batch_rows = max(1, min(rows, room // (4 * T * copies * H)) if learns else rows)
        d_tiles = torch.zeros(tiles.shape if learns else 0)
        potential = torch.empty(len(tiles), *((copies * batch_rows, T) if learns else (1, 1)), tiles.shape[2])
        spikes = torch.empty(T if wants_spikes else 0, samples, H, dtype=torch.uint8)
        counts, (total, squares) = torch.empty(samples, H), torch.empty(2, len(tiles), samples)
        neurons = (
            seen.start, seen.input, seen.value, rows, copies, scale.contiguous().numpy(), lif.reset == "hard",
            counts.numpy(), current.numpy(),
        )  # fmt: skip
        parameters, d_own = _parameters(lif, own, tiles)
        surrogate = lif.detach_reset, SURROGATES.index(lif.surrogate), f32(lif.surrogate_alpha)
        sums = total.numpy(), squares.numpy()
        ahead = _numpy(tiles), potential.numpy(), *sums, *parameters
        back = potential.numpy(), d_tiles.numpy(), *parameters, d_own.numpy()
        for begin in range(0, rows, batch_rows):
            end = min(begin + batch_rows, rows)
            _each_tile(forward, ahead, T, begin, end, *neurons, spikes.numpy())
            if loss_of is not None:
                part, *gradients = loss_of(begin, end, *sums, counts.numpy())
                loss += part
                if learns:
                    _each_tile(backward, back, T, begin, end, *neurons, *surrogate, *gradients)
        if learns:
            ctx.d_weight = from_tiles(d_tiles, H)
            if seen.matrix is not None:
                d_current = current  # in its place `backward` has put its derivative
                ctx.d_weight = torch.cat([ctx.d_weight, product(seen.matrix.T, d_current)])
            ctx.d_own = None if own is None else from_tiles(d_own, H)
        ctx.set_materialize_grads(False)
        result = spikes, total.sum(0), squares.sum(0), counts
        ctx.mark_non_differentiable(*result)
        return *result, torch.tensor(loss)

    @staticmethod
    def backward(ctx: Any, *d_answer: torch.Tensor) -> Any:
        d_own = None if ctx.d_own is None else ctx.d_own * d_answer[-1]
        return ctx.d_weight * d_answer[-1], None, None, None, None, None, None, d_own


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a (N, M) times b (M, H), by blocks of neurons."""
    result = torch.empty(len(a), b.shape[1])

    def work(lo: int, hi: int) -> None:
        for n in range(lo, hi):
            block = slice(n * BLOCK, (n + 1) * BLOCK)
            result[:, block] = a @ b[:, block]

    in_parallel(-(-b.shape[1] // BLOCK), work)
    return result


def in_tiles(weight: torch.Tensor) -> torch.Tensor:
    """(F, H) -> (tiles, F, width): each tile a piece of memory about as large as the cache, its width whole vectors.

    There is about a tile a thread at least; the neurons added to fill the last one are silent.
    """
    inputs, neurons = weight.shape
    vectors = -(-neurons // ALIGNMENT)
    tiles = min(vectors, max(threads(), -(-weight.element_size() * inputs * neurons // WEIGHT_TILE_BYTES)))
    width = -(-vectors // tiles) * ALIGNMENT
    tiles = -(-neurons // width)
    padded = torch.nn.functional.pad(weight, (0, tiles * width - neurons))
    return padded.view(inputs, tiles, width).transpose(0, 1).contiguous()


def from_tiles(tiles: torch.Tensor, neurons: int) -> torch.Tensor:
    """Inverse of `in_tiles`."""
    return tiles.transpose(0, 1).flatten(1)[:, :neurons].contiguous()


def _parameters(lif: LIF, own: torch.Tensor | None, tiles: torch.Tensor) -> tuple[list[Any], torch.Tensor]:
    """Leak, gain and threshold, as numbers or by tiles (tiles, width); and room for their gradients (tiles, 3, width).

    Neurons that fill a tile have a threshold, for they are to be silent, and a gain, for it is divided by.
    """
    count, _, width = tiles.shape
    if own is None:
        return [f32(lif.leak), f32(lif.gain), f32(lif.v_threshold)], torch.zeros(count, 0, width)
    padded = torch.nn.functional.pad(own.detach(), (0, count * width - own.shape[1]), value=1.0)
    return list(padded.view(3, count, width).numpy()), torch.zeros(count, 3, width)


def _numpy(tiles: torch.Tensor) -> Any:
    return tiles.view(torch.uint16).numpy() if tiles.dtype == torch.bfloat16 else tiles.numpy()


def _each_tile(kernel: Any, tiled: Sequence[Any], *arguments: Any) -> None:
    """Threads share the tiles, so no two write to the same weight, and the bits do not depend on how many there are.

    `tiled` are arrays whose first axis counts tiles, of which each call gets one entry; numbers go to every call.
    """

    def work(lo: int, hi: int) -> None:
        for n in range(lo, hi):
            each = (it[n] if isinstance(it, np.ndarray) else it for it in tiled)
            kernel(n * tiled[0].shape[-1], *each, *arguments)

    in_parallel(len(tiled[0]), work)
