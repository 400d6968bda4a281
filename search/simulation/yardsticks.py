"""What simulated searches are compared by: the best that was found, or the front."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.pareto.goals import Limit
from search.simulation.box import Box
from search.simulation.measures import Array, Course, Estimate, area, course, course_of_fronts, mean, ratio, regret
from search.simulation.recorded import Answers
from search.simulation.virtual import Step

SHARES = (0.05, 0.01)  # of the surface's configurations, whose best are looked for
NEAR = (0.9, 0.95)  # of the hypervolume of the surface's own front
PARTS = (4, 2, 1)  # of the budget, after which hypervolumes are compared


class Yardstick(ABC):
    """A measure of searches on one surface."""

    axis: str  # of a curve: what is drawn
    is_share: bool  # drawn as a percentage
    logarithmic: bool  # so is the axis
    targets: tuple[tuple[str, float], tuple[str, float]]  # what a search is to come to; how near (`Course.epochs_to`)

    @abstractmethod
    def course(self, steps: Sequence[Step], seed: int) -> Course:
        """The course of a search that saw the surface under its n-th seed."""

    @abstractmethod
    def key_figures(self) -> dict[str, str]:
        """The surface in numbers."""

    @abstractmethod
    def columns(self, courses: Sequence[Course], budget: int) -> dict[str, str]:
        """Cells by their heads, after those of the targets; `budget`: epochs that all searches have spent."""

    def at_equal_epochs(self, courses: Sequence[Course], first: Sequence[Course], budget: int) -> dict[str, str]:
        """Cells of one more table, by their heads; none: there is no such table.

        Args:
            courses: of a pair of a sampler and a scheduler.
            first: of the pair that is compared with.
            budget: epochs that all searches have spent.
        """
        return {}

    @abstractmethod
    def drawn(self, values: Array) -> tuple[Array, float]:
        """Values as a curve shows them, and the least that there is room for."""

    @abstractmethod
    def notes(self, first: str) -> tuple[str, str]:
        """Notes below tables and curves: how they count; `first`: the pair that is compared with."""


class Best(Yardstick):
    """One objective: the incumbent, and when one of the surface's best was trained to its end."""

    logarithmic = True

    def __init__(self, answers: Answers, config: SearchConfig) -> None:
        self.answers, self.goal, self.epochs = answers, config.goal, config.epochs
        ranks = [max(round(share * len(answers.final)), 1) - 1 for share in SHARES]
        self.targets = ("the best 5 %", ranks[0]), ("the best 1 %", ranks[1])
        self.best = float(answers.final[answers.rank.argmin()])
        self.axis, self.is_share = f"behind the best, {self.goal.title}", self.goal.is_share

    def course(self, steps: Sequence[Step], seed: int) -> Course:
        return course(steps, self.answers, seed, self.goal, self.epochs)

    def key_figures(self) -> dict[str, str]:
        one, five = (self.goal.show(float(self.answers.final[self.answers.rank == rank][0]))
                     for _, rank in reversed(self.targets))  # fmt: skip
        return {f"best {self.goal.title}": self.goal.show(self.best), "its best 1 %": one, "its best 5 %": five}

    def columns(self, courses: Sequence[Course], budget: int) -> dict[str, str]:
        middle, half = mean(regret(courses, self.best, budget, self.goal.cost)[:, None])
        scale, digits = (100, ".2f") if self.goal.is_share else (1, ".4g")
        last, spread = mean(np.array([course.value[-1:] for course in courses]))
        return {
            f"regret over {budget:,} epochs": f"{middle[0] * scale:{digits}}{_within(half[0] * scale, digits)}",
            "best in the end": f"{self.goal.show(float(last[0]))}{_within(spread[0] * scale, digits)}",
        }

    def drawn(self, values: Array) -> tuple[Array, float]:
        sign = -1 if self.goal.direction == "maximize" else 1
        steps = np.abs(self.answers.final - self.best)
        least = steps[steps > 0].min(initial=1.0) / 2  # half a step from the best: there is no zero here
        return sign * values - self.goal.cost(self.best), least

    def notes(self, first: str) -> tuple[str, str]:
        return (
            "Medians with their 95 % interval (order statistics) of the epochs, over all trials, until a configuration "
            "among the best 5 % and 1 % of the surface was trained to its end; '>' where a part of the searches never "
            f"came to one. Ratio: to the medians of {first}, seed by seed, with its bootstrap interval. "
            "Regret: how much worse than the surface's best the best trial was, on the mean over the epochs that all "
            "spent.",
            "How much worse than the surface's best was what `ffsnn best` would have given at that moment, by its "
            "value at full length over all recorded seeds: mean of the searches, with its 95 % interval.",
        )


class Front(Yardstick):
    """Several objectives: the hypervolume of the front, and when it came near to that of the surface's own front."""

    axis, is_share, logarithmic = "hypervolume, share of the box", True, False

    def __init__(self, answers: Answers, reference: Sequence[Limit]) -> None:
        self.box = Box(answers, reference)
        lower, upper = ((f"{near:.0%} of the surface's front".replace("%", " %"), 1 - near) for near in NEAR)
        self.targets = lower, upper

    def course(self, steps: Sequence[Step], seed: int) -> Course:
        return course_of_fronts(steps, self.box.seen[:, seed], self.box.counted, self.box.whole)

    def key_figures(self) -> dict[str, str]:
        return {"hypervolume of its front": f"{self.box.whole:.3f}"}

    def columns(self, courses: Sequence[Course], budget: int) -> dict[str, str]:
        whole, in_the_end = area(courses, budget), np.array([course.value[-1] for course in courses])
        return {f"mean over {budget:,} epochs": _mean(whole), "hypervolume in the end": _mean(in_the_end)}

    def at_equal_epochs(self, courses: Sequence[Course], first: Sequence[Course], budget: int) -> dict[str, str]:
        found = {}
        for epochs in (max(budget // part, 1) for part in PARTS):
            mine, others = (
                np.concatenate([it.after_epochs(np.array([epochs])) for it in each]) for each in (courses, first)
            )
            found[f"hypervolume after {epochs:,}"] = _mean(mine)
            found[f"ratio after {epochs:,}"] = shown(ratio(mine, others, np.mean), ".2f")
        return found

    def drawn(self, values: Array) -> tuple[Array, float]:
        return values, 0.0

    def notes(self, first: str) -> tuple[str, str]:
        return (
            "Medians with their 95 % interval (order statistics) of the epochs, over all trials, until the front's "
            "hypervolume came to 90 % and 95 % of that of all recorded configurations at full length; '>' where a "
            f"part of the searches never came to it. Ratio: to the medians of {first}, seed by seed, with its "
            "bootstrap interval. Hypervolumes are means with their 95 % interval (t) over the searches, at equal "
            f"epochs; their ratio is that of the means, to {first}. Every network counts, stopped early or not, by its "
            f"values over all recorded seeds, within the box {self.box}.",
            f"Hypervolume of the front at that moment, as a share of the box {self.box}: mean of the searches, with "
            "its 95 % interval.",
        )


def yardstick(answers: Answers, config: SearchConfig, reference: Sequence[str] = ()) -> Yardstick:
    """The measure of searches with a configuration.

    Args:
        answers: of the surface.
        config: of a search.
        reference: of several objectives: limits whose bounds are the hypervolume's reference point (`Box`).

    Raises:
        ConfigError: the reference point is not valid, or the box has no volume; one line.
    """
    if len(config.goals.objectives) == 1:
        if reference:
            raise ConfigError("--reference is of a hypervolume, and needs several objectives: leave it out")
        return Best(answers, config)
    try:
        limits = [Limit.parse(text) for text in reference]
    except ValueError as error:
        raise ConfigError(f"--reference: {error}") from None
    return Front(answers, limits)


def _mean(values: Array) -> str:
    middle, half = mean(values[:, None])
    return f"{middle[0]:.3f}{_within(half[0], '.3f')}"


def _within(half: float, form: str) -> str:
    """` ± 0.12`; nothing where there is no interval."""
    return "" if math.isnan(half) else f"\u00a0±\u00a0{half:{form}}"


def shown(estimate: Estimate, form: str = ",.0f") -> str:
    """`107 [90, 131]`; what was never seen as `>`."""

    def number(value: float) -> str:
        return "-" if math.isnan(value) else ">" if math.isinf(value) else f"{value:{form}}"

    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]".replace(" ", "\u00a0")
