"""Optuna under Tune's searcher interface: the study says which trials exist, the folders say what became of them.

To resume is to start again on the same folder: `StudySearcher` first brings the study up to date, then hands back the
trials that had not ended, then asks for new ones until the budget is met.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from ffsnn.config import RunConfig
from search import samplers
from search.folder import End, SearchConfig, SearchFolder, TrialFolder
from search.names import FOLDER, NUMBER, OBJECTIVE, THREADS
from spaces.space import Float, Int, Sample, Space

TOLD = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


def open_study(folder: SearchFolder) -> optuna.Study:
    """The search's study, in Optuna's journal."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder.study_file))),
        study_name=folder.name, direction="maximize", load_if_exists=True,
    )  # fmt: skip


def suggest(space: Space, trial: optuna.Trial) -> Sample:
    """A sample of the space, parameter by parameter, leaving out those whose condition does not hold."""
    sample: dict[str, Any] = {}
    for path, parameter in space.parameters.items():
        if not space.active(path, sample):
            continue
        if isinstance(parameter, Float):
            sample[path] = trial.suggest_float(path, *parameter.float, log=parameter.log)
        elif isinstance(parameter, Int):
            sample[path] = trial.suggest_int(path, *parameter.int, log=parameter.log)
        else:
            sample[path] = trial.suggest_categorical(path, parameter.choice)
    return sample


def reconcile(folder: SearchFolder, study: optuna.Study) -> list[int]:
    """Tell the study what the folders know; returns the numbers of the trials that have not ended."""
    unfinished = []
    for frozen in study.get_trials(deepcopy=False):
        if not frozen.state.is_finished():
            trial = folder.trial(frozen.number)
            if trial.end():
                tell(study, trial)
            else:
                unfinished.append(frozen.number)
    return unfinished


def tell(study: optuna.Study, trial: TrialFolder) -> None:
    """Report a trial that has ended, each epoch's value at its epoch; nothing where the study knows already."""
    end, history = trial.end(), trial.history()
    assert end is not None
    frozen = study.get_trials(deepcopy=False)[trial.number]
    if frozen.state.is_finished():
        return
    live = optuna.trial.Trial(study, frozen._trial_id)
    for epoch in history:
        if epoch.epoch not in frozen.intermediate_values:
            live.report(epoch.val_accuracy, epoch.epoch)
    live.set_user_attr("stop_reason", end.reason)
    study.tell(trial.number, history[-1].val_accuracy if end.state == "complete" else None, TOLD[end.state])


class StudySearcher(Searcher):
    """Tune's searcher over a search folder; single-threaded, in the driver.

    Args:
        folder: the search.
        config: what it may spend.
        base: configuration of every trial, but for its sample.
        threads: CPU threads of a trial.
        changed: called with a trial's number whenever its folder has news.
    """

    def __init__(
        self, folder: SearchFolder, config: SearchConfig, base: RunConfig, threads: int, changed: Callable[[int], None]
    ) -> None:
        super().__init__(metric=OBJECTIVE, mode="max")
        self.folder, self.search, self.base, self.threads, self.changed = folder, config, base, threads, changed
        self.study = open_study(folder)
        self.unfinished = reconcile(folder, self.study)
        self.asked = len(self.study.get_trials(deepcopy=False))
        self.numbers: dict[str, int] = {}  # Tune's trial id -> ours
        self.deadline = time.monotonic() + config.time_budget * 60 if config.time_budget else None

    @property
    def out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def suggest(self, trial_id: str) -> Any:
        if self.out_of_time:
            return Searcher.FINISHED
        if self.unfinished:
            number = self.unfinished.pop(0)
        elif self.asked < self.search.trials:
            self._set_sampler(self.asked)
            number = self.study.ask().number
            self.asked += 1
        else:
            return Searcher.FINISHED
        trial = self.folder.trial(number)
        if not (trial.path / "config.json").exists():
            self._set_sampler(number)
            live = optuna.trial.Trial(self.study, self.study.get_trials(deepcopy=False)[number]._trial_id)
            trial.create(self.search.space.apply(suggest(self.search.space, live), self.base))
        self.numbers[trial_id] = number
        self.changed(number)
        return {NUMBER: number, FOLDER: str(Path(trial.path)), THREADS: self.threads}

    def _set_sampler(self, number: int) -> None:
        self.study.sampler = samplers.build(self.search.sampler, self.search.seed, number)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.changed(self.numbers[trial_id])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial = self.folder.trial(self.numbers[trial_id])
        if trial.end() is None:
            trial.write_end(self._end(trial, error))
        tell(self.study, trial)
        self.changed(trial.number)

    def _end(self, trial: TrialFolder, error: bool) -> End:
        epochs = len(trial.history())
        if epochs >= self.search.epochs:
            return End("complete", "finished")
        if error or epochs == 0:
            return End("failed", "the trial's process died" if error else "stopped before its first epoch")
        return End("pruned", "time_budget" if self.out_of_time else "asha")

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's snapshots, which are never read."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the folder is saved as it changes."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the folder is read at the start."""
