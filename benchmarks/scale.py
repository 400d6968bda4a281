"""What a search's driver does at a size that no machine here has: 200 nodes of 8 slots, 100,000 trials.

The searcher, sampler, scheduler and study file are those of a real search; Ray and the training are not there. Slots
work on a virtual clock, each epoch for as long as a formula of T says; the driver is one process, so what it takes,
measured, passes on the same clock, and slots that ask while it is busy wait for it.

    python -m benchmarks.scale [--trials 100000] [--nodes 200] [--seconds 20] [--samplers forecast tpe random]
"""

import argparse
import heapq
import json
import math
import resource
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import optuna
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console
from rich.table import Table

from benchmarks.costs import NO_LENGTH
from benchmarks.speed import RESULTS
from ffsnn import atomic
from ffsnn.fields import short
from ffsnn.validation import parse
from search.config import SearchConfig
from search.execution.session import Session
from search.execution.study_searcher import StudySearcher
from search.forecast.surface import Surface
from search.names import EPOCH, NUMBER
from search.registries import SAMPLERS
from search.simulation.virtual import Slots, TuneTrial
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.study import sampling
from search.study.study_store import JournalStore
from spaces.space import Space

SLOTS_A_NODE, EPOCHS = 8, 27
PARAMETERS = NO_LENGTH["parameters"] | {"T": {"int": [2, 16], "log": True}}


class FormulaTrial(TrialFolder):
    """A trial whose values follow from its parameters."""

    def __init__(self, number: int) -> None:
        super().__init__(Path(f"{number:06d}"))
        self.sample: dict[str, Any] = {}
        self.epochs = 0
        self.ended: End | None = None

    def value(self, epoch: int) -> float:
        """Accuracy after an epoch: best at lr 1e-3, threshold 0.5, tau 2; noise that the parameters decide."""
        away = math.log10(self.sample["lr"] / 1e-3) ** 2 + (self.sample["v_threshold"] - 0.5) ** 2
        noise = zlib.crc32(f"{self.sample}/{epoch}".encode()) / 2**32 - 0.5
        best = 0.98 - 0.1 * away - 0.02 * (self.sample["tau"] - 2) ** 2
        return min(max(best * (1 - 0.4 * math.exp(-epoch / (1 + away))) + 0.005 * noise, 0.0), 1.0)

    def values(self, objective: Any, history: Any = None) -> list[float]:
        return [self.value(epoch) for epoch in range(1, self.epochs + 1)]

    def history(self) -> Any:
        return range(self.epochs)

    def end(self) -> End | None:
        return self.ended

    def write_end(self, end: End) -> None:
        self.ended = end

    def failures(self) -> list[Any]:
        return []

    def holder(self) -> None:
        return None

    def repair(self) -> list[str]:
        return []


class FormulaFolder(SearchFolder):
    """Trials that are nowhere, in a search folder that has a study alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.made: dict[int, FormulaTrial] = {}

    def trial(self, number: int) -> FormulaTrial:
        return self.made.setdefault(number, FormulaTrial(number))

    def trials(self) -> Any:
        return iter(self.made.values())


class FormulaSearcher(StudySearcher):
    """The searcher of a search whose trials follow a formula."""

    folder: FormulaFolder

    def prepared(self, number: int) -> TrialFolder:
        trial = self.folder.trial(number)
        if not trial.sample:
            sample = self._point(number)[0]
            sampling.record(self.search.space, self.study, number, sample)
            trial.sample = {short(path): value for path, value in sample.items()}
        return trial


def run(sampler: str, trials: int, nodes: int, seconds: float, say: Any) -> list[dict[str, float]]:
    """One search; a row at each tenfold of its trials.

    Args:
        sampler: its name.
        trials: of the search.
        nodes: of `SLOTS_A_NODE` slots.
        seconds: that an epoch takes at T = 8.
        say: called with a row as it is known.
    """
    with tempfile.TemporaryDirectory() as home:
        space = Space.parse(NO_LENGTH | {"parameters": PARAMETERS})
        config = parse(SearchConfig, {
            "name": "scale", "space": space, "trials": trials, "epochs": EPOCHS, "sampler": sampler, "device": "cpu",
            "experience": Surface.shipped() if SAMPLERS[sampler].priors else (),
        })  # fmt: skip
        folder = FormulaFolder(Path(home))
        study = JournalStore(folder, config.goals.directions).opened(say)
        session = Session(folder, config, Slots(), 0, lambda _: searcher, say)  # type: ignore[arg-type]
        searcher = FormulaSearcher(session, study, [])
        return _course(searcher, nodes * SLOTS_A_NODE, seconds, trials, folder.study_file, say)


class Clock:
    """The virtual clock, on which the driver does one thing after the other, each for as long as it takes here."""

    def __init__(self) -> None:
        self.now = 0.0
        self.free = 0.0  # when the driver has done what it was asked
        self.driver = 0.0  # seconds that it worked
        self.took = 0.0  # by the last call

    def driver_does(self, call: Any, *given: Any) -> Any:
        start = time.perf_counter()
        answer = call(*given)
        self.took = time.perf_counter() - start
        self.driver += self.took
        self.free = max(self.free, self.now) + self.took
        return answer


def _course(searcher: Any, slots: int, seconds: float, trials: int, file: Path, say: Any) -> list[dict[str, float]]:
    scheduler, name, clock = searcher.scheduler, searcher.objective.name, Clock()
    running: list[tuple[float, int, TuneTrial]] = []
    marks = [10**n for n in range(2, 9) if 10**n < trials] + [trials]
    rows: list[dict[str, float]] = []
    handed, worked, suggesting, suggestions = 0, 0.0, 0.0, 0  # the last two since the last row

    def cost(trial: TuneTrial) -> float:
        return float(seconds * searcher.folder.trial(trial.config[NUMBER]).sample["T"] / 8)

    def begin(trial: TuneTrial) -> None:
        heapq.heappush(running, (clock.free + cost(trial), int(trial.trial_id), trial))

    while True:
        while len(running) < slots:
            asked, given = searcher.asked, clock.driver_does(searcher.suggest, f"{handed}")
            if given is None or given == Searcher.FINISHED:
                break
            if searcher.asked > asked:
                suggesting, suggestions = suggesting + clock.took, suggestions + 1
            begin(TuneTrial(f"{handed}", given))
            handed += 1
        if searcher.asked >= marks[len(rows)] and (searcher.asked < trials or not running):
            rows.append({
                "trials": searcher.asked, "suggestion_ms": 1000 * suggesting / max(suggestions, 1),
                "driver_s": clock.driver, "clock_s": clock.now, "slots_busy": worked / (slots * max(clock.now, 1)),
                "study_mib": file.stat().st_size / 2**20,
                "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            })  # fmt: skip
            say(json.dumps(rows[-1]))
            suggesting, suggestions = 0.0, 0
        if not running:
            return rows
        clock.now, _, trial = heapq.heappop(running)
        worked += cost(trial)
        recorded = searcher.folder.trial(trial.config[NUMBER])
        recorded.epochs += 1
        result = {EPOCH: recorded.epochs, name: recorded.value(recorded.epochs), "done": recorded.epochs >= EPOCHS}
        if result["done"]:
            clock.driver_does(scheduler.on_trial_complete, None, trial, result)
        elif clock.driver_does(scheduler.on_trial_result, None, trial, result) != TrialScheduler.STOP:
            clock.driver_does(searcher.on_trial_result, trial.trial_id, result)
            begin(trial)
            continue
        clock.driver_does(searcher.on_trial_complete, trial.trial_id, result)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="of an epoch at T = 8")
    parser.add_argument("--samplers", nargs="+", default=["forecast", "random"])
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console, file = Console(highlight=False, width=120), RESULTS / "scale.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for sampler in asked.samplers:
        rows = run(sampler, asked.trials, asked.nodes, asked.seconds, console.print)
        name = f"{sampler}, {asked.seconds:g} s an epoch"
        found[name] = rows
        table = Table(title=f"{name}, {asked.nodes} nodes of {SLOTS_A_NODE} slots", title_justify="left")
        for column in rows[0]:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*(f"{value:,.2f}" if value % 1 else f"{value:,.0f}" for value in row.values()))
        console.print(table)
        RESULTS.mkdir(exist_ok=True)
        atomic.write(file, json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
