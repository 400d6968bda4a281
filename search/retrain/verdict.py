"""What a retraining says: configurations by their validation mean over seeds, whether the first is really first, and
what the test set gave for it alone."""

import statistics
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from rich.console import Console
from rich.table import Table

from ffsnn.validation import Config, ConfigError
from search import objectives
from search.display.fitted import columns, fitted
from search.objectives import Objective
from search.registries import OBJECTIVES
from search.retrain.front import FrontResult
from search.retrain.front import words as front_words
from search.retrain.noise import CONFIDENCE, LEVEL, interval, paired


class RankedConfig(Config):
    """A configuration over its seeds."""

    trial: int = Field(description="of the search")
    config_id: str
    values: tuple[float | None, ...] = Field(description="of the objective at the end, a seed; None: it failed")
    mean: float | None
    low: float | None
    high: float | None

    @property
    def whole(self) -> bool:
        return None not in self.values


class Lead(Config):
    """The winner against the next one, over the seeds that both have."""

    trial: int
    difference: float
    p: float | None
    noise: bool


class Tested(Config):
    """Test accuracy of the winner's networks, each at its best epoch by validation."""

    accuracies: tuple[float | None, ...] = Field(description="a seed; None: its training failed")
    mean: float
    spread: float | None = Field(description="standard deviation over seeds")
    images: int
    opened_before: int = Field(description="other retrainings of the search that had opened the test set by then")


class RetrainResult(Config):
    """retrain.json."""

    format: Literal[1] = 1
    search: str
    objective: Annotated[str, OBJECTIVES] = objectives.DEFAULT
    epochs: int
    seeds: tuple[int, ...]
    ranking: tuple[RankedConfig, ...]
    lead: Lead | None = Field(description="None: there is no other configuration to compare with")
    best_seed: int = Field(description="of the winner, by the objective")
    test: Tested
    front: FrontResult | None = Field(None, description="of --front", exclude_if=lambda front: front is None)

    @property
    def winner(self) -> RankedConfig:
        return self.ranking[0]


def ranked(
    trials: Sequence[int], ids: Sequence[str], values: Sequence[Sequence[float | None]], objective: Objective
) -> list[RankedConfig]:
    """Configurations by their mean; those that failed with a seed stand behind all others.

    Raises:
        ConfigError: not one training came to its end.
    """
    standings = []
    for trial, id_, own in zip(trials, ids, values, strict=True):
        there = [value for value in own if value is not None]
        mean, low, high = interval(there) if there else (None, None, None)
        standings.append(
            RankedConfig(trial=trial, config_id=id_, values=tuple(own), mean=mean, low=low, high=high)
        )  # fmt: skip
    standings.sort(key=lambda it: (it.mean is None, not it.whole, objective.cost(it.mean or 0.0)))
    if standings[0].mean is None:
        raise ConfigError("every training has failed: see failures.jsonl and output.log in their folders")
    return standings


def lead(ranking: Sequence[RankedConfig], objective: Objective) -> Lead | None:
    """Compare the first with the second."""
    if len(ranking) < 2:
        return None
    first, second = ranking[:2]
    cost = objective.cost
    pairs = [
        (-cost(a), -cost(b))
        for a, b in zip(first.values, second.values, strict=True)
        if a is not None and b is not None
    ]
    if not pairs:
        return None
    found = paired(*zip(*pairs, strict=True))
    return Lead(trial=second.trial, difference=found.difference, p=found.p, noise=found.is_noise)


def best_seed(winner: RankedConfig, seeds: Sequence[int], objective: Objective) -> int:
    """The seed with which the winner is best; the first of several."""
    there = [(value, seed) for value, seed in zip(winner.values, seeds, strict=True) if value is not None]
    return min(there, key=lambda pair: objective.cost(pair[0]))[1]


def tested(accuracies: Sequence[float | None], images: int, opened_before: int) -> Tested:
    there = [value for value in accuracies if value is not None]
    spread = statistics.stdev(there) if len(there) > 1 else None
    return Tested(
        accuracies=tuple(accuracies), mean=statistics.mean(there), spread=spread, images=images,
        opened_before=opened_before,
    )  # fmt: skip


def tables(result: RetrainResult, console: Console) -> list[Table]:
    """The ranking, a row a configuration, in as many tables as the console's width asks for."""
    objective = OBJECTIVES[result.objective]
    title = (
        f"{result.search}: {len(result.ranking)} configurations, {len(result.seeds)} seeds each, "
        f"{result.epochs} epochs; {objective.title}"
    )
    head = ("rank", "trial", "mean", f"{CONFIDENCE:.0%} interval", *(f"seed {seed}" for seed in result.seeds))
    rows = []
    for rank, it in enumerate(result.ranking, 1):
        span = "-"
        if it.low is not None and it.high is not None:
            low, high = (max(it.low, 0), min(it.high, 1)) if objective.is_share else (it.low, it.high)
            span = f"{objective.show(low)} to {objective.show(high)}"
        values = ("failed" if value is None else objective.show(value) for value in it.values)
        rows.append((str(rank), str(it.trial), objective.show(it.mean), span, *values))
    return fitted(columns(head, rows), console, title)


def words(result: RetrainResult) -> list[str]:
    """Sentences on whether the winner is really first, and what the test set gave."""
    said, winner, test = [], result.winner, result.test
    if (second := result.lead) is not None:
        share = OBJECTIVES[result.objective].is_share
        size = abs(second.difference)
        by = f"{100 * size:.2f} points" if share else f"{size:.4g}"
        ahead = f"trial {winner.trial} is {by} ahead of trial {second.trial}"
        if second.difference < 0:
            why = "which breaks a limit" if result.ranking[1].whole else "which failed with a seed"
            said.append(f"trial {winner.trial} is {by} behind trial {second.trial}, {why}")
        elif second.p is None:
            said.append(f"{ahead}; from so few seeds nothing can be said of chance: take more --seeds")
        elif second.noise:
            said.append(f"{ahead}: within noise (paired t-test over seeds, p = {second.p:.2g} >= {LEVEL:g})")
        else:
            said.append(f"{ahead}: more than noise (paired t-test over seeds, p = {second.p:.2g} < {LEVEL:g})")
    if not winner.whole:
        failed = sum(value is None for value in winner.values)
        said.append(f"trial {winner.trial} has no result with {failed} of its seeds: its mean is over the others")
    spread = "" if test.spread is None else f", standard deviation {100 * test.spread:.2f} points"
    tested = sum(value is not None for value in test.accuracies)
    said.append(
        f"test accuracy of trial {winner.trial}: mean {test.mean:.2%}{spread}, over {tested} seeds on the "
        f"{test.images:,} of the test set, opened once"
    )
    if test.opened_before:
        said.append(f"{test.opened_before} other retrainings of {result.search} had opened the test set before")
    return said if result.front is None else [*said, *front_words(result.front)]
