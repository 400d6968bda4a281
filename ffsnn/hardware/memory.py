"""What a training step needs, by formula, and the error that says so when there is not enough.

Legend: T time steps, F inputs of a layer, H its neurons.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from ffsnn.config import RunConfig
from ffsnn.parts.registry import ENCODERS, FEATURES
from ffsnn.shapes import layer_shapes

EVENT = 8  # bytes: an input's number and its value
NOISE = 5  # bytes: a uniform number, and how it compares
BUSY = 0.2  # events, as a share of a row's inputs and time steps: what is seen in trained networks, rounded up
FULL = 0.9  # of the free memory that a batch may take


class OutOfMemory(RuntimeError):
    """A batch did not fit."""


def bytes_per_image(config: RunConfig, fused: bool, device: str = "cpu") -> int:
    """Memory for an image of a batch at the widest layer of a step, or while its features are computed, on a type of
    device ("cpu" or "cuda").

    Fused, a layer keeps the spikes that it hands on and a few numbers a neuron; besides, on a CPU its input as bits and
    as events, on a GPU its input in the products' type, the currents and their gradient. Otherwise autograd keeps the
    currents, potentials and spikes of all time steps.
    """
    network, samples = config.network, config.learning.copies
    T, number_bytes = network.T, 2 if config.learning.precision == "bfloat16" else 4
    worst = 4 * FEATURES[network.features].scratch * config.data.facts.inputs
    for number, shape in enumerate(layer_shapes(config)):
        (F, H), copies = (shape.inputs, shape.width), 1 if number == 0 else samples
        steps = 1 if shape.constant else T
        seen = steps * copies * F * (4 if shape.constant or shape.varying else 1)
        if not fused:
            layer = seen + samples * T * H * 4 * 6
        elif device == "cuda":
            products = steps * copies * (F + 2 * H) * number_bytes
            drawn = NOISE * steps * copies * F if ENCODERS[network.encoder].random else 0
            arrived = 0 if number and network.between == "spikes" else seen  # else in the products' type, as it came
            layer = arrived + max(products, drawn) + samples * H * (T * number_bytes + 4 * 2)
        else:
            handed_on = T if number + 1 < len(network.widths) and network.between == "spikes" else 0
            events = int(steps * copies * F * (1 / 8 + EVENT * BUSY))
            layer = seen + events + samples * H * (handed_on + 4 * 2)
        if number:  # what the layer before has handed on is there, too, where label or dropout change it
            changed = bool(shape.labels) + bool(config.learning.dropout)
            layer += changed * seen * (number_bytes if fused and device == "cuda" and not shape.constant else 1)
        worst = max(worst, layer)
    return worst


def bytes_of_weights(config: RunConfig) -> int:
    """Memory of a step for any batch: the weights' working copies, gradients and moments, six numbers a weight; two
    more where they are averaged."""
    return 4 * (8 if config.learning.average else 6) * sum(shape.weights for shape in layer_shapes(config))


def free_bytes(device: torch.device) -> int:
    """Memory that this process may still take; on a GPU with what torch holds for it already, in use or not."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    own, free = psutil.Process().memory_info(), int(psutil.virtual_memory().available)
    for limit, used in ((resource.RLIMIT_DATA, own.data), (resource.RLIMIT_AS, own.vms)):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            free = min(free, max(0, most - used))
    return free


def gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def ran_out(error: BaseException) -> bool:
    """True if an allocation failed: Python's, torch's on either device, or one of CUDA's libraries'."""
    if isinstance(error, OutOfMemory | MemoryError | torch.OutOfMemoryError):
        return True
    said = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(text in str(error) for text in said)


@contextmanager
def explain_out_of_memory(config: RunConfig, device: torch.device, fused: bool) -> Iterator[None]:
    """Turn a failed allocation into a line that says what would fit.

    Raises:
        OutOfMemory: there was not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, OutOfMemory) or not ran_out(error):
            raise
        batch, each = config.learning.largest_batch, bytes_per_image(config, fused, device.type)
        weights, free = bytes_of_weights(config), free_bytes(device)
        fits = max(0, int((FULL * free - weights) / each))
        advice = f"about {min(fits, batch - 1):,} would fit" if fits else "not even one image would fit"
        memory, mend = "memory", "lower learning.batch_size"
        if device.type == "cuda":
            memory = f"the memory of {card(device)}, of which it needs about {gib((weights + batch * each) / FULL)}"
            mend += ", or end what else is on the GPU"
        raise OutOfMemory(
            f"a batch of {batch:,} images did not fit into {memory}, with widths={list(config.network.widths)} and "
            f"T={config.network.T}: {advice}; {mend}"
        ) from error


@contextmanager
def uploading(device: torch.device) -> Iterator[None]:
    """Turn a GPU that has no room even for the images into a line that says so.

    Raises:
        OutOfMemory: it has none.
    """
    try:
        yield
    except RuntimeError as error:
        if device.type != "cuda" or not ran_out(error):
            raise
        raise OutOfMemory(
            f"the images did not fit into the memory of {card(device)}: end what else is on it, or take another device"
        ) from error


def card(device: torch.device) -> str:
    """A GPU and how full it is, e.g. `NVIDIA H100 (1.5 GiB free of 79.1 GiB)`."""
    try:
        free, total = map(gib, torch.cuda.mem_get_info(device))
    except RuntimeError:  # there is not even room to ask
        free, total = gib(0), gib(torch.cuda.get_device_properties(device).total_memory)
    return f"{torch.cuda.get_device_name(device)} ({free} free of {total})"
