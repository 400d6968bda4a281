"""What one trial gets of this machine, and how many run at once."""

import os

from ffsnn.config import ConfigError
from ffsnn.trainer import resolve_device
from search.config import SearchConfig


class Share:
    """The machine, divided among trials.

    Raises:
        ConfigError: more is asked for than there is.
    """

    def __init__(self, config: SearchConfig) -> None:
        device = resolve_device(config.device)
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        gpus = 0
        if device.type == "cuda":
            import torch

            gpus = torch.cuda.device_count()
        asked = config.gpus_per_trial
        if asked and not gpus:
            raise ConfigError(f"gpus_per_trial={asked} needs a GPU, but none was found: leave it out to run on CPUs")
        if asked and asked > gpus:
            raise ConfigError(f"gpus_per_trial <= {gpus} must hold on this machine, but got {asked}")
        self.gpus = asked if asked is not None else float(min(gpus, 1))
        at_most = int(gpus / self.gpus) if self.gpus else cpus
        self.concurrency = min(config.concurrency or at_most, at_most, config.trials)
        self.cpus = max(1, cpus // self.concurrency)
        self.all_cpus, self.all_gpus = cpus, gpus

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.concurrency} at once with {self.cpus} CPU{gpus} each"
