"""ASHA (Li et al. 2020, arXiv 1810.05934) as Tune runs it, with a memory: its rungs come from the trials' folders."""

import math
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from search.config import SearchConfig
from search.names import EPOCH, NUMBER, OBJECTIVE
from search.store.folder import TrialsFolder


class FolderASHA(AsyncHyperBandScheduler):
    """Asynchronous successive halving on epochs, filled with what earlier drivers of the search saw.

    Tune keys its rungs by its own trial ids, which a new driver draws anew; until a trial comes back its entries stand
    under its number.
    """

    def __init__(self, config: SearchConfig) -> None:
        grace, factor = config.rungs
        super().__init__(
            time_attr=EPOCH, metric=OBJECTIVE, mode="max",
            max_t=config.epochs, grace_period=grace, reduction_factor=factor,
        )  # fmt: skip

    def refill(self, folder: TrialsFolder) -> None:
        """Record every rung value that was judged: all but the last report of a trial that has not ended."""
        for trial in folder.trials():
            history = trial.history()
            judged = history if trial.end() else history[:-1]
            for milestone, recorded in self._brackets[0]._rungs:
                if len(judged) >= milestone:
                    recorded[str(trial.number)] = judged[int(milestone) - 1].val_accuracy

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        number = str(trial.config[NUMBER])
        for _, recorded in self._brackets[0]._rungs:
            if number in recorded:
                recorded[trial.trial_id] = recorded.pop(number)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if not math.isfinite(result[OBJECTIVE]):
            return str(TrialScheduler.STOP)
        return str(super().on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A last report that is no number stays out of the rungs."""
        if math.isfinite(result.get(OBJECTIVE, math.nan)):
            super().on_trial_complete(tune_controller, trial, result)
