"""How much sooner two nodes finish a search than one: `python -m benchmarks.cluster`, on an idle machine.

Each node is a Ray node of this machine with one CPU, so it takes three idle cores to say something: two for the nodes,
one for driver and Ray. All trials cost the same (only the learning rate is searched, none is stopped early).
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPACE = """
base: {data: {dataset: digits}, network: {widths: [256, 256], T: 8}, learning: {batch_size: 64}}
parameters: {lr: {float: [0.0009, 0.0011]}}
"""
ROOT = Path(__file__).resolve().parents[1]
FFSNN = [sys.executable, "-c", "from search.cli import main; main()"]
RESULT = ROOT / "benchmarks" / "results" / "cluster.json"


def seconds(nodes: int, trials: int, epochs: int) -> dict[str, float]:
    """Of a search on so many nodes: of the command, of the search once it has begun, and of all epochs together.

    The last grows with the number of nodes where they take each other's cores: then the machine is too small, or busy.
    """
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    with tempfile.TemporaryDirectory(prefix="ffb-") as folder:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": folder, **small})
        try:
            for _ in range(nodes):
                cluster.add_node(num_cpus=1, wait=False, **small)
            cluster.wait_for_nodes()
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
    parser.add_argument("--epochs", type=int, default=150)
    asked = parser.parse_args()
    os.environ |= {
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0",
        "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive",
    }  # fmt: skip
    took = {nodes: seconds(nodes, asked.trials, asked.epochs) for nodes in (1, 2)}
    ratios = {what: took[2][what] / took[1][what] for what in ("command", "search")}
    for nodes, times in took.items():
        print(
            f"{nodes} nodes: the command {times['command']:.0f} s, the search in it {times['search']:.0f} s, "
            f"its trials' epochs {times['training']:.0f} s together"
        )
    print(f"two nodes take {ratios['command']:.2f} of one's time, {ratios['search']:.2f} without the start")
    load = os.getloadavg()[0]
    RESULT.write_text(json.dumps({"trials": asked.trials, "epochs": asked.epochs, "seconds": took, "ratios": ratios,
                                  "cores": os.cpu_count(), "load": load}, indent=2) + "\n")  # fmt: skip


if __name__ == "__main__":
    main()
