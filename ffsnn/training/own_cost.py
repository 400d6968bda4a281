"""The time that parts of one's own cost: a training's steps with them, beside the same steps with compiled parts."""

import time

import torch

from ffsnn.config import RunConfig
from ffsnn.datasets.data import Split
from ffsnn.fields import field_of, registry_of
from ffsnn.hardware.memory import ran_out
from ffsnn.parts.registry import GOODNESS, LOSSES, SURROGATES
from ffsnn.training.trainer import Trainer

BUDGET_S, AT_LEAST = 1.0, 3  # of steps, for both together; steps of each


def shipped(config: RunConfig, on_gpu: bool = False) -> dict[str, str]:
    """Parts of one's own without a compiled path that a configuration names: the fields, and a compiled part of the
    project for each that may stand in the same place. On a GPU learned neuron parameters
    (`network.learn`) have none either."""
    loss = LOSSES[config.learning.loss]
    instead = {
        "network.goodness": None if GOODNESS[config.network.goodness].statistic != "counts" else "mean_square",
        "network.surrogate": None if SURROGATES[config.network.surrogate].compiled else "atan",
        "learning.loss": None if loss.compiled else "threshold" if loss.has_theta else "swish",
    }
    found = {}
    if config.network.learn != "none" and on_gpu:
        found["network.learn"] = "none"
    for path, part in instead.items():
        registry = registry_of(path)
        assert registry is not None
        if part and registry.origin(field_of(config, path)) is not None:
            found[path] = part
    return found


def measured(config: RunConfig, split: Split) -> list[str]:
    """A line that says what a configuration's own parts cost, measured on the device of its data; none, if it has none,
    or if two networks do not fit there at once.

    The shortest step of each counts: whatever else the machine does only makes one longer.
    """
    if not (instead := shipped(config, split.train.x.is_cuda)):
        return []
    try:
        return _measured(config, split, instead)
    except (MemoryError, RuntimeError) as error:
        if ran_out(error):
            return []
        raise


def _measured(config: RunConfig, split: Split, instead: dict[str, str]) -> list[str]:
    other = config.replaced({**instead, "network.learn_scope": "layer"} if "network.learn" in instead else instead)
    with_own, without = (_Steps(it, split) for it in (config, other))
    for steps in (with_own, without):
        steps.take()  # the first one compiles
        steps.best = float("inf")
    until, taken = time.perf_counter() + BUDGET_S, 0
    while taken < AT_LEAST or time.perf_counter() < until:
        with_own.take()
        without.take()
        taken += 1
    named = " and ".join(f"{path.partition('.')[2]}={field_of(config, path)}" for path in instead)
    times, others = with_own.best / without.best, " and ".join(instead.values())
    return [
        f"{named}: a step takes {times:.1f} times as long as with {others} "
        f"(measured: {1e3 * with_own.best:.1f} ms against {1e3 * without.best:.1f} ms)"
    ]


class _Steps:
    """Training steps of a configuration, always on its first batch, and the shortest time of one in seconds."""

    def __init__(self, config: RunConfig, split: Split) -> None:
        self.trainer, self.best = Trainer(config, split), float("inf")
        self.index = torch.arange(config.learning.batch_size, device=split.train.x.device)

    def take(self) -> None:
        start = time.perf_counter()
        shown = self.trainer.train_batch(self.index, 0)
        shown.sum().item()  # waits for a GPU
        self.best = min(self.best, time.perf_counter() - start)
