"""What `benchmarks.gpu` measures, a generator a part: it gives its figures so far, as they go into the JSON."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks import costs, floors, speed
from benchmarks.ceilings import probe
from benchmarks.settings import SETTINGS, Setting
from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.kernels.parallel import use_threads
from ffsnn.training import run_folder
from ffsnn.training.run import Run
from ffsnn.training.trainer import Trainer
from search.retrain.noise import paired
from spaces import presets

Found = dict[str, Any]

SEEDS, WARM = (0, 1, 2), 2  # WARM: epochs that are not timed
WIDTH = {"ffsnn float32": 4, "ffsnn bfloat16": 2}  # bytes of a number in products


@dataclass(frozen=True)
class Size:
    """How much of everything is done."""

    settings: str  # names in SETTINGS
    rounds: int  # of each timing
    epochs_timed: int
    changes: dict[str, Any]  # to every configuration that is trained
    trials: int
    epochs: int  # of a trial
    at_once: tuple[int, ...]  # trials a card


FULL = Size("ABC", 3, 5, {}, 32, 20, (1, 2, 4))
QUICK = Size("q", 1, 1, {"data.dataset": "digits", "learning.epochs": 1, "learning.batch_size": 64}, 2, 2, (1, 2))


def machine(device: torch.device, size: Size, before: Found) -> Iterator[Found]:
    """Card, driver, torch, and what they can do at best."""
    yield {
        "card": speed.machine(device), "driver": smi("driver_version"), "torch": torch.__version__,
        "cuda": torch.version.cuda, "cpus": len(os.sched_getaffinity(0)), **asdict(probe(device)),
    }  # fmt: skip


def speeds(device: torch.device, size: Size, before: Found) -> Iterator[Found]:
    """Each setting: all systems, and for the core the floors of its step and of its prediction.

    Raises:
        ValueError: the machine's ceilings were not measured before.
    """
    ceilings, found = before.get("machine", {}), Found()
    if "copy_gb_s" not in ceilings:
        raise ValueError("the part speed holds its figures against those of the part machine: name that first")
    for name in size.settings:
        setting = SETTINGS[name]
        one: Found = {"what": str(setting), "slice": setting.slice}
        systems = (*speed.SYSTEMS, speed.AS_WRITTEN)
        for system, result in speed.measure(setting, device, 1, size.rounds, systems).items():
            one[system] = asdict(result)
            if system in WIDTH:
                gflops = ceilings[f"{speed.CORES[system]}_gflops"]
                one[system] |= _floors(setting, result, ceilings["copy_gb_s"], gflops, WIDTH[system])
        found[name] = one
        yield found


def _floors(setting: Setting, result: speed.Result, gb_s: float, gflops: float, width: int) -> Found:
    moved, flops = floors.training_bytes(setting, width), floors.training_flops(setting)
    train = {"bytes": moved, "flops": flops, **floors.nearer(moved, flops, gb_s, gflops)}
    moved, flops = floors.prediction_bytes(setting, width), floors.prediction_flops(setting)
    predict = {"bytes": moved, "flops": flops, **floors.nearer(moved, flops, gb_s, gflops)}
    prediction_ms = 1000 * setting.slice / result.predict_images_s
    return {
        "training_floor": train | {"share": train["nearer_ms"] / result.step_ms},
        "prediction_floor": predict | {"share": predict["nearer_ms"] / prediction_ms},
    }


def epoch_config(device: torch.device, size: Size) -> RunConfig:
    """The network of (a); 55,000 images are trained on."""
    setting = SETTINGS[size.settings[0]]
    return RunConfig.parse({
        "data": {"validation": 1 / 12}, "device": str(device),
        "network": {"widths": setting.widths, "T": setting.T, "encoder": setting.encoder},
        "learning": {"batch_size": setting.batch, "precision": "bfloat16", "epochs": size.epochs_timed + WARM},
    }).replaced(size.changes | {"learning.epochs": size.epochs_timed + WARM})  # fmt: skip


def epoch(device: torch.device, size: Size, before: Found) -> Iterator[Found]:
    """Milliseconds of an epoch's training, and with its validation: medians."""
    config = epoch_config(device, size)
    split = data.load(config.data, config.seed, config.data_dir, device)
    seen = list(Trainer(config, split))[WARM:]
    yield {
        "images": len(split.train), "training_ms": [1000 * len(split.train) / it.images_per_second for it in seen],
        "with_validation_ms": [1000 * it.seconds for it in seen],
    }  # fmt: skip


def trained(config: RunConfig, threads: int = 1) -> dict[str, float]:
    """A whole training: seconds of its epochs, and the test accuracy of the best one by validation."""
    use_threads(threads)
    device = torch.device(config.device)
    split = data.load(config.data, config.seed, config.data_dir, device)
    with tempfile.TemporaryDirectory() as folder:
        history = list(Run(config, split, folder))
        network = run_folder.load(folder).to(device)
    test = data.load_test(config.data, config.data_dir, device)
    return {
        "seconds": sum(it.seconds for it in history), "validation": max(it.val_accuracy for it in history),
        "test": network.accuracy(test.x, test.y),
    }  # fmt: skip


def target(device: torch.device, size: Size, before: Found) -> Iterator[Found]:
    """The preset `mnist`."""
    seeds: list[dict[str, float]] = []
    for config in _of_seeds("mnist", device, size):
        seeds.append(trained(config))
        yield {"preset": "mnist", "seeds": seeds}


def agreement(device: torch.device, size: Size, before: Found) -> Iterator[Found]:
    """The preset `mnist_fast` on this device and on the CPU: the same seeds, so compared in pairs."""
    here = [trained(config)["test"] for config in _of_seeds("mnist_fast", device, size)]
    with _processes(len(SEEDS)) as pool:
        share = max(1, len(os.sched_getaffinity(0)) // len(SEEDS))
        configs = _of_seeds("mnist_fast", torch.device("cpu"), size)
        there = [it["test"] for it in pool.map(trained, configs, [share] * len(SEEDS))]
    apart = paired(here, there)
    yield {
        "preset": "mnist_fast", "here": here, "cpu": there,
        "difference": apart.difference, "p": apart.p, "noise": apart.is_noise,
    }  # fmt: skip


def _of_seeds(preset: str, device: torch.device, size: Size) -> list[RunConfig]:
    config = presets.load(preset).replaced(size.changes | {"device": str(device)})
    return [config.replaced({"seed": seed}) for seed in SEEDS]


def searches(device: torch.device, size: Size, before: Found) -> Iterator[Found]:
    """A search for each number of trials at once, and the same trainings without one, as many at once."""
    config = epoch_config(device, size)
    base = config.model_dump(mode="json", include={"data", "network", "learning"})
    space = costs.TEN_SECONDS | {"base": base, "budget": {"grace_epochs": size.epochs}}
    found = Found()
    for number in size.at_once:
        options: Found = {"concurrency": number, "device": device.type, "scheduler": "none"}
        if device.type == "cuda":
            options["gpus_per_trial"] = 1 / number
        with tempfile.TemporaryDirectory() as scratch, busy_share() as busy:
            folder = Path(scratch) / "home"
            ran = costs.run("ours", folder, space, trials=size.trials, epochs=size.epochs, **options)
        alone = alone_seconds(ran.configs, number)
        found[str(number)] = {
            "trials": len(ran.configs), "wall_s": ran.wall, "trials_an_hour": 3600 * len(ran.configs) / ran.wall,
            "first_end_s": ran.seen["at"][0], "last_end_s": ran.seen["at"][-1], "busy_share": _mean(busy),
            "training_alone_s": alone, "orchestration": ran.wall / alone - 1,
            "orchestration_running": _running(ran.seen["at"], len(ran.configs) / alone),
        }  # fmt: skip
        yield found


def _running(ends: list[float], alone: float) -> float:
    """Orchestration between the first end of a trial and the last, beside trainings that end at the rate `alone`."""
    return alone * (ends[-1] - ends[0]) / (len(ends) - 1) - 1


def alone_seconds(configs: list[RunConfig], at_once: int) -> float:
    """What the trainings take in so many processes that do nothing else, imports and kernels not counted."""
    with _processes(at_once) as pool:
        list(pool.map(costs.alone, configs[:at_once]))
        start = time.perf_counter()
        list(pool.map(costs.alone, configs))
        return time.perf_counter() - start


def _processes(number: int) -> ProcessPoolExecutor:
    """Spawned: CUDA does not survive a fork."""
    return ProcessPoolExecutor(number, mp_context=get_context("spawn"))


def smi(field: str) -> str | None:
    """What nvidia-smi says of the first card; None: it is not to be had."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


@contextmanager
def busy_share() -> Iterator[list[float]]:
    """Five times a second the share of time in which the card ran kernels; there when the block has ended."""
    found: list[float] = []
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=200"]
    with tempfile.TemporaryFile("w+") as said:
        try:
            sampling = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
        except OSError:
            yield found
            return
        try:
            yield found
        finally:
            sampling.kill()
            sampling.wait()
            said.seek(0)
            found += [int(line) / 100 for line in said if line.strip().isdigit()]


def _mean(values: Iterable[float]) -> float | None:
    return statistics.mean(there) if (there := list(values)) else None


PARTS: dict[str, Callable[[torch.device, Size, Found], Iterator[Found]]] = {
    "machine": machine, "speed": speeds, "epoch": epoch, "target": target, "agreement": agreement, "search": searches,
}  # fmt: skip
