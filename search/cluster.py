"""Ray on this machine: started for one search, and stopped with it."""

import gc
import logging

import ray

from search.share import Share


def start(share: Share) -> None:
    """Bring Ray up, quietly, with the resources that trials may share.

    "local", or it would join whatever cluster RAY_ADDRESS or an earlier `ray start` names.
    """
    ray.init(
        address="local", num_cpus=share.all_cpus, num_gpus=share.all_gpus, include_dashboard=False,
        log_to_driver=False, logging_level=logging.ERROR, object_store_memory=128 * 2**20,
    )  # fmt: skip
    logging.getLogger("ray").setLevel(logging.ERROR)


def stop() -> None:
    """Take Ray down.

    What a failed loop left in cycles goes first: an object of Ray that is collected while Ray goes down, or under the
    next Ray, aborts the process.
    """
    gc.collect()
    ray.shutdown()


def alive() -> bool:
    """Whether any node is left to run trials."""
    return any(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
