"""A retraining's folder, `retrain/<stem>/` within the search's: what is trained, and what came of it.

    plan.json         the configurations and the seeds, written first and never changed
    trials/0000/      a training's own folder, as a trial's; the seeds go by in turn, so that a stop leaves whole rounds
    spent.json        seconds that it has run, over all its drivers
    retrain.json      the ranking and the winner's test accuracy; once it is there, the test set is not opened again
    final/            the run of its final fit (`--final`), if there is one
    driver.lock       held by the process that runs it

The stem holds a checksum of the plan: the same command finds the same folder, another plan another one.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.validation import Config, ConfigError, parse
from search.names import PLAN_FILE, RESULT_FILE, RETRAIN, TRIALS
from search.objectives import Objective
from search.retrain.verdict import RetrainResult
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.store.trials_folder import TrialsFolder
from search.tracking import best

FORMAT: Literal[1] = 1  # of plan.json and retrain.json


class Plan(Config):
    """Which configurations are trained with which seeds."""

    format: Literal[1] = FORMAT
    search: str
    trials: tuple[int, ...] = Field(description="of the search, the best first")
    configs: tuple[RunConfig, ...] = Field(description="theirs, as they are trained but for the seed")
    seeds: tuple[int, ...]
    front: bool = Field(
        False, description="they are a front, all of which is tested", exclude_if=lambda front: not front
    )

    def __len__(self) -> int:
        return len(self.trials) * len(self.seeds)

    def of(self, number: int) -> tuple[int, int]:
        """The search's trial and the seed that training `number` is of."""
        turn, rank = divmod(number, len(self.trials))
        return self.trials[rank], self.seeds[turn]

    def of_trial(self, trial: int) -> RunConfig:
        """The configuration of one of the search's trials."""
        return self.configs[self.trials.index(trial)]

    def config(self, number: int) -> RunConfig:
        turn, rank = divmod(number, len(self.trials))
        return self.configs[rank].replaced({"seed": self.seeds[turn]})

    def stems(self) -> list[str]:
        """Names of its folder: as it is called now, then as earlier versions called it."""
        return [self._stem(ids) for ids in zip(*(config.ids for config in self.configs), strict=False)]

    def _stem(self, ids: Sequence[str]) -> str:
        digest = hashlib.sha256(json.dumps([ids, self.seeds]).encode()).hexdigest()[:8]
        return f"{'front' if self.front else 'top'}{len(self.trials)}-seeds{len(self.seeds)}-{digest}"


def planned(
    search: SearchFolder, top: int | None, seeds: int, epochs: int, device: str, data_dir: str | None
) -> Plan:  # fmt: skip
    """The best configurations of a search, or its front (`top` is None), each once, with seeds that it has not used.

    The search chose by its own seed, which favours whoever was lucky with it; so it starts at the one after.

    Raises:
        ConfigError: no trial of the search has a result, or a configuration does not allow so few epochs; a front is
            asked of a search with one objective, or no trial keeps the limits.
    """
    config, chosen = search.config, dict[str, tuple[int, RunConfig]]()
    if top is None:
        trials = [search.trial(it.trial) for it in best.front(search)]
    else:
        trials = [trial for _, trial in search.ranked()]
    for trial in trials:
        asked = trial.config().replaced({"learning.epochs": epochs, "seed": 0, "device": device, "data_dir": data_dir})
        chosen.setdefault(asked.id, (trial.number, asked))
        if len(chosen) == top:
            break
    if not chosen:
        raise search.no_result()
    numbers, configs = zip(*chosen.values(), strict=True)
    own = [(config.seed + 1 + turn) % 2**31 for turn in range(seeds)]
    return Plan(search=search.name, trials=numbers, configs=configs, seeds=tuple(own), front=top is None)


def newest_result(search: SearchFolder) -> RetrainResult | None:
    """The result of a search's last retraining that came to its end; None: there is none.

    Raises:
        ConfigError: it is damaged, or newer than this version.
    """
    return next(results(search), None)


def results(search: SearchFolder) -> Iterator[RetrainResult]:
    """The results of a search's retrainings that came to their end, the newest first.

    Raises:
        ConfigError: one is damaged, or newer than this version.
    """
    files = (search.path / RETRAIN).glob(f"*/{RESULT_FILE}")
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            yield parse(RetrainResult, json.loads(file.read_text()))
        except ValueError as error:
            raise ConfigError(f"a result of {search.path / RETRAIN} cannot be read ({error})") from error


class RetrainFolder(TrialsFolder):
    """One retraining on disk."""

    def __init__(self, search: SearchFolder, plan: Plan) -> None:
        named = [search.path / RETRAIN / stem for stem in plan.stems()]
        super().__init__(next((there for there in named if there.exists()), named[0]))
        self.search, self.plan = search, plan
        self.parts_folder = search.path

    def create(self) -> None:
        """Make it, with plan.json for a person to read; a retraining goes on by the plan of the present command, whose
        configurations and seeds are the same."""
        (self.path / TRIALS).mkdir(parents=True, exist_ok=True)
        if not (self.path / PLAN_FILE).exists():
            atomic.write(self.path / PLAN_FILE, self.plan.model_dump_json(indent=2))

    def prepared(self, number: int) -> TrialFolder:
        """A training's folder, with its configuration."""
        trial = self.trial(number)
        trial.create(self.plan.config(number))
        return trial

    def number(self, trial: int, seed: int) -> int:
        """That of the training of one of the search's trials with a seed."""
        return self.plan.seeds.index(seed) * len(self.plan.trials) + self.plan.trials.index(trial)

    def about(self, trial: TrialFolder) -> str:
        number, seed = self.plan.of(trial.number)
        return f"configuration of trial {number}, seed {seed}"

    def values(self, objective: Objective) -> list[list[float | None]]:
        """An objective at the end, of each configuration with each seed; None: that training has failed."""
        found: list[list[float | None]] = [[] for _ in self.plan.trials]
        for number in range(len(self.plan)):
            trial = self.trial(number)
            end = trial.end()
            whole = end is not None and end.state == "complete"
            found[number % len(self.plan.trials)].append(
                objective.ranked(trial.values(objective)[-1]) if whole else None
            )
        return found

    def result(self) -> RetrainResult | None:
        """The result; None: it has not come to its end.

        Raises:
            ConfigError: the file is damaged, or newer than this version.
        """
        file = self.path / RESULT_FILE
        try:
            tree = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigError(f"{file} cannot be read ({error}): it says what the test set gave, once") from error
        return parse(RetrainResult, tree)

    def write_result(self, result: RetrainResult) -> None:
        atomic.write(self.path / RESULT_FILE, result.model_dump_json(indent=2))

    def others_tested(self) -> Iterator[Path]:
        """Other retrainings of the search that have opened the test set."""
        for file in sorted(self.path.parent.glob(f"*/{RESULT_FILE}")):
            if file.parent != self.path:
                yield file.parent
