"""A search: the study's searcher and ASHA on Tune, on whatever this machine has. A resume is a launch on the same
folder.

Tune executes and does not remember: its own snapshots are never read, and go to a temporary folder that is deleted.
"""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ffsnn.config import ConfigError, RunConfig
from ffsnn.data import load
from ffsnn.trainer import resolve_device
from search.folder import SearchConfig, SearchFolder
from search.names import ENVIRONMENT
from search.progress import Board
from search.tracking import Tracker


class Share:
    """What one trial gets of this machine, and how many run at once.

    Raises:
        ConfigError: more is asked for than there is.
    """

    def __init__(self, config: SearchConfig) -> None:
        device = resolve_device(config.device)
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        gpus = 0
        if device.type == "cuda":
            import torch

            gpus = torch.cuda.device_count()
        asked = config.gpus_per_trial
        if asked and not gpus:
            raise ConfigError(f"gpus_per_trial={asked} needs a GPU, but none was found: leave it out to run on CPUs")
        if asked and asked > gpus:
            raise ConfigError(f"gpus_per_trial <= {gpus} must hold on this machine, but got {asked}")
        self.gpus = asked if asked is not None else float(min(gpus, 1))
        at_most = int(gpus / self.gpus) if self.gpus else cpus
        self.concurrency = min(config.concurrency or at_most, at_most, config.trials)
        self.cpus = max(1, cpus // self.concurrency)
        self.all_cpus, self.all_gpus = cpus, gpus


def launch(home: Path, config: SearchConfig, console: Console, resume: bool = False) -> bool:
    """Run a search to its end.

    Args:
        home: the `mlruns/` folder.
        config: what to search; of a resumed search its stored one, perhaps with a larger budget.
        console: where progress goes.
        resume: go on with the search of that name.

    Returns:
        Whether the budget was met; False after an interruption.

    Raises:
        ConfigError: before any trial starts.
    """
    share = Share(config)
    base = config.space.base.replaced(
        {"learning.epochs": config.epochs, "seed": config.seed, "device": config.device, "data_dir": config.data_dir}
    )
    console.print(
        f"search {config.name}: {config.trials} trials of up to {config.epochs} epochs on {base.data.dataset} "
        f"({base.data.trained_on:,} training images), {share.concurrency} at once with {share.cpus} CPU"
        + (f" and {share.gpus:g} GPU" if share.gpus else "")
        + " each"
    )
    from search import samplers  # and with it optuna, after the first line

    if remark := samplers.limits(config.sampler, config.space):
        console.print(remark)
    checksum = load(base.data, base.seed, base.data_dir).checksum
    if resume:
        folder = SearchFolder.open(home, config.name)
        if folder.read()["data"] != checksum:
            raise ConfigError(
                f"the training data of {base.data.dataset} differ from those that {config.name} was begun with"
            )
        folder.write(config, checksum)
    else:
        folder = SearchFolder.create(home, config, checksum)
    with folder.lease():
        return _run(home, folder, config, base, share, console)


def _run(
    home: Path, folder: SearchFolder, config: SearchConfig, base: RunConfig, share: Share, console: Console
) -> bool:
    """The search, watched and tracked."""
    tracker = Tracker(home, folder, say=console.print)
    board = Board(folder, config, console)

    def changed(number: int) -> None:
        tracker.changed(number)
        board.changed(number)

    tracker.start()
    board.start()
    sigterm = signal.getsignal(signal.SIGTERM)
    try:
        finished = _tune(folder, config, base, share, changed)
    except KeyboardInterrupt:  # before or after Tune's own loop, which handles it
        finished = False
    finally:
        signal.signal(signal.SIGTERM, sigterm)
        board.close()
    if not tracker.close():
        console.print(f"MLflow lacks a part of this search; catch up with: ffsnn sync {folder.name}")
    return finished


def _tune(
    folder: SearchFolder, config: SearchConfig, base: RunConfig, share: Share, changed: Callable[[int], None]
) -> bool:
    os.environ |= {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.umask(0o077)
    import ray
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler

    from search.asha import FolderASHA
    from search.optuna_search import StudySearcher
    from search.trainable import TrialTrainable

    searcher = StudySearcher(folder, config, base, share.cpus, changed)
    scheduler: TrialScheduler = FIFOScheduler()  # type: ignore[no-untyped-call]
    if config.scheduler == "asha":
        scheduler = FolderASHA(config)
        scheduler.refill(folder)
    scratch = tempfile.mkdtemp(prefix="ffsnn-tune-")
    try:
        ray.init(
            num_cpus=share.all_cpus, num_gpus=share.all_gpus, include_dashboard=False, log_to_driver=False,
            logging_level=logging.ERROR, object_store_memory=128 * 2**20,
        )  # fmt: skip
        logging.getLogger("ray").setLevel(logging.ERROR)
        # Batch systems end a job by SIGTERM: the same clean stop as Ctrl-C. Ray's own handler, which aborts, goes.
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        tune.Tuner(
            tune.with_resources(TrialTrainable, {"cpu": share.cpus, "gpu": share.gpus}),
            tune_config=tune.TuneConfig(
                search_alg=searcher, scheduler=scheduler, num_samples=-1, reuse_actors=True,
                max_concurrent_trials=share.concurrency,
                time_budget_s=config.time_budget * 60 if config.time_budget else None,
            ),
            run_config=tune.RunConfig(name=folder.name, storage_path=scratch, verbose=0),
        ).fit()  # fmt: skip
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)
    ended = sum(trial.end() is not None for trial in folder.trials())
    return ended >= config.trials or searcher.out_of_time
