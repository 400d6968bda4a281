"""How much sooner two nodes finish a search than one: `make bench-cluster`, as root on an idle machine.

Each node is a Ray node of this machine with one CPU, of which the kernel grants it a share (`--share`, by a control
group), so that two nodes, the driver and Ray find room on two cores. All trials cost the same: only the learning rate
is searched, none is stopped early.
"""

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

SPACE = """
base: {data: {dataset: digits}, network: {widths: [256, 256], T: 8}, learning: {batch_size: 64}}
parameters: {lr: {float: [0.0009, 0.0011]}}
"""
ROOT = Path(__file__).resolve().parents[1]
FFSNN = [sys.executable, "-c", "from search.cli import main; main()"]
RESULT = ROOT / "benchmarks" / "results" / "cluster.json"
PERIOD = 20_000  # microseconds in which a node gets its share
GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def granted(share: float) -> Iterator[Path]:
    """The file to which a process id is written to grant that process, and its later children, a share of one core."""
    second_version = (GROUPS / "cgroup.controllers").exists()
    group = (GROUPS if second_version else GROUPS / "cpu") / f"ffsnn-{os.getpid()}-{secrets.token_hex(2)}"
    group.mkdir()
    try:
        if second_version:
            (group / "cpu.max").write_text(f"{int(share * PERIOD)} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(int(share * PERIOD)))
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def seconds(nodes: int, trials: int, epochs: int, share: float) -> dict[str, float]:
    """Of a search on so many nodes: of the command, of the search once it has begun, and of all epochs together.

    The last grows with the number of nodes where they take each other's cores: then the machine is too small, or busy.
    """
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    with tempfile.TemporaryDirectory(prefix="ffb-") as folder, contextlib.ExitStack() as groups:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": folder, **small})
        try:
            for _ in range(nodes):
                node, group = cluster.add_node(num_cpus=1, **small), groups.enter_context(granted(share))
                (raylet,) = (it.process.pid for it in node.all_processes["raylet"])
                for process in (psutil.Process(raylet), *psutil.Process(raylet).children(recursive=True)):
                    group.write_text(str(process.pid))
            space = Path(folder) / "equal.yaml"
            space.write_text(SPACE)
            command = [*FFSNN, "search", str(space), "--address", cluster.address, "--home", folder, "--name", "equal"]
            command += ["--trials", str(trials), "--epochs", str(epochs), "--scheduler", "none", "--sampler", "random"]
            start = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            whole = time.monotonic() - start
            search = Path(folder) / "mlruns" / "searches" / "equal"
            lines = [line for file in search.glob("trials/*/history.jsonl") for line in file.open()]
            return {
                "command": whole, "search": float(json.loads((search / "spent.json").read_text())["seconds"]),
                "training": sum(json.loads(line)["seconds"] for line in lines),
            }  # fmt: skip
        finally:
            cluster.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.6, help="of a core, for each node")
    asked = parser.parse_args()
    os.environ |= {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0",
        "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive",
    }  # fmt: skip
    took = {nodes: seconds(nodes, asked.trials, asked.epochs, asked.share) for nodes in (1, 2)}
    ratios = {what: took[2][what] / took[1][what] for what in ("command", "search")}
    for nodes, times in took.items():
        print(
            f"{nodes} nodes: the command {times['command']:.0f} s, the search in it {times['search']:.0f} s, "
            f"its trials' epochs {times['training']:.0f} s together"
        )
    print(f"two nodes take {ratios['command']:.2f} of one's time, {ratios['search']:.2f} without the start")
    RESULT.write_text(json.dumps(vars(asked) | {"seconds": took, "ratios": ratios, "cores": os.cpu_count()}, indent=2))


if __name__ == "__main__":
    main()
