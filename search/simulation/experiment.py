"""Many simulated searches: pairs of a sampler and a scheduler with the same seeds, in as many processes as cores."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

from ffsnn.parts import own
from ffsnn.validation import ConfigError, parse
from search.config import SearchConfig
from search.forecast.surface import Surface
from search.pareto.goals import Goals
from search.registries import SAMPLERS, SCHEDULERS
from search.simulation.measures import Course
from search.simulation.recorded import Answers
from search.simulation.virtual import simulate
from search.simulation.yardsticks import yardstick
from search.store.folder import SearchFolder


@dataclass(frozen=True)
class Plan:
    """The terms that all simulated searches of an experiment have in common."""

    objective: str  # or several, with commas between
    trials: int
    slots: int = 1
    spend: int | None = None  # epochs of a search, over all trials
    stop_at: int | None = None  # `search.simulation.virtual.simulate`
    budget: dict[str, int] | None = None  # fields of the space's budget in place of its own
    reference: tuple[str, ...] = ()  # of the hypervolume (`search.simulation.box.Box`)
    experience: str | None = None  # surfaces, or none; None: the shipped ones of other data sets, for fairness


@dataclass(frozen=True)
class Pair:
    """A sampler with a scheduler, and what became of it."""

    sampler: str
    scheduler: str
    courses: list[Course]

    @property
    def name(self) -> str:
        return f"{self.sampler} + {self.scheduler}"


def run(
    surface: Surface, pairs: Sequence[tuple[str, str]], plan: Plan, seeds: int, progress: Callable[[str, int], None],
    processes: int | None = None,
) -> list[Pair]:  # fmt: skip
    """Simulate each pair with seeds 0, 1, ...

    Args:
        surface: that answers.
        pairs: names of samplers and schedulers.
        plan: of each search.
        seeds: searches of each pair.
        progress: called with a pair's name and the number of its searches that have ended.
        processes: side by side; None: as many as there are cores; 1: this one alone.
    """
    processes = processes or min(len(os.sched_getaffinity(0)), seeds)
    work = partial(_search, plan=plan)
    if processes == 1:
        _take(surface)
        try:
            return [_pair(pair, map(work, [pair] * seeds, range(seeds)), progress) for pair in pairs]
        finally:
            _surface.clear()
            _answers.cache_clear()
    parts = [(str(file.path), file.sha256) for file in own.used()]
    # Not forked: numerical libraries hold threads.
    with ProcessPoolExecutor(processes, get_context("spawn"), _take, (surface, parts)) as pool:
        return [_pair(pair, pool.map(work, [pair] * seeds, range(seeds)), progress) for pair in pairs]


def _pair(pair: tuple[str, str], courses: Iterable[Course], progress: Callable[[str, int], None]) -> Pair:
    done = Pair(*pair, [])
    for one in courses:
        done.courses.append(one)
        progress(done.name, len(done.courses))
    return done


_surface: list[Surface] = []  # of this process


def _take(surface: Surface, parts: Sequence[tuple[str, str]] = ()) -> None:
    for path, sha256 in parts:
        own.use(path, sha256)
    _surface.append(surface)


@cache
def _answers(objective: str) -> Answers:
    return Answers(_surface[-1], Goals.parse(objective))


def _search(pair: tuple[str, str], seed: int, plan: Plan) -> Course:
    answers = _answers(plan.objective)
    config = config_of(answers.surface, pair, plan, seed)
    steps = simulate(answers, config, plan.slots, plan.stop_at, plan.spend)
    if not steps:
        raise ConfigError(
            f"{' + '.join(pair)} with seed {seed} trained no epoch: give its searches more than {plan.trials} trials"
        )
    return yardstick(answers, config, plan.reference).course(steps, seed % len(answers.surface.seeds))


def surface_of(name: str, home: Callable[[], Path]) -> Surface:
    """A surface by its name or file, or made from searches.

    Args:
        name: of a shipped surface, a file, or of searches as `NAME[,NAME...]`.
        home: gives the `mlruns/` folder of the searches.

    Raises:
        ConfigError: there is none; one line.
    """
    if name in Surface.shipped() or Path(name).is_file():
        return Surface.load(name)
    names = name.split(",")
    if all(SearchFolder.exists(home(), each) for each in names):
        return Surface.of_searches(names[0], [SearchFolder.open(home(), each) for each in names])
    return Surface.load(name)  # which says what there is


def config_of(surface: Surface, pair: tuple[str, str], plan: Plan, seed: int) -> SearchConfig:
    """The configuration of one simulated search.

    Raises:
        ConfigError: there is no such sampler, scheduler or objective.
    """
    space = surface.space
    if plan.budget:
        space = space.model_copy(update={"budget": space.budget.model_copy(update=plan.budget)})
    experience = of_other_data(surface) if plan.experience is None else plan.experience
    config = parse(SearchConfig, {
        "name": "simulated", "space": space, "objective": plan.objective, "sampler": pair[0], "scheduler": pair[1],
        "trials": plan.trials, "epochs": surface.epochs, "seed": seed, "concurrency": plan.slots, "device": "cpu",
        "experience": experience if (sampler := SAMPLERS.get(pair[0])) and sampler.priors else (),
    })  # fmt: skip
    Surface.refuse_unknown(config.experience)
    return config


@cache
def of_other_data(surface: Surface) -> tuple[str, ...]:
    """The shipped surfaces that were recorded on other data sets than a surface."""
    data = surface.space.base.data.dataset
    return tuple(name for name in Surface.shipped() if Surface.load(name).space.base.data.dataset != data)


def pairs_of(samplers: str, schedulers: str, several: bool) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of samplers and schedulers by their names, `NAME[,NAME...]`; and those that are left out, for they do not
    take several objectives."""
    unable = {
        name for registry in (SAMPLERS, SCHEDULERS) for name, part in registry.items() if several and not part.several
    }
    named = [(one, other) for one in samplers.split(",") for other in schedulers.split(",")]
    kept = [pair for pair in named if unable.isdisjoint(pair)]
    if not kept:  # the configuration says what does take them
        return named, []
    return kept, sorted(unable & {name for pair in named for name in pair})
