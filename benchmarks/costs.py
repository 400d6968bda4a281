"""What `benchmarks.search` measures: searches in processes of their own, and the same training without any search."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.watched import SEEN
from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.hardware.device import resolve_device
from ffsnn.kernels.parallel import use_threads
from ffsnn.training import run_folder
from ffsnn.training.run import Run
from spaces.space import Space

SLOTS, HUNDRED = 2, 100
TEN_SECONDS = {  # parameters that hardly change what a trial takes; the only rung is the last epoch
    "base": {"data": {"dataset": "mnist", "train_images": 10_000}, "network": {"label_amplitude": 3}},
    "parameters": {
        "lr": {"float": [1e-4, 3e-3], "log": True}, "alpha": {"float": [5, 100], "log": True},
        "v_threshold": {"float": [0.3, 1.0]}, "tau": {"float": [1.5, 4]}, "surrogate": {"choice": ["atan", "sigmoid"]},
        "loss": {"choice": ["threshold", "swish"]},
        "theta": {"float": [0.02, 0.5], "log": True, "when": {"loss": "threshold"}},
    },
}  # fmt: skip
NO_LENGTH = {
    "base": {
        "data": {"dataset": "digits", "train_images": 20}, "network": {"widths": [10], "T": 1},
        "learning": {"batch_size": 20},
    },
    "parameters": TEN_SECONDS["parameters"],
}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """A search that ran in a process of its own."""

    wall: float  # from its start to its end, seconds
    seen: dict[str, Any]  # `benchmarks.watched`
    configs: list[RunConfig]  # of its trials


def run(which: str, home: Path, space: dict[str, Any], **options: Any) -> Ran:
    """A search, ours or plain."""
    home.mkdir()
    request = {"home": str(home), "name": which, "space": space, "concurrency": SLOTS, "device": "cpu", **options}
    (home / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "benchmarks.watched", which, str(home / "request.json")]
    start = time.perf_counter()
    with (home / "errors.txt").open("w") as errors:
        code = subprocess.run(command, stdout=errors, stderr=errors).returncode
    if code:
        sys.exit((home / "errors.txt").read_text())
    wall = time.perf_counter() - start
    seen = json.loads((home / SEEN).read_text())
    base = Space.parse(space).base.replaced({"learning.epochs": options["epochs"], "device": "cpu"})
    configs = [base.replaced(sample) for sample in seen["samples"]]
    configs += [RunConfig.load(file) for file in sorted(home.glob("searches/*/trials/*/config.json"))]
    return Ran(wall, seen, configs)


def alone(config: RunConfig) -> tuple[float, float]:
    """Seconds of a configuration's epochs, and of its checkpoints, without any search."""
    use_threads(1)
    split = data.load(config.data, config.seed, config.data_dir, resolve_device(config.device))
    save, saving = run_folder.RunFolder.save, 0.0

    def timed(*args: Any) -> None:
        nonlocal saving
        start = time.perf_counter()
        save(*args)
        saving += time.perf_counter() - start

    run_folder.RunFolder.save = timed  # type: ignore[method-assign, assignment]
    try:
        with tempfile.TemporaryDirectory() as folder:
            return sum(epoch.seconds for epoch in Run(config, split, folder)), saving
    finally:
        run_folder.RunFolder.save = save  # type: ignore[method-assign]


def epochs_of(space: dict[str, Any], seconds: float) -> int:
    """How many epochs fill `seconds` on this machine, two trials at a time."""
    config = Space.parse(space).base.replaced({"learning.epochs": 2, "device": "cpu"})
    with ProcessPoolExecutor(SLOTS) as pool:
        for _ in ("kernels and images", "measured"):
            measured = [took for took, _ in pool.map(alone, [config] * SLOTS)]
    return max(1, round(config.learning.epochs * seconds / statistics.mean(measured)))


def overhead(ran: Ran) -> dict[str, float]:
    """Part 1, and checkpoints."""
    with ProcessPoolExecutor(SLOTS) as pool:
        list(pool.map(alone, ran.configs[:SLOTS]))  # imports and kernels
        seconds, saving = (list(column) for column in zip(*pool.map(alone, ran.configs), strict=True))
    return {
        "trials": len(seconds), "wall_s": ran.wall, "training_s": sum(seconds),
        "trial_s": statistics.mean(seconds), "spread_s": statistics.pstdev(seconds),
        "overhead": ran.wall * SLOTS / sum(seconds), "checkpoints": sum(saving) / sum(seconds),
        "first_end_s": ran.seen["at"][0], "last_end_s": ran.seen["at"][-1],
    }  # fmt: skip


def report_cost(ran: Ran) -> dict[str, float]:
    """Part 2, milliseconds a report: by what is called, and the driver's CPU time between first and last end."""
    spent, cpu = ran.seen["spent"], ran.seen["cpu"]
    reports = len(spent["tune: a report, all in all"])
    cost = {name: 1000 * sum(calls) / reports for name, calls in spent.items()}
    cost["the process's CPU time"] = 1000 * (cpu[-1] - cpu[0]) / reports
    return cost


def growth(ran: Ran) -> dict[str, Any]:
    """Part 3: the first hundred trials (from the first one's end on) and the last, and each tenth of all of them."""
    at, rss, cpu, spent = (ran.seen[name] for name in ("at", "rss", "cpu", "spent"))
    window = min(HUNDRED, len(at) // 3)

    def ms(times: list[float]) -> tuple[float, float]:
        steps = [1000 * (after - before) for before, after in pairwise(times)]
        return statistics.mean(steps[:window]), statistics.mean(steps[-window:])

    tenths = [round(it * (len(at) - 1) / 10) for it in range(11)]
    calls = {
        name: (1000 * statistics.mean(seconds[:window]), 1000 * statistics.mean(seconds[-window:]))
        for name, seconds in spent.items()
    }
    return {
        "trials": len(at), "window": window, "trial_ms": ms(at), "cpu_ms": ms(cpu),
        "tenths_ms": [1000 * (at[end] - at[start]) / (end - start) for start, end in pairwise(tenths)],
        "rss_mib": (rss[window - 1] / 2**20, rss[-1] / 2**20), "after_last_trial_s": ran.seen["end"] - at[-1],
        "wall_s": ran.wall, "calls_ms": calls,
    }  # fmt: skip
