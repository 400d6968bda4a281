"""`ffsnn retrain`: a search's best configurations, each with several seeds; then, for the winner, the test set, once.

Trainings run as trials do, in folders of their own, and a stopped retraining goes on by the same command. Only what is
handed out differs: a list that is known from the start, with nothing to stop a training early.
"""

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.datasets.dataset import Images
from ffsnn.hardware.device import resolve_device
from ffsnn.network import Network
from ffsnn.parts import own
from ffsnn.training import run_folder
from ffsnn.training.run_folder import bytes_on_disk
from ffsnn.validation import ConfigError, brief, parse
from search import preflight
from search.config import SearchConfig
from search.display.live_table import watching
from search.execution.searcher import FolderSearcher
from search.execution.session import Session
from search.launch import Outcome, redacting, run
from search.retrain import champion, front, registered, verdict
from search.retrain.folder import RetrainFolder, planned
from search.retrain.front import FrontResult
from search.retrain.runs import RetrainExporter
from search.retrain.verdict import RankedConfig, RetrainResult
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.study.reconcile import repair_trial
from search.tracking.store import merged
from search.tracking.tracker import Tracker


class PlanSearcher(FolderSearcher):
    """Hands out the trainings of a plan that have not ended."""

    folder: RetrainFolder

    def __init__(self, session: Session) -> None:
        folder = session.folder
        assert isinstance(folder, RetrainFolder)
        for trial in folder.trials():
            repair_trial(trial, session.say)
        super().__init__(session, [n for n in range(len(folder.plan)) if folder.trial(n).end() is None])

    def prepared(self, number: int) -> TrialFolder:
        return self.folder.prepared(number)


@dataclass(frozen=True)
class Request:
    """Part of a search that is to be trained again."""

    top: int | None  # configurations, the best ones; None: the front
    seeds: int  # of each configuration
    epochs: int | None = None  # of each training; None: as many as the search's trials at full length
    changes: dict[str, Any] = field(default_factory=dict)  # to the search's own settings (concurrency, device, ...)
    force: bool = False  # a worse winner takes the alias, too


def retrain(home: Path, name: str, asked: Request, console: Console) -> Outcome:
    """Train, rank, test the winner, register it; whatever of that is done already stays as it is.

    Args:
        home: the `mlruns/` folder.
        name: of the search.
        asked: what of it.
        console: where progress goes.

    Raises:
        ConfigError: before any training starts, or when each has failed.
    """
    preflight.refuse_foreign_ray()
    preflight.start_numerical_threads()
    os.umask(0o077)  # what is written is for its owner alone
    search = SearchFolder.open(home, name)
    config, folder = settings_and_folder(search, asked)
    plan = folder.plan
    config = config.model_copy(update={
        "trials": len(plan), "epochs": plan.configs[0].learning.epochs, "scheduler": "none", "time_budget": None,
    })  # fmt: skip
    if asked.top is not None and len(plan.trials) < asked.top:
        console.print(
            f"the search has {len(plan.trials)} different configurations with a result, fewer than {asked.top}"
        )
    folder.create()
    with folder.lease(), merged(home, config.tracking_uri):
        if remark := search.settle():
            console.print(remark)
        own.keep((file for file in own.used() if file.sha256 in config.parts.values()), search.path)
        if folder.result() is None:
            registered.ensure_owned(home, name, config.tracking_uri)
            outcome = _train(home, folder, config, console)
            if outcome.code:
                return outcome
            folder.write_result(_judged(folder, config))
        result = folder.result()
        assert result is not None
        for table in verdict.tables(result, console):
            console.print(table)
        if result.front is not None:
            for table in front.tables(result.search, result.front, len(result.seeds), console):
                console.print(table)
        for line in verdict.words(result):
            console.print(line)
        console.print(f"written: {folder.path}")
        return _published(home, folder, result, config.tracking_uri, asked.force, console)


def result(search: SearchFolder, asked: Request) -> RetrainResult | None:
    """The result of a retraining; None: it has not come to its end."""
    return settings_and_folder(search, asked)[1].result()


def settings_and_folder(search: SearchFolder, asked: Request) -> tuple[SearchConfig, RetrainFolder]:
    """The search's settings with the changes, and the folder of what is asked for."""
    config = parse(SearchConfig, search.config.model_dump(mode="json") | asked.changes)
    plan = planned(search, asked.top, asked.seeds, asked.epochs or config.epochs, config.device, config.data_dir)
    return config, RetrainFolder(search, plan)


def _train(home: Path, folder: RetrainFolder, config: SearchConfig, console: Console) -> Outcome:
    """Run all trainings of the plan to their ends."""
    plan, base = folder.plan, config.base
    per_card = preflight.trials_per_card(config, plan.configs, console)
    resources = preflight.trial_resources(home, config, console, per_card)
    if data.load(base.data, base.seed, base.data_dir, T=base.network.T).checksum != folder.search.read()["data"]:
        raise ConfigError(f"the training data of {base.data.dataset} differ from those that {plan.search} was run with")
    if changed := folder.search.other_versions():
        console.print(f"the search was run with other versions: {changed}")
    console.print(
        f"retraining {plan.search}: trials {', '.join(map(str, plan.trials))} with seeds "
        f"{', '.join(map(str, plan.seeds))}, {config.epochs} epochs each, {resources}"
    )
    disk = preflight.disk_for_running(home, config, max(plan.configs, key=bytes_on_disk), resources, console)
    own_data = preflight.own_data(home, config)
    session = Session(folder, config, resources, disk, PlanSearcher, redacting(console), own_data)
    display = watching(folder, config, console, folder.about, "training")
    tracker = Tracker(home, folder, config.tracking_uri, session.say, RetrainExporter)
    return run(session, display, tracker, "the same command")


def _judged(folder: RetrainFolder, config: SearchConfig) -> RetrainResult:
    """The ranking, and the test set opened for the first of it, or for the whole front: here, and nowhere else."""
    plan, goal = folder.plan, front.roles(config.goals).quality if folder.plan.front else config.goal
    ranking = verdict.ranked(plan.trials, [it.id for it in plan.configs], folder.values(goal), goal)
    means = _means(folder, config)
    named = front.keeping(ranking, means, config.goals)
    ranking.sort(key=lambda it: it.trial not in named)
    winner = ranking[0]
    device = resolve_device(config.device)
    opened_before = len(list(folder.others_tested()))
    test = test_set(config, device)
    images = test(plan.of_trial(winner.trial))
    accuracies = [
        None if network is None else network.accuracy(images.x, images.y)
        for network in _networks(folder, winner, device)
    ]  # fmt: skip
    return RetrainResult(
        search=plan.search, epochs=config.epochs, seeds=plan.seeds, ranking=tuple(ranking),
        lead=verdict.lead(ranking, goal), best_seed=verdict.best_seed(winner, plan.seeds, goal),
        objective=goal.name,
        test=verdict.tested(accuracies, len(images), opened_before),
        front=_front_tested(folder, config, ranking, named, means, test, device) if plan.front else None,
    )  # fmt: skip


def test_set(config: SearchConfig, device: torch.device) -> Callable[[RunConfig], Images]:
    """The test images as a configuration is shown them: recordings depend on its T and on its window."""
    load = cache(lambda of, T: data.load_test(of, config.data_dir, device, T))
    return lambda run: load(run.data.model_copy(update={"train_images": None}), run.frames)


def _networks(folder: RetrainFolder, of: RankedConfig, device: torch.device) -> list[Network | None]:
    """The trained networks of a configuration, one a seed; None: its training failed."""
    paths = [folder.trial(folder.number(of.trial, seed)).path for seed in folder.plan.seeds]
    return [
        None if value is None else run_folder.load(path).to(device)
        for value, path in zip(of.values, paths, strict=True)
    ]


def _means(folder: RetrainFolder, config: SearchConfig) -> dict[int, tuple[float, ...]]:
    """Means over seeds of all that is measured, as the trainings ended, of each trial that has a result."""
    columns = zip(*(folder.values(it) for it in config.goals.measured), strict=True)
    there = {
        trial: [[value for value in values if value is not None] for values in own]
        for trial, own in zip(folder.plan.trials, columns, strict=True)
    }
    return {trial: tuple(map(statistics.mean, own)) for trial, own in there.items() if all(own)}


def _front_tested(
    folder: RetrainFolder, config: SearchConfig, ranking: list[RankedConfig], named: list[int],
    means: dict[int, tuple[float, ...]], test: Callable[[RunConfig], Images], device: torch.device,
) -> FrontResult:  # fmt: skip
    """Every point of the front on the test images, and which are named."""
    plan, goals, asked = folder.plan, config.goals, front.roles(config.goals)
    by_trial = {it.name: dict(zip(plan.trials, folder.values(it), strict=True)) for it in goals.measured}
    at = [it.name for it in goals.measured].index(asked.cost.name)

    def validation(run: RunConfig, seed: int) -> Images:
        return data.load(run.data, seed, config.data_dir, device, run.frames).validation

    points = []
    for it in ranking:
        if it.mean is not None:
            run, best = plan.of_trial(it.trial), verdict.best_seed(it, plan.seeds, asked.quality)
            networks = dict(zip(plan.seeds, _networks(folder, it, device), strict=True))
            ended = {name: values[it.trial] for name, values in by_trial.items()}
            point = front.RetrainedPoint(it.trial, best, networks, ended)
            points.append(front.tested_point(point, test(run), partial(validation, run), goals))
    cheapest = front.cheapest(named, ranking, {trial: mean[at] for trial, mean in means.items()}, asked)
    return FrontResult(
        quality=asked.quality.name, cost=asked.cost.name, champion=named[0], cheapest=cheapest, points=tuple(points)
    )


def _published(
    home: Path, folder: RetrainFolder, result: RetrainResult, uri: str | None, force: bool, console: Console
) -> Outcome:
    """The test accuracies in MLflow, and the winner's best network as a registered version; each once."""
    try:
        exporter = RetrainExporter(home, folder, uri)
        exporter.export_all()
        exporter.log_test(result)
        said = champion.register(exporter, result, force)
    except ConfigError:
        raise
    except Exception as error:  # whatever a store may raise
        return Outcome(1, f"MLflow does not take the result ({brief(error)}); the same command tries again")
    console.print(said)
    return Outcome(0)
