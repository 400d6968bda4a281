"""What an epoch of training was, as it is yielded, written to a run's history and read back."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ffsnn.validation import ConfigError

SINGLE_PRECISION = 1e-7  # how far an accuracy may be off that was rounded to it


class NewerRecord(ConfigError):
    """A record was written by a newer version, and is left as it is."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}, which this version of ffsnn does not know: it was written by a newer one; use that")


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch. Tuples hold a value a layer, averaged over the epoch's samples."""

    epoch: int  # counted from 1
    loss: tuple[float, ...]
    goodness_pos: tuple[float, ...]
    goodness_neg: tuple[float, ...]
    firing_rate: tuple[float, ...]  # spikes a neuron and time step
    val_accuracy: float  # NaN, which JSON has as null: of a final fit, which has no validation images
    images_per_second: float  # training alone
    seconds: float  # training and validation
    input_spikes: float = 0.0  # that the image of a sample sends; 0: a constant current
    measured: dict[str, float] = field(default_factory=dict)  # of the network on validation images, where asked for

    def json(self) -> dict[str, Any]:
        """All of it; nothing is said of what was not measured, as in records of earlier versions."""
        tree = asdict(self)
        if not self.is_validated:
            tree["val_accuracy"] = None
        return tree if self.measured else {name: value for name, value in tree.items() if name != "measured"}

    @property
    def is_validated(self) -> bool:
        return not math.isnan(self.val_accuracy)

    @classmethod
    def parse(cls, tree: dict[str, Any]) -> "EpochMetrics":
        """Build from `json()`, as it was read.

        Raises:
            NewerRecord: it is whole, and has a field that this version does not know.
            TypeError: it is damaged.
        """
        if not isinstance(tree, dict):
            raise TypeError(f"an epoch's record is a mapping, but got {tree!r}")
        known = {it.name for it in fields(cls)}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in tree.items()}
        if values.get("val_accuracy", 0.0) is None:
            values["val_accuracy"] = math.nan
        epoch = cls(**{name: value for name, value in values.items() if name in known})
        if unknown := values.keys() - known:
            raise NewerRecord(f"an epoch's record has {', '.join(sorted(unknown))}")
        return epoch


def best_of(history: Sequence[EpochMetrics]) -> EpochMetrics:
    """The first epoch that has the best validation accuracy; of a final fit, the last one.

    Earlier versions rounded accuracies to single precision: by so little no epoch is better than another.
    """
    if not history[-1].is_validated:
        return history[-1]
    best = history[0]
    for epoch in history[1:]:
        if epoch.val_accuracy > best.val_accuracy + SINGLE_PRECISION:
            best = epoch
    return best
