"""ASHA (Li et al. 2020, arXiv 1810.05934) as Tune runs it, with a memory: its rungs come from the trials' folders."""

import math
from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from search.cluster import ray_private
from search.config import SearchConfig
from search.execution.fifo import LiveFIFO
from search.names import EPOCH, NUMBER
from search.store.trials_folder import TrialsFolder


class FolderASHA(LiveFIFO, AsyncHyperBandScheduler):
    """Asynchronous successive halving on epochs, filled with what earlier drivers of the search saw.

    Tune keys its rungs by its own trial ids, which a new driver draws anew; until a trial comes back its entries stand
    under its number.

    Args:
        config: of the search.
        on_stop: called with the number of a trial that it stops at a rung.
    """

    def __init__(self, config: SearchConfig, on_stop: Callable[[int], None]) -> None:
        grace, factor = config.rungs
        self.objective, self.on_stop = config.goal, on_stop
        super().__init__(
            time_attr=EPOCH, metric=self.objective.name, mode=self.objective.mode,
            max_t=config.epochs, grace_period=grace, reduction_factor=factor,
        )  # fmt: skip

    def refill(self, folder: TrialsFolder) -> None:
        """Record every rung value that was judged: all but the last report of a trial that has not ended."""
        for trial in folder.trials():
            values = [*map(self.objective.ranked, trial.values(self.objective))]
            judged = values if trial.end() else values[:-1]
            for milestone, recorded in ray_private.rungs(self):
                if len(judged) >= milestone:
                    recorded[str(trial.number)] = -self.objective.cost(judged[int(milestone) - 1])

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        number = str(trial.config[NUMBER])
        for _, recorded in ray_private.rungs(self):
            if number in recorded:
                recorded[trial.trial_id] = recorded.pop(number)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep its rungs under its number: handed out again it has another id at Ray Tune, and was judged at them."""
        super().on_trial_error(tune_controller, trial)
        for _, recorded in ray_private.rungs(self):
            if trial.trial_id in recorded:
                recorded[str(trial.config[NUMBER])] = recorded.pop(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if not math.isfinite(result[self.objective.name]):
            return str(TrialScheduler.STOP)
        decision = str(super().on_trial_result(tune_controller, trial, result))
        if decision == TrialScheduler.STOP:
            self.on_stop(trial.config[NUMBER])
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A last report that is no number stays out of the rungs."""
        if math.isfinite(result.get(self.objective.name, math.nan)):
            super().on_trial_complete(tune_controller, trial, result)
