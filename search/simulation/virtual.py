"""One search on a virtual clock: the searcher, sampler and scheduler of a real one, and a surface that answers.

What Ray Tune does between them is done here in its order; slots work side by side in recorded seconds.
"""

import heapq
from dataclasses import dataclass, field
from typing import Any, Literal

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.config import SearchConfig
from search.execution.session import Session
from search.execution.study_searcher import StudySearcher
from search.names import EPOCH, NUMBER, PROBLEM
from search.simulation.recorded import Answers, RecordedFolder, RecordedTrial
from search.store.trial_folder import TrialFolder
from search.study import sampling, study_store


@dataclass(frozen=True)
class Step:
    """An epoch of a simulated search, in the order in which they end."""

    seconds: float  # of the virtual clock
    trial: int
    index: int  # of the configuration on the surface
    epoch: int


class Slots:
    """A simulated trial's share of the machine: nothing."""

    cpus = 1


@dataclass
class TuneTrial:
    """One of Tune's trials, as far as searchers and schedulers see it."""

    trial_id: str
    config: dict[str, Any]
    status: Literal["RUNNING"] = "RUNNING"
    stopping_criterion: dict[str, Any] = field(default_factory=dict)


class SimulatedSearcher(StudySearcher):
    """The searcher of a search whose trials are recorded."""

    folder: RecordedFolder

    def prepared(self, number: int) -> TrialFolder:
        """A trial with a configuration: the nearest recorded one to what the sampler suggests."""
        trial = self.folder.trial(number)
        if trial.index is None:
            trial.index = self.folder.take(self._point(number)[0])
            sampling.record(self.search.space, self.study, number, self.folder.answers.surface.samples[trial.index])
        return trial


def simulate(
    answers: Answers, config: SearchConfig, slots: int = 1, stop_at: int | None = None, spend: int | None = None
) -> list[Step]:  # fmt: skip
    """Run one search.

    Args:
        answers: of a surface.
        config: of the search; its seed is that of the sampler, and chooses among the recorded seeds.
        slots: trials that run side by side.
        stop_at: rank of a configuration that ends the search when it, or a better one, was trained to its end.
        spend: epochs, over all trials, that end the search; None: it ends with its trials.
    """
    seed = config.seed % len(answers.surface.seeds)
    folder = RecordedFolder(answers, seed)
    study = study_store.in_memory(config.name, config.goals.directions)
    session = Session(folder, config, Slots(), 0, lambda _: searcher, lambda _: None)  # type: ignore[arg-type]
    searcher = SimulatedSearcher(session, study, [])
    scheduler: Any = searcher.scheduler
    steps: list[Step] = []
    running: list[tuple[float, int, TuneTrial]] = []  # a heap of when each ends its epoch
    now, count = 0.0, 0

    def begin(trial: TuneTrial) -> None:
        recorded = folder.trial(trial.config[NUMBER])
        seconds = answers.seconds[recorded.at][min(recorded.epochs, answers.surface.epochs - 1)]
        heapq.heappush(running, (now + float(seconds), count, trial))

    while True:
        while len(running) < slots:
            given = searcher.suggest(f"{count}")
            if given is None or given == Searcher.FINISHED:
                break
            trial = TuneTrial(f"{count}", given)
            scheduler.on_trial_add(None, trial)
            begin(trial)
            count += 1
        if not running:
            return steps
        now, _, trial = heapq.heappop(running)
        recorded = folder.trial(trial.config[NUMBER])
        result = _epoch(recorded, config)
        if PROBLEM not in result:
            steps.append(Step(now, recorded.number, recorded.at[0], recorded.epochs))
        if len(steps) == spend:
            return steps
        if result["done"]:
            scheduler.on_trial_complete(None, trial, result)
        elif scheduler.on_trial_result(None, trial, result) != TrialScheduler.STOP:
            searcher.on_trial_result(trial.trial_id, result)
            begin(trial)
            continue
        searcher.on_trial_complete(trial.trial_id, result)
        full = recorded.epochs >= config.epochs
        if full and stop_at is not None and answers.rank[recorded.at[0]] <= stop_at:
            return steps


def _epoch(trial: RecordedTrial, config: SearchConfig) -> dict[str, Any]:
    """A trial's next report."""
    measured = trial.answers.by_objective
    if config.veto and trial.epochs == 0 and trial.answers.silent[trial.at]:
        return {EPOCH: 0, **dict.fromkeys(measured, float("nan")), PROBLEM: "dead: recorded", "done": True}
    if trial.epochs >= trial.answers.lengths[trial.at]:
        return {EPOCH: 0, **dict.fromkeys(measured, float("nan")), PROBLEM: "diverged: recorded", "done": True}
    told = {name: float(values[trial.at][trial.epochs]) for name, values in measured.items()}
    trial.epochs += 1
    return {EPOCH: trial.epochs, **told, "done": trial.epochs >= config.epochs}
