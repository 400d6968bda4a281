"""The driver: Tune's loop on the search folder, begun again where it ends before the search does.

Tune executes and does not remember: its own snapshots are never read, and go to a folder that is deleted.
Whatever ends its loop (Ray's node, a callback, a store), the folder says how to go on.
"""

import errno
import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from ffsnn.config import ConfigError
from search import environment
from search.cluster.resources import TrialResources
from search.config import SearchConfig
from search.names import SCRATCH
from search.settings import Unreachable
from search.signals import held_back, listen
from search.stop import GRACE, StopRequest
from search.store.folder import TrialsFolder

if TYPE_CHECKING:
    from search.execution.searcher import FolderSearcher, TrialEvent

RESTARTS = 3  # of Tune's loop in a row without a trial that ended
STOPPING = f"stopping: running trials finish their epoch ({GRACE:.0f} s at most); once more stops at once"
MakeSearcher = Callable[..., "FolderSearcher"]  # of folder, config, threads, stop, news, say


def drive(
    folder: TrialsFolder, config: SearchConfig, share: TrialResources, room: int, stop: StopRequest,
    news: Callable[["TrialEvent"], None], say: Callable[[str], None], searcher: MakeSearcher,
) -> None:  # fmt: skip
    """Run the search until its budget is met or it is to stop; within `stoppable`.

    Args:
        folder: the search, leased.
        config: what it may spend.
        share: what a trial gets of the machine.
        room: bytes of disk that running trials need.
        stop: asked and told why it stops.
        news: called with whatever happens to a trial.
        say: called with what a person should read.
        searcher: makes what hands out the folder's trials.
    """
    environment.prepare()
    from search.cluster import ray_cluster  # once Ray can read the environment
    from search.study.study_store import wait_for

    left, ended = RESTARTS, -1
    if not stop.requested and _ended(folder) >= config.trials:
        searcher(folder, config, share.cpus, stop, news, say)  # makes whole what a fault left torn
        say(f"all of its {config.trials} have ended: nothing is left to run")
        return
    while not stop.requested:
        try:
            _tune(folder, config, share, room, stop, news, say, searcher)
            problem = "it ended before the search"
        except (KeyboardInterrupt, SystemExit):  # the latter is how Ray answers SIGTERM while it starts
            stop.ask("interrupted")
        except Unreachable as error:
            problem = str(error)
        except Exception as error:  # whatever Ray, Tune, a store or a rule may raise
            if (system := _of_the_system(error)) and system.errno in (errno.ENOSPC, errno.EDQUOT):
                stop.ask(f"the disk is full ({system})", failed=True)
            elif isinstance(error, ConfigError):  # the next loop would meet it again
                stop.ask(str(error), failed=True, for_good=system is None)
            problem = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1][:200]}"
        finally:
            with held_back():
                ray_cluster.stop()
                listen(stop, say, STOPPING)  # Ray leaves SIGTERM to end the process
        now = _ended(folder)
        if now >= config.trials or stop.requested:
            break
        left, ended = (RESTARTS if now > ended else left - 1), now
        if not left:
            stop.ask(f"its loop failed {RESTARTS} times in a row ({problem})", failed=True)
        else:
            say(f"the search's loop failed ({problem}): going on from the folder")
            time.sleep(1)
            if config.storage and wait_for(config.storage, stop, say):
                left = RESTARTS  # it was the database's doing
    if stop.out_of_time:
        searcher(folder, config, share.cpus, stop, news, say).end_all()


def _of_the_system(error: BaseException | None) -> OSError | None:
    """The system's own error that an error is, or comes from."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error


def _ended(folder: TrialsFolder) -> int:
    """How many trials have."""
    return sum(trial.end() is not None for trial in folder.trials())


def _tune(
    folder: TrialsFolder, config: SearchConfig, share: TrialResources, room: int, stop: StopRequest,
    news: Callable[["TrialEvent"], None], say: Callable[[str], None], make_searcher: MakeSearcher,
) -> None:  # fmt: skip
    """Tune's loop, once."""
    from search.cluster import ray_cluster

    scratch = folder.path / SCRATCH  # not in /tmp, which may be swept while a search runs, and keeps what a kill leaves
    shutil.rmtree(scratch, ignore_errors=True)
    # A Ray of our own is there in seconds; a cluster may be silent for longer than a person waits.
    with nullcontext() if config.address else held_back(), ThreadPoolExecutor(1) as beside:
        beside.submit(import_module, "search.execution.trainable")  # and with it Tune: seconds, while Ray starts
        ray_cluster.start(share, config.address)
        listen(stop, say, STOPPING)  # Ray's own handler of SIGTERM, which aborts, goes
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler

    from search.execution.ray_patches import ray_patches
    from search.execution.schedulers import FolderASHA
    from search.execution.trainable import TrialTrainable
    from search.execution.watchdog import StopAtNextEpoch, Watchdog

    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # it names trials as nobody knows them
    watch = Watchdog(folder, config.patience * 60, room, stop, lambda: listen(stop, say, STOPPING))

    def told(item: "TrialEvent") -> None:
        watch.news(item)
        news(item)

    watch.searcher = searcher = make_searcher(folder, config, share.cpus, stop, told, say)
    scheduler: TrialScheduler = FIFOScheduler()  # type: ignore[no-untyped-call]
    if config.scheduler == "asha":
        scheduler = FolderASHA(config)
        scheduler.refill(folder)
    try:
        tuner = tune.Tuner(
            tune.with_resources(TrialTrainable, share.resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher, scheduler=scheduler, num_samples=-1, reuse_actors=True,
                max_concurrent_trials=share.concurrency,
            ),
            run_config=tune.RunConfig(
                name=folder.name, storage_path=str(scratch), verbose=0, callbacks=[watch],
                stop=StopAtNextEpoch(stop, folder, searcher),
            ),
        )  # fmt: skip
        with ray_patches(prestarted=not share.is_cluster):
            tuner.fit()
    finally:
        stop.ending = stop.requested
        shutil.rmtree(scratch, ignore_errors=True)
        folder.write_spent(watch.spent_before + stop.seconds)
