"""What a retraining says: configurations by their validation mean over seeds, whether the first is really first, and
what the test set gave for it alone."""

import statistics
from collections.abc import Sequence

from pydantic import Field
from rich.table import Table

from ffsnn.config import Config, ConfigError
from search.retrain.noise import CONFIDENCE, LEVEL, interval, paired


class RankedConfig(Config):
    """A configuration over its seeds."""

    trial: int = Field(description="of the search")
    config_id: str
    values: tuple[float | None, ...] = Field(description="last validation accuracy, a seed; None: it failed")
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
    """What the winner's networks give on the test images; each is that of its best epoch by validation."""

    accuracies: tuple[float | None, ...] = Field(description="a seed; None: its training failed")
    mean: float
    spread: float | None = Field(description="standard deviation over seeds")
    images: int
    opened_before: int = Field(description="other retrainings of the search that had opened the test set by then")


class RetrainResult(Config):
    """retrain.json."""

    format: int = 1
    search: str
    epochs: int
    seeds: tuple[int, ...]
    ranking: tuple[RankedConfig, ...]
    lead: Lead | None = Field(description="None: there is no other configuration to compare with")
    best_seed: int = Field(description="of the winner, by validation")
    test: Tested

    @property
    def winner(self) -> RankedConfig:
        return self.ranking[0]


def ranked(
    trials: Sequence[int], ids: Sequence[str], accuracies: Sequence[Sequence[float | None]]
) -> list[RankedConfig]:
    """Configurations by their mean; those that failed with a seed stand behind all others.

    Raises:
        ConfigError: not one training came to its end.
    """
    standings = []
    for trial, id_, values in zip(trials, ids, accuracies, strict=True):
        there = [value for value in values if value is not None]
        mean, low, high = interval(there) if there else (None, None, None)
        standings.append(
            RankedConfig(trial=trial, config_id=id_, values=tuple(values), mean=mean, low=low, high=high)
        )  # fmt: skip
    standings.sort(key=lambda it: (it.mean is None, not it.whole, -(it.mean or 0.0)))
    if standings[0].mean is None:
        raise ConfigError("every training has failed: see failures.jsonl and output.log in their folders")
    return standings


def lead(ranking: Sequence[RankedConfig]) -> Lead | None:
    """How the first compares with the second."""
    if len(ranking) < 2:
        return None
    first, second = ranking[:2]
    pairs = [(a, b) for a, b in zip(first.values, second.values, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    found = paired(*zip(*pairs, strict=True))
    return Lead(trial=second.trial, difference=found.difference, p=found.p, noise=found.is_noise)


def best_seed(winner: RankedConfig, seeds: Sequence[int]) -> int:
    """The seed with the winner's highest validation accuracy; the first of several."""
    return max(zip(winner.values, seeds, strict=True), key=lambda pair: -1.0 if pair[0] is None else pair[0])[1]


def tested(accuracies: Sequence[float | None], images: int, opened_before: int) -> Tested:
    there = [value for value in accuracies if value is not None]
    spread = statistics.stdev(there) if len(there) > 1 else None
    return Tested(
        accuracies=tuple(accuracies), mean=statistics.mean(there), spread=spread, images=images,
        opened_before=opened_before,
    )  # fmt: skip


def table(result: RetrainResult) -> Table:
    """The ranking, a row a configuration."""
    drawn = Table(title=f"{result.search}: {len(result.ranking)} configurations, {len(result.seeds)} seeds each, "
                        f"{result.epochs} epochs; validation accuracy")  # fmt: skip
    for head in ("rank", "trial", "mean", f"{CONFIDENCE:.0%} interval", *(f"seed {seed}" for seed in result.seeds)):
        drawn.add_column(head, justify="right")
    for rank, it in enumerate(result.ranking, 1):
        mean = "-" if it.mean is None else f"{it.mean:.2%}"
        span = "-" if it.low is None or it.high is None else f"{max(it.low, 0):.2%} to {min(it.high, 1):.2%}"
        drawn.add_row(
            str(rank), str(it.trial), mean, span, *("failed" if v is None else f"{v:.2%}" for v in it.values)
        )  # fmt: skip
    return drawn


def words(result: RetrainResult) -> list[str]:
    """Whether the winner is really first, and what the test set gave."""
    said, winner, test = [], result.winner, result.test
    if (second := result.lead) is not None:
        ahead = f"trial {winner.trial} is {100 * second.difference:.2f} points ahead of trial {second.trial}"
        if second.p is None:
            said.append(f"{ahead}; from so few seeds nothing can be said of chance: take more --seeds")
        elif second.noise:
            said.append(f"{ahead}: within noise (paired t-test over seeds, p = {second.p:.2g} >= {LEVEL:g})")
        else:
            said.append(f"{ahead}: more than noise (paired t-test over seeds, p = {second.p:.2g} < {LEVEL:g})")
    if not winner.whole:
        said.append("no configuration came to its end with every seed: the first is the best of what is there")
    spread = "" if test.spread is None else f", standard deviation {100 * test.spread:.2f} points"
    said.append(
        f"test accuracy of trial {winner.trial}: mean {test.mean:.2%}{spread}, over "
        f"{sum(value is not None for value in test.accuracies)} seeds on {test.images:,} images, opened once"
    )
    if test.opened_before:
        said.append(f"{test.opened_before} other retrainings of {result.search} had opened the test set before")
    return said
