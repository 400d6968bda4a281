"""Schedulers: which trials are stopped early, by name. Ray Tune asks them; what they have seen is in the folders."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ffsnn.parts import contract
from search.registries import SCHEDULERS

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

    from search.config import SearchConfig
    from search.store.trials_folder import TrialsFolder


class Scheduler(ABC):
    """Stops trials that do not pay."""

    stop_reason: str | None = None  # in the record of the trials that it stops; None: it stops none
    several = False  # it compares by several objectives, and by limits
    lengthens = False  # a search that has ended may be given more epochs: its survivors go on
    rests = False  # trials may rest at a rung, and go on later

    def milestones(self, config: "SearchConfig") -> list[int]:
        """Epochs at which trials are compared; a trial writes a checkpoint at each."""
        first, factor = config.rungs
        return [first * factor**k for k in range(32) if first * factor**k <= config.epochs]

    @abstractmethod
    def build(self, config: "SearchConfig", folder: "TrialsFolder", on_stop: Callable[[int], None]) -> "TrialScheduler":
        """Tune's scheduler, with all that earlier drivers of the search have seen.

        Args:
            config: of the search.
            folder: of its trials.
            on_stop: to be called with the number of each trial that is stopped.
        """

    def survivors(self, config: "SearchConfig", folder: "TrialsFolder") -> list[int]:
        """Trials that it has ended, and that may go on now that the search has more trials."""
        return []

    @abstractmethod
    def describe(self, config: "SearchConfig") -> str:
        """A sentence for the report."""

    def note(self, config: "SearchConfig") -> str:
        """A sentence under the report's table of rungs, for a scheduler that has any."""
        return ""


register = SCHEDULERS.decorator(lambda kind: kind())


@register("asha")
class Asha(Scheduler):
    """Asynchronous successive halving (`search.execution.asha`)."""

    stop_reason = "asha"

    def build(self, config: "SearchConfig", folder: "TrialsFolder", on_stop: Callable[[int], None]) -> "TrialScheduler":
        from search.execution.asha import FolderASHA

        scheduler = FolderASHA(config, on_stop)
        scheduler.refill(folder)
        return scheduler

    def describe(self, config: "SearchConfig") -> str:
        first, factor = config.rungs
        return f"ASHA, first rung after epoch {first}, about one in {factor} is promoted"

    def note(self, config: "SearchConfig") -> str:
        return (
            f"ASHA decides as trials come, without waiting for the rest of a rung: the first ones are promoted more "
            f"easily than about one in {config.rungs[1]}, and overlap with those that were stopped."
        )


@register("promotion")
class Promoted(Scheduler):
    """Asynchronous successive halving as published: trials rest at a rung and may go on later
    (`search.execution.promotion`)."""

    stop_reason = "promotion"
    several = rests = lengthens = True

    def build(self, config: "SearchConfig", folder: "TrialsFolder", on_stop: Callable[[int], None]) -> "TrialScheduler":
        from search.execution.promotion import Promotion

        scheduler = Promotion(config)
        scheduler.refill(folder)
        return scheduler

    def survivors(self, config: "SearchConfig", folder: "TrialsFolder") -> list[int]:
        from search.execution.promotion import Promotion

        scheduler = Promotion(config)
        scheduler.refill(folder, self.stop_reason)
        scheduler.given_up()
        return [trial.number for trial in folder.trials() if trial.end() and scheduler.rests(trial.number)]

    def describe(self, config: "SearchConfig") -> str:
        first, factor = config.rungs
        how = "" if config.goals.is_plain else ", by non-dominated rank and an epsilon-net (MO-ASHA)"
        return (
            f"ASHA by promotion: a trial rests after epoch {first}, and goes on if it is among the best 1/{factor}{how}"
        )

    def note(self, config: "SearchConfig") -> str:
        share = f"1/{config.rungs[1]}"
        return f"A trial rests at a rung, and goes on once it is among the best {share} of all that came to it."


@register("none")
class Unscheduled(Scheduler):
    """Every trial runs to its end."""

    several = lengthens = True

    def build(self, config: "SearchConfig", folder: "TrialsFolder", on_stop: Callable[[int], None]) -> "TrialScheduler":
        from search.execution.fifo import LiveFIFO

        return LiveFIFO()  # type: ignore[no-untyped-call]

    def describe(self, config: "SearchConfig") -> str:
        return "none: every trial runs to its end"


def _broken(scheduler: Scheduler) -> str | None:
    """The rule that a kind of scheduler breaks, tried out on a search without trials; None: it breaks none."""
    from ray.tune.schedulers import TrialScheduler

    from ffsnn.validation import parse
    from search.config import SearchConfig
    from search.store.trials_folder import TrialsFolder
    from spaces.space import Space

    base = {"data": {"dataset": "digits"}, "learning": {"batch_size": 32}}
    tree = {"base": base, "parameters": {"T": {"int": [2, 4]}}, "budget": {"trials": 4, "epochs": 9}}
    space = Space.parse(tree).model_dump(mode="json")
    config = parse(SearchConfig, {"name": "tried", "space": space, "trials": 4, "epochs": 9})
    milestones: object = scheduler.milestones(config)
    if not isinstance(milestones, list) or milestones != sorted({*milestones} & {*range(1, 10)}):
        return f"must have milestones that rise and lie within the epochs (1 to 9), but gave {milestones!r}"
    said: object = scheduler.describe(config)
    if not isinstance(said, str) or not said:
        return f"must describe itself in a sentence, but gave {said!r}"
    with TemporaryDirectory(prefix="ffsnn-") as folder:
        made: object = scheduler.build(config, TrialsFolder(Path(folder)), lambda number: None)
    if not isinstance(made, TrialScheduler):
        return f"must build a ray.tune.schedulers.TrialScheduler, but built {type(made).__name__}"
    return None


contract.CHECKS[SCHEDULERS.kind] = _broken
