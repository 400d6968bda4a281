"""A search from start to end: what is checked before it begins, what runs beside it, how it ended. A resume is a
launch on the same folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ffsnn.datasets.data import load
from ffsnn.kernels.backends import remarks
from ffsnn.parts import own
from ffsnn.training.run_folder import bytes_on_disk
from ffsnn.validation import ConfigError
from search import preflight
from search.config import SearchConfig
from search.display.live_table import kept, watching
from search.execution.session import Session, TrialEvent
from search.hints import command
from search.progress import ProgressDisplay
from search.registries import SCHEDULERS
from search.settings import redacted
from search.signals import held_back, listen, stoppable
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.study.samplers import limits

if TYPE_CHECKING:
    from search.execution.searcher import FolderSearcher
    from search.tracking.tracker import Tracker


@dataclass(frozen=True)
class Outcome:
    """End of a search: its exit code, and why it did not finish."""

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
    preflight.refuse_foreign_ray()
    os.umask(0o077)  # what is written is for its owner alone
    if config.storage or config.tracking_uri:
        preflight.check_servers(home, config, resume)
    per_card = preflight.trials_per_card(config, config.extremes(), console)
    resources = preflight.trial_resources(home, config, console, per_card)
    base = config.base
    console.print(
        f"search {config.name}: {config.trials} trials of up to {config.epochs} epoch{'s' * (config.epochs > 1)} on "
        f"{base.data.dataset} ({base.data.trained_on:,} training {base.data.facts.noun}), {resources}"
    )
    disk = preflight.disk_for_running(home, config, max(config.extremes(), key=bytes_on_disk), resources, console)
    with held_back():
        import_module("optuna")  # after the first line
    preflight.start_numerical_threads()
    costs = [remark for it in config.extremes() for remark in remarks(it)]
    for remark in dict.fromkeys([*costs, *filter(None, [limits(config.sampler, config.space)])]):
        console.print(remark)
    split = load(base.data, base.seed, base.data_dir, T=base.network.T)
    checksum = split.checksum
    if resume:
        folder = _resumed(home, config, checksum, force)
    else:
        for line in preflight.cost_of_own_parts(config, split, resources):
            console.print(line)
        from search.study.starts import starts

        first, said = starts(home, config)
        for line in said:
            console.print(line)
        config = config.model_copy(update={"first": config.first or tuple(first)})
        folder = SearchFolder.create(home, config, checksum)
    with folder.lease():
        if renamed := folder.settle():
            console.print(renamed)
        own.keep((file for file in own.used() if file.sha256 in config.parts.values()), folder.path)
        if resume and config.trials > folder.config.trials:
            _reopen(folder, config, console)
        folder.write(config, checksum)
        if resume:
            _lengthen(folder, config, console)
        from search.tracking.store import merged
        from search.tracking.tracker import Tracker

        own_data = preflight.own_data(home, config)
        session = Session(folder, config, resources, disk, _study_searcher, redacting(console), own_data)
        tracker = Tracker(home, folder, config.tracking_uri, session.say)
        display = watching(folder, config, console)
        if resume:
            console.print(kept(display))
        with merged(home, config.tracking_uri):
            return run(session, display, tracker, command("sync", folder.name))


def run(session: Session, display: ProgressDisplay, tracker: "Tracker", catch_up: str) -> Outcome:
    """The trials of a session, watched and tracked, to their end.

    Args:
        session: whose folder is leased.
        display: shows its trials.
        tracker: writes them to MLflow.
        catch_up: the command that writes what MLflow lacks.
    """
    from search.execution.driver import STOPPING, drive

    config, stop = session.config, session.stop

    def on_event(event: TrialEvent) -> None:
        tracker.changed(event.number)
        display.on_event(event)
        if event.end and display.ended == config.trials:
            tracker.finish()  # while Ray goes down
        elif event.end and display.ended + len(display.running) == config.trials:
            tracker.spare.set()

    session.listeners.append(on_event)
    with stoppable(stop, session.say, STOPPING):
        with held_back():  # from these threads
            tracker.start()
            display.start()
        try:
            drive(session)
        finally:
            display.close()
        stop.ending = False
        listen(stop, session.say, "the search is over, and MLflow is being told; once more stops at once")
        if not tracker.close():
            session.say(f"MLflow lacks a part of this; catch up with: {catch_up}")
    ends = session.ends()
    if stop.asked and len(ends) < config.trials:
        return Outcome(2 if stop.for_good else 1 if stop.failed else 130, stop.reason)
    if stop.out_of_time and len(ends) < config.trials:
        return Outcome(0, f"its time budget of {config.time_budget:g} minutes is spent")
    return Outcome(0)


def redacting(console: Console) -> Callable[[str], None]:
    """Says what a person should read; messages of libraries may have a password in them."""
    return lambda line: console.print(redacted(line))


def _study_searcher(session: Session) -> "FolderSearcher":
    from search.execution.study_searcher import study_searcher  # and with it Tune, while Ray starts

    return study_searcher(session)


def _reopen(folder: SearchFolder, config: SearchConfig, console: Console) -> None:
    """Let trials go on that ended at a rung, where more trials may make them one of the best there."""
    survivors = SCHEDULERS[config.scheduler].survivors(config, folder)
    for number in survivors:
        folder.trial(number).reopen()
    if survivors:
        console.print(f"{len(survivors)} trials that ended at a rung may go on, for there will be more trials")


def _lengthen(folder: SearchFolder, config: SearchConfig, console: Console) -> None:
    """Have trials train for the search's epochs, which may have become more: those that were at full length go on, and
    others may. A kill in between is made good by the next resume: a trial's configuration is written last."""
    short = [trial for trial in folder.trials() if _is_shorter(trial, config.epochs)]
    if not short:
        return
    going_on = SCHEDULERS[config.scheduler].survivors(config, folder)
    for number in going_on:
        folder.trial(number).reopen()
    for trial in short:
        if (end := trial.end()) and end.state == "complete":
            trial.reopen()
            going_on.append(trial.number)
        trial.rewrite_config(trial.config().replaced({"learning.epochs": config.epochs}))
    console.print(
        f"trials may have {config.epochs} epochs now: {len(going_on)} that had ended may go on; one that does is "
        f"trained anew from its first epoch, to the same bits"
    )


def _is_shorter(trial: TrialFolder, epochs: int) -> bool:
    """True if a trial was begun with fewer epochs; a damaged configuration is written anew with as many, from the study
    (`search.study.reconcile`)."""
    try:
        return trial.config().learning.epochs < epochs
    except ConfigError:
        return False


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
