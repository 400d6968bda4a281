"""How fast the core trains and predicts, beside the notes' loop and SpikingJelly's multi-step layers: `make bench`.

All do the same work on the same MNIST images with the same number of threads; their runs take turns, and the median
counts. Peak memory is what a process of its own needs beyond what it had before its first step. Results go to
`benchmarks/results/`, named by the machine.

    python -m benchmarks.speed [--device cuda] [--threads 1] [--settings abc] [--rounds 5]

`benchmarks.gpu` measures GPUs with it.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.ceilings import Ceilings, probe
from benchmarks.floors import training_flops
from benchmarks.rivals import AsWritten, MultiStep, NotesLoop
from benchmarks.settings import SETTINGS, Setting
from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.config.data import DataConfig
from ffsnn.datasets import data
from ffsnn.datasets.data import Split
from ffsnn.hardware.memory import bytes_per_image
from ffsnn.kernels.parallel import use_threads
from ffsnn.parts.negatives import uniform_negatives
from ffsnn.training.trainer import Trainer

RESULTS = Path(__file__).parent / "results"
CORES = {"ffsnn float32": "float32", "ffsnn bfloat16": "bfloat16"}
AS_WRITTEN = "notes' loop as written"  # of no interest on a CPU, which is not waited for
RIVALS = {"notes' loop": NotesLoop, "multi-step": MultiStep, AS_WRITTEN: AsWritten}
SYSTEMS = tuple(name for name in (*CORES, *RIVALS) if name != AS_WRITTEN)


@dataclass(frozen=True)
class Result:
    train_images_s: float
    predict_images_s: float
    step_ms: float  # of the batch that was used
    batch: int
    memory_mib: float
    needed_mib: float | None  # by formula; None: there is none


def config_of(system: str, setting: Setting, device: torch.device) -> RunConfig:
    return RunConfig.parse({
        "network": {"widths": setting.widths, "T": setting.T, "encoder": setting.encoder},
        "learning": {"batch_size": setting.batch, "precision": CORES[system]}, "device": str(device),
    })  # fmt: skip


def works(
    system: str, setting: Setting, device: torch.device
) -> tuple[Callable[[], object], Callable[[], object], int]:
    """A training step, a prediction of `slice` images, and the step's batch."""
    images = data.load(DataConfig(), 0, device=device).train
    x = images.x[: setting.slice]
    if system in CORES:
        config = config_of(system, setting, device)
        index = torch.arange(setting.batch, device=device)
        trainer = Trainer(config, Split(images[index], images[index[:1]], checksum=""))
        return lambda: trainer.train_batch(index, 0), lambda: trainer.network.predict(x), setting.batch
    rival = RIVALS[system](list(setting.widths), setting.T, setting.encoder == "poisson", device)
    pixels, y = x.float() / 255, images.y[: setting.slice]
    wrong = uniform_negatives(y, 10, torch.Generator(device).manual_seed(0))[0]
    return lambda: rival.train_step(pixels, y, wrong), lambda: rival.predict(pixels), setting.slice


def timed(work: Callable[[], object], device: torch.device, at_least: float = 0.3) -> float:
    """Seconds a call, over as many as fill `at_least`; a GPU is waited for after the last one, as training does."""
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        gone = time.perf_counter() - start
        if gone >= at_least:
            return gone / calls
        calls = max(calls + 1, min(8 * calls, round(1.1 * calls * at_least / gone)))


def measure(
    setting: Setting, device: torch.device, threads: int, rounds: int, systems: tuple[str, ...] = SYSTEMS
) -> dict[str, Result]:
    """Systems that take turns."""
    prepared = {system: works(system, setting, device) for system in systems}
    times: dict[str, list[tuple[float, float]]] = {system: [] for system in systems}
    for turn in range(rounds + 1):
        for system, (train, predict, _) in prepared.items():
            (use_threads if system in CORES else torch.set_num_threads)(threads)
            seconds = timed(train, device), timed(predict, device)
            if turn:  # the first one warms up
                times[system].append(seconds)
    results = {}
    for system, seconds in times.items():
        step, prediction = (statistics.median(column) for column in zip(*seconds, strict=True))
        batch = prepared[system][2]
        memory = peak_memory(system, setting, device, threads)
        needed = None
        if system in CORES:
            each = bytes_per_image(config_of(system, setting, device), fused=True, device=device.type)
            needed = batch * each / 2**20
        results[system] = Result(batch / step, setting.slice / prediction, 1000 * step, batch, memory, needed)
    return results


def peak_memory(system: str, setting: Setting, device: torch.device, threads: int) -> float:
    """MiB; of a CPU's measured in a process of its own."""
    if device.type == "cuda":
        return own_memory(system, setting, device)
    name = next(name for name, other in SETTINGS.items() if other == setting)
    command = [sys.executable, "-m", "benchmarks.speed", "--memory", system, "--settings", name]
    command += ["--device", str(device), "--threads", str(threads)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def own_memory(system: str, setting: Setting, device: torch.device) -> float:
    train, _, _ = works(system, setting, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        train()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    if system in CORES:  # compiled, and loaded, before anything is counted
        works(system, Setting((64, 64), 2, setting.encoder, 64, 64), device)[0]()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _kib("VmRSS")
    train()
    return (_kib("VmHWM") - before) / 1024


def _kib(name: str) -> int:
    """A line of what Linux says of this process's memory."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.processor() or platform.machine()


def table(name: str, setting: Setting, results: dict[str, Result], ceilings: Ceilings) -> Table:
    table = Table(title=f"({name}) {setting}", title_justify="left")
    columns = ("", "training images/s", "", "prediction images/s", "", "ms a step", "peak memory")
    for column in columns:
        table.add_column(column, justify="right" if column != columns[0] or column else "left")
    base = results["notes' loop"]
    for system, result in results.items():
        table.add_row(
            system, f"{result.train_images_s:,.0f}", f"{result.train_images_s / base.train_images_s:.1f}x",
            f"{result.predict_images_s:,.0f}", f"{result.predict_images_s / base.predict_images_s:.1f}x",
            f"{result.step_ms:,.1f}" + ("" if result.batch == setting.batch else f" (batch {result.batch})"),
            f"{result.memory_mib:,.0f} MiB" + (f" (needed: {result.needed_mib:,.0f})" if result.needed_mib else ""),
        )  # fmt: skip
    flops = training_flops(setting)
    for precision, rate in (("float32", ceilings.float32_gflops), ("bfloat16", ceilings.bfloat16_gflops)):
        seconds = flops / rate / 1e9
        table.add_row(f"dense products alone, {precision}", f"{setting.batch / seconds:,.0f}", "", "", "",
                      f"{1000 * seconds:,.1f}", "")  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", default="abc")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    device = torch.device(asked.device)
    torch.set_num_threads(asked.threads)
    if asked.memory:
        use_threads(asked.threads)
        print(own_memory(asked.memory, SETTINGS[asked.settings], device))
        return
    console = Console(highlight=False, width=130)
    ceilings = probe(device)
    console.print(
        f"{machine(device)}, {asked.threads} thread{'s' if asked.threads > 1 else ''}, torch {torch.__version__}: "
        f"products {ceilings.float32_gflops:,.0f} GFLOP/s float32, {ceilings.bfloat16_gflops:,.0f} bfloat16; "
        f"copy {ceilings.copy_gb_s:.1f} GB/s"
    )
    kept = {"machine": machine(device), "threads": asked.threads, "torch": torch.__version__, "rounds": asked.rounds,
            "ceilings": asdict(ceilings), "settings": {}}  # fmt: skip
    for name in asked.settings:
        setting = SETTINGS[name]
        results = measure(setting, device, asked.threads, asked.rounds)
        console.print(table(name, setting, results, ceilings))
        kept["settings"][name] = {"what": str(setting), **{system: asdict(r) for system, r in results.items()}}
    stem = re.sub(r"[^a-z0-9]+", "-", machine(device).lower()).strip("-")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"speed-{stem}-{asked.threads}-threads.json"
    atomic.write(file, json.dumps(kept, indent=2) + "\n")
    console.print(f"written to {os.path.relpath(file)}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
