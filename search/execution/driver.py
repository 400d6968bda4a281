"""The driver: Tune's loop on the search folder, begun again where it ends before the search does.

Tune executes and does not remember: its own snapshots are never read, and go to a folder that is deleted.
Whatever ends its loop (Ray's node, a callback, a store), the folder says how to go on.
"""

import errno
import logging
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib import import_module

from ffsnn.kernels.backends import compiles_first
from ffsnn.validation import ConfigError
from search import environment
from search.execution.session import Session
from search.names import SCRATCH
from search.settings import Unreachable
from search.signals import held_back, listen
from search.stop import GRACE

LOOPS = 4  # of Tune that fail in a row, without a trial that ended, before a search is given up
STOPPING = f"stopping: running trials finish their epoch ({GRACE:.0f} s at most); once more stops at once"


def drive(session: Session) -> None:
    """Run a session until its budget is met or it is to stop; within `stoppable`."""
    environment.prepare()
    from search.study.database import wait_for

    config, stop, say = session.config, session.stop, session.say
    left, ended = LOOPS, len(session.ends())
    if not stop.requested and ended >= config.trials:
        session.make_searcher(session)  # repairs what a fault left torn
        say(f"all of its {config.trials} have ended: nothing is left to run")
        return
    while not stop.requested:
        problem = _loop(session)
        now = len(session.ends())
        if now >= config.trials or stop.requested:
            break
        left, ended = (LOOPS if now > ended else left - 1), now
        if not left:
            stop.ask(f"its loop failed {LOOPS} times in a row ({problem})", failed=True)
        else:
            say(f"the search's loop failed ({problem}): going on from the folder")
            time.sleep(1)
            if config.storage and wait_for(config.storage, stop, say):
                left = LOOPS  # it was the database's doing


def _loop(session: Session) -> str:
    """Tune's loop and Ray's end, once; why it ended. What is to end the search, too, asks it to stop."""
    from search.cluster import ray_cluster  # once Ray can read the environment

    try:
        _tune(session)
        return "it ended before the search"
    except (KeyboardInterrupt, SystemExit):  # the latter is how Ray answers SIGTERM while it starts
        session.stop.ask("interrupted")
        return "interrupted"
    except Unreachable as error:
        return str(error)
    except Exception as error:  # whatever Ray, Tune, a store or a rule may raise
        if (system := _of_the_system(error)) and system.errno in (errno.ENOSPC, errno.EDQUOT):
            session.stop.ask(f"the disk is full ({system})", failed=True)
        elif isinstance(error, ConfigError):  # the next loop would meet it again
            session.stop.ask(str(error), failed=True, for_good=system is None)
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[-1][:200]}"
    finally:
        with held_back():
            ray_cluster.stop()
            listen(session.stop, session.say, STOPPING)  # Ray leaves SIGTERM to end the process


def _of_the_system(error: BaseException | None) -> OSError | None:
    """The system's own error that an error is, or comes from."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error


def _start_ray(session: Session) -> None:
    from search.cluster import ray_cluster

    config, resources = session.config, session.resources
    # A Ray of our own is there in seconds; a cluster may be silent for longer than a person waits.
    with nullcontext() if config.address else held_back(), ThreadPoolExecutor(1) as beside:
        with held_back():  # from the threads that libraries start
            beside.submit(import_module, "search.execution.trainable")  # and with it Tune: seconds, while Ray starts
        session.say(f"joining Ray at {config.address}" if config.address else "starting Ray")
        ray_cluster.start(resources, config.address)
        listen(session.stop, session.say, STOPPING)  # Ray's own handler of SIGTERM, which aborts, goes
    if not resources.gpus and not resources.is_cluster and compiles_first():
        session.say("compiling kernels, once a machine: 10 to 30 seconds")


def _tune(session: Session) -> None:
    """Ray's start, and Tune's loop, once."""
    _start_ray(session)
    from ray import tune

    from search.cluster.ray_private import quick_start
    from search.execution.trainable import TrialTrainable
    from search.execution.watchdog import StopAtNextEpoch, Watchdog

    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # it names trials as nobody knows them
    resources = session.resources
    scratch = session.folder.path / SCRATCH  # not in /tmp, which may be swept meanwhile, and keeps what a kill leaves
    shutil.rmtree(scratch, ignore_errors=True)
    watchdog = Watchdog(session, lambda: listen(session.stop, session.say, STOPPING))
    try:
        with session.listening(watchdog.on_event), quick_start(prestarted=not resources.is_cluster):
            watchdog.searcher = searcher = session.make_searcher(session)
            tune.Tuner(
                tune.with_resources(TrialTrainable, resources.resources),
                tune_config=tune.TuneConfig(
                    search_alg=searcher, scheduler=searcher.scheduler, num_samples=-1, reuse_actors=True,
                    max_concurrent_trials=resources.concurrency,
                ),
                run_config=tune.RunConfig(
                    name=session.folder.name, storage_path=str(scratch), verbose=0, callbacks=[watchdog],
                    progress_reporter=tune.CLIReporter(),  # says nothing; the one for notebooks clears the cell
                    stop=StopAtNextEpoch(session, searcher),
                ),
            ).fit()  # fmt: skip
    finally:
        session.stop.ending = session.stop.requested
        shutil.rmtree(scratch, ignore_errors=True)
        session.write_spent()
