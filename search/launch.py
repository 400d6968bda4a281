"""A search from start to end: what is checked before it begins, what runs beside it, how it ended. A resume is a
launch on the same folder."""

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console

from ffsnn.config import ConfigError, RunConfig
from ffsnn.datasets.data import load
from ffsnn.training.run_folder import bytes_on_disk
from search.cluster.gpu_packing import INSTEAD, largest, measure, refuse_full
from search.cluster.node_report import gpus
from search.cluster.nodes import this_machine
from search.cluster.resources import TrialResources
from search.config import SearchConfig
from search.names import SEARCHES
from search.progress import ProgressDisplay
from search.settings import redacted
from search.signals import held_back, listen, stoppable
from search.stop import StopRequest
from search.store.folder import SearchFolder, TrialsFolder
from search.store.packing import PackingResult

if TYPE_CHECKING:
    from search.execution.driver import MakeSearcher
    from search.execution.searcher import FolderSearcher, TrialEvent
    from search.tracking.tracker import Tracker

SPARE = 32e6  # bytes of disk left free: study, histories, MLflow's store


@dataclass(frozen=True)
class Outcome:
    """How a search ended: with all its trials, else why not."""

    code: int  # exit code: 0 finished, 130 interrupted, 1 failed, 2 a rule is broken, which going on would meet again
    reason: str = ""


def launch(home: Path, config: SearchConfig, console: Console, resume: bool = False, force: bool = False) -> Outcome:
    """Run a search to its end.

    Args:
        home: the `mlruns/` folder.
        config: what to search; of a resumed search its stored one, perhaps with a larger budget.
        console: where progress goes.
        resume: go on with the search of that name.
        force: go on although a library's version differs.

    Raises:
        ConfigError: before any trial starts.
    """
    refuse_a_foreign_ray()
    os.umask(0o077)  # what is written is for its owner alone
    if config.storage or config.tracking_uri:
        _servers(home, config, resume)
    measured = measured_card(SearchFolder(home / SEARCHES / config.name), config, config.extremes(), console)
    share = share_of(home, config, console, measured)
    base = config.base
    console.print(
        f"search {config.name}: {config.trials} trials of up to {config.epochs} epochs on {base.data.dataset} "
        f"({base.data.trained_on:,} training images), {share}"
    )
    room = disk_room(home, config, max(config.extremes(), key=bytes_on_disk), share, console)
    with held_back():
        from search.study import samplers  # and with it optuna, after the first line

    start_numerical_threads()
    if remark := samplers.limits(config.sampler, config.space):
        console.print(remark)
    checksum = load(base.data, base.seed, base.data_dir).checksum
    if resume:
        folder = _resumed(home, config, checksum, force)
    else:
        if config.warm_start:
            from search.study import warm_start

            first, remark = warm_start.points(home, config.warm_start, config.space)
            console.print(remark)
            config = config.model_copy(update={"first": tuple(first)})
        folder = SearchFolder.create(home, config, checksum)
    with folder.lease():
        if remark := folder.settle():
            console.print(remark)
        folder.write(config, checksum)
        if measured:
            folder.write_card(measured)
        from search.tracking.tracker import Tracker

        board, tracker = (
            ProgressDisplay(folder, config, console),
            Tracker(home, folder, config.tracking_uri, _say(console)),
        )
        return run(folder, config, share, room, board, tracker, _study_searcher, f"ffsnn sync {folder.name}")


def start_numerical_threads() -> None:
    """Have numerical libraries start their threads now, with signals held back from them.

    They live on while Ray starts, which answers SIGTERM by a handler that aborts, in whichever thread hears it.
    """
    with held_back():
        import_module("sklearn.datasets")
        torch.ones(2**20).sum()


def refuse_a_foreign_ray() -> None:
    """Make sure that this process has no Ray of its user's: a search starts one of its own, and takes it down.

    Raises:
        ConfigError: there is one.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        raise ConfigError(
            "Ray is up in this process already, and a search has a Ray of its own, which it takes down in the end: "
            "call ray.shutdown() before it, or run it in a process of its own (ffsnn search)"
        )


def measured_card(
    folder: TrialsFolder, config: SearchConfig, configs: Iterable[RunConfig], console: Console
) -> PackingResult | None:
    """What a trial takes of this machine's card; measured once a folder and card. None: nothing has to be measured.

    Args:
        folder: which knows what was measured before; it need not be there yet.
        config: what is asked for.
        configs: among which the largest trial is.
        console: where the figures go.

    Raises:
        ConfigError: the cards are full or differ, not one trial fits, or it is a cluster's cards that are asked for.
    """
    auto = config.gpus_per_trial == "auto"
    if config.address:
        if auto:
            raise ConfigError(f"gpus_per_trial=auto measures this machine's cards, not a cluster's: {INSTEAD}")
        return None
    here = this_machine(config.device)
    if not here.gpus or config.gpus_per_trial == 0:
        return None
    refuse_full(gpus())
    if not auto:
        return None
    console.print("measuring how many trials share a card: half a minute or more, once a search")
    cards, trials = int(here.gpus), min(config.trials, config.concurrency or config.trials)
    most = max(1, min(math.ceil(trials / cards), here.cpus // cards))
    measured = measure(largest(configs), most, folder.card())
    console.print(str(measured))
    return measured


def share_of(home: Path, config: SearchConfig, console: Console, measured: PackingResult | None) -> TrialResources:
    """What a trial gets: of this machine, or of the cluster, which is joined to look at it.

    Raises:
        ConfigError: something on a node of the cluster is wrong; a table says what is right.
    """
    if not config.address:
        return TrialResources(config, per_card=measured.trials if measured else None)
    from search.cluster import doctor

    lines, nodes = doctor.nodes(home, config)
    if wrong := doctor.refusal(lines):
        doctor.show(lines, console)
        raise ConfigError(wrong)
    console.print(f"doctor: {len(nodes)} nodes, all is well")
    return TrialResources(config, nodes)


def _servers(home: Path, config: SearchConfig, resume: bool) -> None:
    """Make sure that the study's database and the MLflow server take this search; one that is silent is waited for."""
    from search.cluster import servers
    from search.study.study_store import ensure_owned

    if config.storage:
        owner = SearchFolder.open(home, config.name).id if resume else None
        ensure_owned(config.storage, config.name, owner)
    if config.tracking_uri and (wrong := servers.tracking_problem(config.tracking_uri)) and servers.SILENT not in wrong:
        raise ConfigError(wrong)


def _study_searcher(*arguments: Any) -> "FolderSearcher":
    from search.execution.study_searcher import StudySearcher  # and with it Tune, while Ray starts

    return StudySearcher(*arguments)


def _say(console: Console) -> Callable[[str], None]:
    """Says what a person should read; messages of libraries may have a password in them."""
    return lambda line: console.print(redacted(line))


def disk_room(home: Path, config: SearchConfig, largest: RunConfig, share: TrialResources, console: Console) -> int:
    """Bytes that the running trials need on the disk, after making sure that all trials have theirs.

    Args:
        largest: the trial that takes most; others may take less.
    """
    running, kept = bytes_on_disk(largest)
    needed, free = share.concurrency * running + config.trials * kept + SPARE, shutil.disk_usage(home).free
    console.print(
        f"on disk: {kept / 1e6:.2g} MB a trial, {running / 1e6:.2g} MB while it runs, {needed / 1e6:,.0f} MB in all; "
        f"{free / 1e9:,.1f} GB are free"
    )
    if free < needed:
        raise ConfigError(
            f"the search may need {needed / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are free in {home}: make room, "
            f"lower --trials, or name another folder with --home"
        )
    return int(share.concurrency * running + SPARE / 2)


def _resumed(home: Path, config: SearchConfig, checksum: str, force: bool) -> SearchFolder:
    folder = SearchFolder.open(home, config.name)
    if folder.read()["data"] != checksum:
        raise ConfigError(
            f"the training data of {config.space.base.data.dataset} differ from those that {config.name} was begun with"
        )
    if not force and (changed := folder.other_versions()):
        raise ConfigError(
            f"search {config.name!r} was begun with other versions ({changed}): its trials would not be comparable "
            f"bit by bit; go on all the same with --force"
        )
    return folder


def run(
    folder: TrialsFolder, config: SearchConfig, share: TrialResources, room: int, board: ProgressDisplay,
    tracker: "Tracker", searcher: "MakeSearcher", catch_up: str,
) -> Outcome:  # fmt: skip
    """The trials of a folder, watched and tracked, to their end.

    Args:
        folder: leased.
        config: what they may spend.
        share: what a trial gets of the machine.
        room: bytes of disk that running trials need.
        board: shows them.
        tracker: writes them to MLflow.
        searcher: makes what hands them out.
        catch_up: the command that writes what MLflow lacks.
    """
    from search.execution.driver import STOPPING, drive

    say = _say(board.console)
    stop = StopRequest(config.time_budget * 60 - folder.spent() if config.time_budget else None)

    def news(item: "TrialEvent") -> None:
        tracker.changed(item.number)
        board.news(item)
        if item.end and board.ended == config.trials:
            tracker.finish()  # while Ray goes down
        elif item.end and board.ended + len(board.running) == config.trials:
            tracker.spare.set()

    with stoppable(stop, say, STOPPING):
        with held_back():  # from these threads
            tracker.start()
            board.start()
        try:
            drive(folder, config, share, room, stop, news, say, searcher)
        finally:
            board.close()
        stop.ending = False
        listen(stop, say, "the search is over, and MLflow is being told; once more stops at once")
        if not tracker.close():
            say(f"MLflow lacks a part of this; catch up with: {catch_up}")
    ends = [end for trial in folder.trials() if (end := trial.end())]
    if stop.asked and len(ends) < config.trials:
        return Outcome(2 if stop.for_good else 1 if stop.failed else 130, stop.reason)
    if stop.out_of_time and (len(ends) < config.trials or any(end.reason == "time_budget" for end in ends)):
        return Outcome(0, f"its time budget of {config.time_budget:g} minutes is spent")
    return Outcome(0)
