"""Every private name of Ray that the project uses, each guarded: where one is missing, the public way is taken.

Each is a shortcut or an insight that Ray offers no public name for. Another version of Ray may have lost it: then what
it saves is lost too, which is said once.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import ray

NAMES = (
    "ray._raylet.Config", "ray._raylet.AuthenticationTokenLoader", "ray._private.worker._global_node",
    "ray._private.services.get_ray_address_from_environment", "ray.air._internal.usage.tag_callbacks",
    "ray.tune.execution.class_cache._ActorClassCache", "ray._private.node.Node",
    "ray._private.worker.listen_error_messages",
)  # fmt: skip
UNUSED = ("start_api_server", "start_monitor", "start_log_monitor")  # of a node, on one machine


def found(name: str, cost: str) -> Any:
    """The object of a private name; None where this Ray does not have it, which is said once."""
    module, _, leaf = name.rpartition(".")
    try:
        return getattr(import_module(module), leaf)
    except (ImportError, AttributeError):
        missing(name, cost)
        return None


@cache
def missing(name: str, cost: str) -> None:
    warnings.warn(f"Ray {ray.__version__} has no {name}: {cost}", stacklevel=3)


def read_settings() -> None:
    """Have Ray read its environment, which it did when it was imported, once more."""
    config = found("ray._raylet.Config", "its settings are those that were in the environment when it was imported")
    if config is not None:
        config.initialize("")


def kill_at_once() -> None:
    """Let Ray kill its processes at once: it gives each a second for SIGTERM, which does not reach them."""
    node = getattr(import_module("ray._private.worker"), "_global_node", None)  # None as well where Ray is not up
    for processes in getattr(node, "all_processes", {}).values():
        for each in processes:
            each.process.terminate = each.process.kill


def address_of_this_host() -> str | None:
    """HOST:PORT of the cluster that runs on this host; None: none does."""
    ask = found(
        "ray._private.services.get_ray_address_from_environment", "name the cluster with --address HOST:PORT, not auto"
    )
    try:
        address: str | None = ask("auto", None) if ask else os.environ.get("RAY_ADDRESS")
    except (ConnectionError, OSError):
        return None
    return address if address and ":" in address else None


def token() -> str | None:
    """The token that this user has for clusters; None: none."""
    loaders = found("ray._raylet.AuthenticationTokenLoader", "its token is read from where Ray documents it")
    if loaders is None:
        file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
        return os.environ.get("RAY_AUTH_TOKEN") or (file.read_text().strip() if file.is_file() else None)
    loader = loaders.instance()
    loader.reset_cache()
    return str(loader.get_raw_token(ignore_auth_mode=True)) if loader.has_token(ignore_auth_mode=True) else None


def rungs(scheduler: Any) -> list[tuple[float, dict[str, float]]]:
    """The rungs of Tune's ASHA: each epoch, and the values that trials had there, by Tune's id of the trial."""
    try:
        found: list[tuple[float, dict[str, float]]] = scheduler._brackets[0]._rungs
        return found
    except (AttributeError, IndexError):
        missing("AsyncHyperBandScheduler._brackets", "ASHA forgets at a resume what it has seen")
        return []


@contextmanager
def quick_start(prestarted: bool) -> Iterator[None]:
    """Tune's loop without two detours, which cost a search's start three seconds.

    It counts callbacks for Ray's telemetry, and imports MLflow to do so. And it asks for an environment variable of
    PyTorch Lightning's, for which Ray starts another process beside each of those that it has started beforehand.

    Args:
        prestarted: trials take processes that were started beforehand, with what those have imported.
    """
    cost = "a search starts three seconds later"
    with ExitStack() as replaced:
        if found("ray.air._internal.usage.tag_callbacks", cost):
            usage = import_module("ray.air._internal.usage")
            replaced.enter_context(_replaced(usage, "tag_callbacks", lambda _: False))
        actors = found("ray.tune.execution.class_cache._ActorClassCache", cost) if prestarted else None
        if actors is not None:
            remote: Callable[[Any], Any] = cache(ray.remote)
            replaced.enter_context(_replaced(actors, "get", lambda _, trainable: remote(trainable)))
        yield


@contextmanager
def few_processes() -> Iterator[None]:
    """Ray's start on one machine without three processes of Python that nobody would ask anything.

    The server of its dashboard, which it starts and waits for although it is told to leave the dashboard out; the
    autoscaler; the reader of logs that go to no driver. They take 1.8 s of CPU, a second of which Ray waits for.

    And without the thread that prints ten lines on how to look into it for each process that is ended, as a trial is
    that outlasts its search's stop: whose process ended, and why, the search says itself.
    """
    node = found("ray._private.node.Node", "Ray starts a second later")
    with ExitStack() as replaced:
        if found("ray._private.worker.listen_error_messages", "Ray prints when a process of a trial is ended"):
            worker = import_module("ray._private.worker")
            replaced.enter_context(_replaced(worker, "listen_error_messages", lambda *_: None))
        for name in UNUSED if node is not None else ():
            if hasattr(node, name):
                replaced.enter_context(_replaced(node, name, lambda *_, **__: None))
            else:
                missing(f"ray._private.node.Node.{name}", "Ray starts later")
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
