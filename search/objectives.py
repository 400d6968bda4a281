"""Objectives: what a search is after, by name; a function of an epoch of a trial's history."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from ffsnn.parts import contract
from search.registries import OBJECTIVES

if TYPE_CHECKING:
    from ffsnn.config import RunConfig
    from ffsnn.datasets.dataset import Images
    from ffsnn.inspection.energy import Energy
    from ffsnn.network import Network
    from ffsnn.training.epoch_metrics import EpochMetrics

Value = Callable[["EpochMetrics", Callable[[], "RunConfig"]], float]  # an epoch, the trial's configuration if asked
Measure = Callable[["Network", "Images"], float]  # a trained network, images on its device


@dataclass(frozen=True)
class Objective:
    """One number an epoch, and which way is better."""

    value: Value
    name: str  # of the metric, wherever it is reported: Tune, MLflow, tables
    title: str  # for a person, in a sentence
    direction: Literal["maximize", "minimize"]
    worst: float  # what a sampler is told of a trial that diverged
    is_share: bool = False  # shown as a percentage
    alias: str = ""  # a short name, which a person may write too
    by_config: bool = False  # it follows from the configuration alone, before any training
    measure: Measure | None = None  # it can be measured of a trained network on other images, such as the test images
    each_epoch: bool = False  # it is measured so on validation images after every epoch, for training does not tell it

    @property
    def short(self) -> str:
        """Its short name."""
        return self.alias or self.name

    def of_config(self, config: "RunConfig") -> float:
        """The value of a configuration, of one that follows from it alone."""
        assert self.by_config
        return self.value(_an_epoch(), lambda: config)

    def ranked(self, value: float) -> float:
        """A value that it gave; the worst one where that is no finite number, by which nothing could be ranked."""
        return value if math.isfinite(value) else self.worst

    def is_unknown(self, value: float) -> bool:
        """True if the objective could not be computed: its function gave `UNTOLD`, which is its worst value."""
        return value == UNTOLD == self.worst

    @property
    def mode(self) -> str:
        """The direction as Ray Tune calls it."""
        return self.direction[:3]

    def cost(self, value: float) -> float:
        """The value turned so that less is better: to sort by."""
        return -value if self.direction == "maximize" else value

    def best(self, values: list[float]) -> float:
        return min(values, key=self.cost)

    def show(self, value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:.2%}" if self.is_share else f"{value:.5g}"


register = OBJECTIVES.decorator(Objective, named=True)
DEFAULT = "val_accuracy"
UNTOLD = 1e12  # a cost that is not known


def _accuracy_on(network: "Network", images: "Images") -> float:
    return network.accuracy(images.x, images.y)


def _energy_on(network: "Network", images: "Images") -> "Energy":
    from ffsnn.inspection.energy import measure

    return measure(network, images)


def _latency_on(network: "Network", images: "Images") -> float:
    from ffsnn.inference.latency import milliseconds

    return milliseconds(network, images.x)


@register(
    DEFAULT, title="validation accuracy", direction="maximize", worst=0.0, is_share=True, alias="accuracy",
    measure=_accuracy_on,
)  # fmt: skip
def val_accuracy(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Share of the validation images that are predicted rightly."""
    return epoch.val_accuracy


def _energy(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> "Energy | None":
    from ffsnn.inspection.energy import of_rates

    return of_rates(config(), epoch.firing_rate, epoch.input_spikes)


@register(
    "nanojoules_per_sample", title="energy estimate of a sample (nJ)", direction="minimize", worst=UNTOLD,
    alias="energy", measure=lambda network, images: _energy_on(network, images).nanojoules,
)  # fmt: skip
def energy(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Estimated energy of a sample (`ffsnn.inspection.energy`); of no use alone: a silent network takes least."""
    found = _energy(epoch, config)
    return UNTOLD if found is None else found.nanojoules


@register(
    "synaptic_operations_per_sample", title="synaptic operations of a sample", direction="minimize", worst=UNTOLD,
    alias="synops", measure=lambda network, images: sum(_energy_on(network, images).synaptic_operations),
)  # fmt: skip
def synaptic_operations(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Additions that spikes cause (`ffsnn.inspection.energy`); multiply-adds of intensities are in the energy alone."""
    found = _energy(epoch, config)
    return UNTOLD if found is None else sum(found.synaptic_operations)


@register(
    "spikes_per_sample", title="spikes of a sample", direction="minimize", worst=UNTOLD, alias="spikes",
    measure=lambda network, images: sum(_energy_on(network, images).spikes),
)  # fmt: skip
def spikes(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Spikes that all layers fire for a sample, all time steps together."""
    from ffsnn.inspection.energy import spikes_of

    return spikes_of(config(), epoch.firing_rate)


@register("time_steps", title="time steps T", direction="minimize", worst=UNTOLD, alias="T", by_config=True)
def time_steps(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """T: how many time steps a network is shown a sample for, which a prediction's latency grows with."""
    return float(config().network.T)


@register("parameters", title="trained weights", direction="minimize", worst=UNTOLD, alias="weights", by_config=True)
def weights(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Number of weights of all layers."""
    from ffsnn.shapes import layer_shapes

    return float(sum(it.weights for it in layer_shapes(config())))


@register("seconds_per_epoch", title="training seconds an epoch", direction="minimize", worst=UNTOLD, alias="seconds")
def seconds(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Seconds of the epoch's training and validation, as measured: another run has others."""
    return epoch.seconds


@register(
    "milliseconds_per_prediction", title="prediction latency (ms)", direction="minimize", worst=UNTOLD,
    alias="latency", measure=_latency_on, each_epoch=True,
)  # fmt: skip
def latency(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Milliseconds from an image to its label on the trial's device (`ffsnn.inference.latency`), as measured."""
    return epoch.measured.get("milliseconds_per_prediction", UNTOLD)


def named(text: str) -> str:
    """Full name of the objective that is meant by its name or its short one.

    Raises:
        ValueError: there is none; one line that names those there are.
    """
    full = {objective.alias: name for name, objective in OBJECTIVES.items() if objective.alias}
    return full.get(text) or OBJECTIVES.check(text)


def canonical(asked: Any) -> Any:
    """Objectives as they are stored: full names, with commas between; one alone as its name.

    Args:
        asked: `accuracy:max,synops:min`, or a list of such texts.

    Raises:
        ValueError: one is unknown, stands twice, or is said to be better in the wrong direction; one line.
    """
    listed = asked.split(",") if isinstance(asked, str) else asked
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(it, str) for it in listed):
        raise ValueError(f"must be names of objectives, such as 'accuracy,synops', but got {asked!r}")
    names = []
    for text in listed:
        name, _, direction = (part.strip() for part in text.partition(":"))
        name = named(name)
        mode = OBJECTIVES[name].mode
        if direction and direction not in (mode, OBJECTIVES[name].direction):
            raise ValueError(f"{name} is better the {_BETTER[mode]}: write {name}:{mode} or {name}, but got {text!r}")
        if name in names:
            raise ValueError(f"{name} stands twice in {asked!r}: leave one out")
        names.append(name)
    return ",".join(names)


_BETTER = {"max": "larger it is", "min": "smaller it is"}


class Named:
    """As `Annotated[str, Named()]` the type of a configuration field that names one objective or several."""

    homes = OBJECTIVES.homes

    def __iter__(self) -> Iterator[str]:
        yield from OBJECTIVES

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(canonical, handler(source))


def _an_epoch() -> "EpochMetrics":
    """A made-up epoch, to try an objective on."""
    from ffsnn.training.epoch_metrics import EpochMetrics

    return EpochMetrics(1, (0.5, 0.4), (0.3, 0.2), (0.1, 0.1), (0.1, 0.2), 0.9, 1000.0, 2.0)


def _broken(objective: Objective) -> str | None:
    """The rule that an objective breaks, tried on a made-up epoch; None: it breaks none."""
    from ffsnn.config import RunConfig

    if objective.each_epoch and objective.measure is None:
        return "must have a measure, a function of a network and images, to be measured after each epoch"
    epoch = replace(_an_epoch(), measured={objective.name: 1.0} if objective.each_epoch else {})
    value: object = objective.value(epoch, RunConfig)  # of someone else's making, whatever the types promise
    direction: str = objective.direction
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"must give a finite number for an epoch, but gave {value!r}"
    if direction not in ("maximize", "minimize"):
        return f"must have direction='maximize' or 'minimize', but got {direction!r}"
    if not math.isfinite(objective.worst):
        return f"must have a finite worst value, the worst that can occur, but got {objective.worst!r}"
    return None


contract.CHECKS[OBJECTIVES.kind] = _broken
