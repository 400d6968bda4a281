"""Ray: on this machine, started for one search and stopped with it; or a cluster that is there, joined for one."""

import gc
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import ffsnn
import search
import spaces
from search.cluster import ray_private
from search.cluster.ray_session import session_folder
from search.cluster.resources import TrialResources
from search.names import ENVIRONMENT
from search.settings import Unreachable, redacted
from search.store.trial_folder import Holder, TrialFolder

CONNECT_TIMEOUT_S = 1.0  # seconds for a node to take a connection
_session = ExitStack()  # what a Ray that was started here has on disk
PACKAGES = (ffsnn, spaces, search)  # what every process of a search runs


def start(share: TrialResources, address: str | None = None) -> None:
    """Bring Ray up, quietly, with the resources that trials may share; or join the cluster at an address.

    "local", or it would join whatever cluster RAY_ADDRESS or an earlier `ray start` names.
    """
    if address:
        join(address)
        return
    folder = _session.enter_context(session_folder())
    with ray_private.few_processes():
        ray.init(
            "local", num_cpus=share.concurrency, num_gpus=int(share.all_gpus), include_dashboard=False,
            log_to_driver=False, logging_level=logging.ERROR, object_store_memory=128 * 2**20, _temp_dir=str(folder),
        )  # fmt: skip
    logging.getLogger("ray").setLevel(logging.ERROR)


def join(address: str) -> None:
    """Connect to a cluster; the code of this project goes with it to every node.

    Raises:
        Unreachable: it does not answer, takes another token, or runs other versions.
    """
    modules = [str(Path(package.__path__[0])) for package in PACKAGES]
    # Ray's own settings are the cluster's, made where it was started.
    theirs = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("RAY_")}
    environment = {
        "py_modules": modules,
        "env_vars": theirs | {"OMP_WAIT_POLICY": "passive"},
        "excludes": ["__pycache__"],
    }
    # Ray listens on all interfaces, and whoever connects runs code. A Ray of this machine alone sees to it by itself.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    ray_private.read_settings()
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
    except Exception as error:  # Ray raises whatever its layers do
        stop()
        said = redacted(" ".join(str(error).split()))[:300]
        raise Unreachable(
            f"the Ray cluster at {address} cannot be joined ({said}): "
            f"all its nodes need the same Python and Ray, and this host is to be one of them"
        ) from None
    logging.getLogger("ray").setLevel(logging.ERROR)


@contextmanager
def joined(address: str) -> Iterator[None]:
    """A cluster, for as long as it is looked at."""
    join(address)
    try:
        yield
    finally:
        stop()


def stop() -> None:
    """Take Ray down, or leave the cluster.

    What a failed loop left in cycles goes first: an object of Ray that is collected while Ray goes down, or under the
    next Ray, aborts the process.
    """
    gc.collect()
    ray_private.kill_at_once()
    ray.shutdown()
    _session.close()


def alive(node: str | None = None) -> bool:
    """True if a node is alive, by its id; None: if any is.

    One whose death Ray has not noticed yet takes no connection.
    """
    for there in ray.nodes():  # type: ignore[no-untyped-call]
        if there["Alive"] and node in (None, there["NodeID"]):
            return node is None or _answers(there["NodeManagerAddress"], there["NodeManagerPort"])
    return False


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
        return True
    except OSError:
        return False


def end(trial: TrialFolder) -> bool:
    """End the process that trains a trial, on whichever node; true if there was one, and it is known to have ended."""
    holder = trial.holder()
    if holder is None or not holder.node or not ray.is_initialized():
        return trial.kill()
    there = NodeAffinitySchedulingStrategy(holder.node, soft=False)
    with suppress(ray.exceptions.RayError):  # the node is gone, and so is the process; or it is late
        return bool(ray.get(_kill.options(scheduling_strategy=there).remote(str(trial.path), holder), timeout=5))
    return False


@ray.remote(num_cpus=0, max_retries=0)
def _kill(path: str, holder: Holder) -> bool:
    return TrialFolder(Path(path)).kill(holder.node, only=holder)


def here() -> str:
    """The id of the node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def head() -> tuple[str, int]:
    """Host and port of the cluster's own process."""
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    return host, int(port)
