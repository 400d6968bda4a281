"""The machines that a search may use: this one, or the nodes of a Ray cluster."""

import os
from dataclasses import dataclass

from ffsnn.hardware.device import gpus, resolve_device


@dataclass(frozen=True)
class Node:
    """One machine, and what of it Ray hands out."""

    id: str
    address: str
    cpus: int
    gpus: float


def this_machine(device: str) -> Node:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Node("", "this machine", cpus, gpus()[0] if resolve_device(device).type == "cuda" else 0)


def living() -> list[Node]:
    """The living nodes of the cluster that this process has joined, by their addresses."""
    import ray

    found = [
        Node(
            node["NodeID"], node["NodeManagerAddress"],
            int(node["Resources"].get("CPU", 0)), node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes() if node["Alive"]  # type: ignore[no-untyped-call]
    ]  # fmt: skip
    return sorted(found, key=lambda node: node.address)
