"""What a training step needs, by formula, and the error that says so when there is not enough.

Legend: T time steps, F inputs of a layer, H its neurons.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from ffsnn.config import RunConfig

COPIES = 2  # of an image: the positive and the negative sample
EVENT = 8  # bytes: an input's number and its value
BUSY = 0.2  # events, as a share of a row's inputs and time steps: what is seen in trained networks, rounded up
FULL = 0.9  # of the free memory that a batch may take


class OutOfMemory(RuntimeError):
    """A batch did not fit."""


def bytes_per_image(config: RunConfig, fused: bool) -> int:
    """What an image of a batch takes at the widest layer of a step.

    Fused, a layer keeps its spikes, a byte each, the events of its input, and a few numbers a neuron. Otherwise
    autograd keeps the currents, potentials and spikes of all time steps.
    """
    network, side = config.network, config.data.facts.side
    T, inputs = network.T, side**2 + (config.data.facts.classes if network.label == "appended" else 0)
    sizes = [inputs, *network.widths]
    worst = 0
    for number, (F, H) in enumerate(zip(sizes, network.widths, strict=False)):
        copies = 1 if number == 0 else COPIES
        steps = 1 if number == 0 and network.encoder == "direct" else T
        seen = steps * copies * F * (4 if steps == 1 else 1)
        if fused:
            worst = max(worst, int(seen + EVENT * BUSY * seen) + COPIES * H * (T + 4 * 6))
        else:
            worst = max(worst, seen + COPIES * T * H * 4 * 6)
    return worst


def bytes_of_weights(config: RunConfig) -> int:
    """What a step takes for any batch: the weights' working copies, gradients and moments, six numbers a weight."""
    sizes = [config.data.facts.side**2, *config.network.widths]
    return 4 * 6 * sum(F * H for F, H in zip(sizes, config.network.widths, strict=False))


def free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    own, free = psutil.Process().memory_info(), int(psutil.virtual_memory().available)
    for limit, used in ((resource.RLIMIT_DATA, own.data), (resource.RLIMIT_AS, own.vms)):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            free = min(free, max(0, most - used))
    return free


@contextmanager
def watched(config: RunConfig, device: torch.device, fused: bool) -> Iterator[None]:
    """Turn a failed allocation into a line that says what would fit.

    Raises:
        OutOfMemory: there was not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        ours = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not ours:
            raise
        room = FULL * free_bytes(device) - bytes_of_weights(config)
        batch, fits = config.learning.batch_size, max(0, int(room / bytes_per_image(config, fused)))
        advice = f"about {min(fits, batch - 1):,} would fit" if fits else "not even one image would fit"
        raise OutOfMemory(
            f"a batch of {batch:,} images did not fit into memory, with widths={list(config.network.widths)} and "
            f"T={config.network.T}: {advice}; lower learning.batch_size"
        ) from error
