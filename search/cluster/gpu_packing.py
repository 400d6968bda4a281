"""How many trials share a GPU: as many as fit by formula, where that is asked for (`--gpus-per-trial auto`).

Whether they gain by it has been measured on no GPU yet.
"""

import re
from collections.abc import Iterable, Sequence

from ffsnn.config import RunConfig
from ffsnn.hardware.memory import bytes_of_weights, bytes_per_image
from ffsnn.validation import ConfigError

FULL = 0.9  # of the free memory of a GPU, that trials may take
CONTEXT_BYTES = 512e6  # of a process on a GPU: CUDA's context and the images


def bytes_of_trial(config: RunConfig) -> float:
    """Memory of a GPU that a trial takes, by formula."""
    fused = config.network.learn == "none"
    batch = config.learning.largest_batch * bytes_per_image(config, fused=fused, device="cuda")
    return CONTEXT_BYTES + bytes_of_weights(config) + batch


def free_bytes(cards: Sequence[str]) -> list[int]:
    """Free memory of GPUs, each `name, free memory, whole memory` as nvidia-smi has it; an unknown one is left out."""
    return [2**20 * int(found[1]) for card in cards if (found := re.search(r", (\d+) MiB, \d+ MiB$", card))]


def trials_per_gpu(configs: Iterable[RunConfig], cards: Sequence[str], most: int) -> int:
    """Number of trials of the largest of some configurations that fit on the fullest GPU; from one to `most`."""
    free = min(free_bytes(cards), default=0)
    return max(1, min(most, int(FULL * free / max(map(bytes_of_trial, configs)))))


def refuse_full(cards: Sequence[str]) -> None:
    """Make sure that a trial can start on one of the GPUs.

    Raises:
        ConfigError: all are full.
    """
    free = free_bytes(cards)
    if free and max(free) < CONTEXT_BYTES:
        raise ConfigError(
            f"a trial needs a GPU with {CONTEXT_BYTES / 1e6:.0f} MB free at least, but there is {'; '.join(cards)}: "
            f"end what is on it (nvidia-smi shows it), or search on CPUs with --device cpu"
        )
