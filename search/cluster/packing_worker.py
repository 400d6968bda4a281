"""A process that trains as a trial does and reports what it takes of the GPU and how fast it is (`gpu_packing` asks).

Reads a configuration, then on a line each for how many seconds it is to train; answers with a JSON object a line: the
cards and what is free, what an epoch has taken, then images a second each time.
"""

import json
import math
import os
import resource
import sys
import time
from typing import Any, TextIO

import psutil
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.hardware.device import resolve_device
from ffsnn.hardware.memory import free_bytes, ran_out
from ffsnn.kernels.parallel import use_threads
from ffsnn.training.trainer import Trainer


def cards(device: torch.device) -> dict[str, Any]:
    """Names and size; a CPU stands in for a card where there is none."""
    if device.type == "cuda":
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return {"cards": names, "total": torch.cuda.mem_get_info(device)[1]}
    return {"cards": ["CPU"], "total": psutil.virtual_memory().total}


def left(device: torch.device) -> int:
    """Bytes that any process may still take; what torch holds back for this one is not among them."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes(device)


def own_bytes(device: torch.device) -> int:
    """The most that this process has held so far, without the CUDA context."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Endless:
    """Epochs of one training, over and over."""

    def __init__(self, config: RunConfig, device: torch.device) -> None:
        self.split = data.load(config.data, config.seed, config.data_dir, device)
        self.trainer = Trainer(config, self.split)

    def each_kind(self) -> None:
        """One epoch of each kind that there is: where layers learn one after another, one a layer."""
        epochs, layers = self.trainer.learning.epochs, len(self.trainer.layers)
        firsts = range(layers) if self.trainer.learning.layers == "greedy" else [0]
        for learner in firsts:
            self.trainer.epoch = math.ceil(learner * epochs / layers)
            self.epoch()

    def epoch(self) -> int:
        """Its images."""
        if self.trainer.epoch == self.trainer.learning.epochs:
            self.trainer.epoch = 0
        self.trainer.train_epoch()
        return len(self.split.train)

    def rate(self, seconds: float) -> float:
        """Images a second, validation included, over whole epochs that take so long at least."""
        start, images, gone = time.perf_counter(), 0, 0.0
        while gone < seconds:
            images += self.epoch()
            gone = time.perf_counter() - start
        return images / gone


def answer(out: TextIO) -> None:
    def say(**what: Any) -> None:
        print(json.dumps(what), file=out, flush=True)

    # It learns next to nothing: the extremes of a space may diverge, and what is asked is memory and speed.
    config = RunConfig.parse(json.loads(sys.stdin.readline())).replaced({"learning.lr": 1e-9})
    use_threads(1)
    device = resolve_device(config.device)
    found = "no context"
    try:
        there = cards(device) | {"free": left(device)}
        say(**there)
        found = f"{there['free'] / 1e6:,.0f} of {there['total'] / 1e6:,.0f} MB were free"
        training = Endless(config, device)
        training.each_kind()
        say(bytes=own_bytes(device), free=left(device))
        for seconds in sys.stdin:
            say(rate=training.rate(float(seconds)))
    except Exception as error:
        if not ran_out(error):
            raise
        say(problem=f"{found}; {' '.join(str(error).split())}"[:400])


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")  # open to the end: once it is closed, all that went wrong has been printed
    os.dup2(2, 1)  # whatever a library prints is no answer
    answer(answers)
