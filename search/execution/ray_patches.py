"""Around two detours of Tune's, which cost a search's start three seconds."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import ray
from ray.air._internal import usage
from ray.tune.execution.class_cache import _ActorClassCache


@contextmanager
def ray_patches(prestarted: bool) -> Iterator[None]:
    """Tune's loop without them.

    It counts callbacks for Ray's telemetry, and imports MLflow to do so. And it asks for an environment variable of
    PyTorch Lightning's, for which Ray starts another process beside each of those that it has started beforehand.

    Args:
        prestarted: trials take processes that were started beforehand, with what those have imported.
    """
    with ExitStack() as replaced:
        replaced.enter_context(_replaced(usage, "tag_callbacks", lambda _: False))
        if prestarted:
            remote = cache(ray.remote)
            replaced.enter_context(_replaced(_ActorClassCache, "get", lambda _, trainable: remote(trainable)))
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
