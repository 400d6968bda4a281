"""What is made sure of before a search begins: Ray, servers, GPUs, nodes and the disk; each refusal is one line."""

import math
import shutil
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ffsnn.config import RunConfig
from ffsnn.datasets.data import Split, load
from ffsnn.fields import field_of
from ffsnn.parts import own
from ffsnn.training import own_cost
from ffsnn.training.run_folder import bytes_on_disk
from ffsnn.validation import ConfigError
from search.cluster.gpu_packing import refuse_full, trials_per_gpu
from search.cluster.node_report import gpus
from search.cluster.nodes import this_machine
from search.cluster.resources import TrialResources
from search.config import SearchConfig
from search.registries import SCHEDULERS
from search.signals import held_back
from search.store.folder import SearchFolder

MEASURED = 3  # sets of one's own parts whose cost is measured
SPARE_BYTES = 32e6  # of disk, left free: study, histories, MLflow's store


def start_numerical_threads() -> None:
    """Have numerical libraries start their threads now, with signals held back from them.

    They live on while Ray starts, which answers SIGTERM by a handler that aborts, in whichever thread hears it. And Ray
    forks, which no thread should do while another one loads BLAS.
    """
    with held_back():
        for name in ("scipy.stats", "scipy.linalg", "scipy.optimize"):  # which samplers need
            import_module(name)
        torch.ones(2**20).sum()


def cost_of_own_parts(config: SearchConfig, split: Split, resources: TrialResources) -> list[str]:
    """Lines on what has no compiled path, such as parts of one's own, costs a training step, measured on this machine.

    On a GPU by a process of its own, which gives its memory back; of a cluster's nodes nothing is known here.
    """
    named: dict[tuple[tuple[str, object], ...], RunConfig] = {}  # a configuration for each set of such parts
    for it in config.extremes():
        named.setdefault(tuple((path, field_of(it, path)) for path in own_cost.shipped(it, bool(resources.gpus))), it)
    configs = [it for parts, it in named.items() if parts][:MEASURED]
    if not configs or resources.is_cluster:
        return []
    if not resources.gpus:
        return [line for it in configs for line in own_cost.measured(it, _split_for(it, split))]
    files = [(str(file.path), file.sha256) for file in own.used()]
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_cost_on_gpu, [it.model_dump(mode="json") for it in configs], files).result()


def _cost_on_gpu(trees: list[dict[str, Any]], files: list[tuple[str, str]]) -> list[str]:
    for path, sha256 in files:
        own.use(path, sha256)
    lines = []
    for config in map(RunConfig.parse, trees):
        split = load(config.data, config.seed, config.data_dir, torch.device("cuda"), config.network.T)
        lines += own_cost.measured(config, split)
    return lines


def _split_for(config: RunConfig, split: Split) -> Split:
    """The base's data for another configuration of its space: what was recorded over time depends on T."""
    if not config.data.facts.temporal:
        return split
    return load(config.data, config.seed, config.data_dir, T=config.network.T)


def refuse_foreign_ray() -> None:
    """Make sure that this process has no Ray of its user's: a search starts one of its own, and takes it down.

    Raises:
        ConfigError: there is one.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        raise ConfigError(
            "Ray is up in this process already, and a search has a Ray of its own, which it takes down in the end: "
            "call ray.shutdown() before it, or run it in a process of its own (ffsnn search)"
        )


def check_servers(home: Path, config: SearchConfig, resume: bool) -> None:
    """Make sure that the study's database and the MLflow server take this search; one that is silent is waited for."""
    from search.cluster import servers
    from search.study.study_store import ensure_owned

    if config.storage:
        owner = SearchFolder.open(home, config.name).id if resume else None
        ensure_owned(config.storage, config.name, owner)
    if config.tracking_uri and (wrong := servers.tracking_problem(config.tracking_uri)) and servers.SILENT not in wrong:
        raise ConfigError(wrong)


def trials_per_card(config: SearchConfig, configs: Iterable[RunConfig], console: Console) -> int | None:
    """Number of trials that share a GPU of this machine, where `auto` asks for it; None: it does not.

    Args:
        config: what is asked for.
        configs: among which the largest trial is.
        console: where it is said.

    Raises:
        ConfigError: the GPUs are full, or it is a cluster's GPUs that are asked for.
    """
    auto = config.gpus_per_trial == "auto"
    if config.address:
        if auto:
            raise ConfigError(
                "gpus_per_trial=auto looks at this machine's GPUs, not at a cluster's: name a share, such as "
                "--gpus-per-trial 0.25, or leave it out for one trial a GPU"
            )
        return None
    here, cards = this_machine(config.device), gpus()
    if not here.gpus or config.gpus_per_trial == 0:
        return None
    refuse_full(cards)
    if not auto:
        return None
    number, trials = int(here.gpus), min(config.trials, config.concurrency or config.trials)
    share = trials_per_gpu(configs, cards, max(1, min(math.ceil(trials / number), here.cpus // number)))
    console.print(f"{share} trials share a GPU, by a formula for their memory")
    return share


def trial_resources(home: Path, config: SearchConfig, console: Console, per_card: int | None) -> TrialResources:
    """Resources of a trial on this machine, or on the cluster, which is joined to look at it.

    Raises:
        ConfigError: something on a node of the cluster is wrong; a table says what is right.
    """
    if not config.address:
        return TrialResources(config, per_card=per_card)
    from search.cluster import doctor

    lines, nodes = doctor.nodes(home, config)
    if wrong := doctor.refusal(lines):
        doctor.show(lines, console)
        raise ConfigError(wrong)
    console.print(f"doctor: {len(nodes)} nodes, all is well")
    return TrialResources(config, nodes)


def own_data(home: Path, config: SearchConfig) -> str:
    """Where the nodes of a cluster find a data set of the user's own; nothing, where it is none or they need none."""
    if not config.address:
        return ""
    from search.cluster import doctor

    return doctor.own_data(home, config)


def disk_for_running(
    home: Path, config: SearchConfig, largest: RunConfig, resources: TrialResources, console: Console
) -> int:
    """Bytes that the running trials need on the disk, after making sure that all trials have theirs.

    Args:
        largest: the trial that takes most; others may take less.
    """
    running, kept = bytes_on_disk(largest)
    rests = SCHEDULERS[config.scheduler].rests
    most = math.ceil(config.trials / config.rungs[1]) if config.goals.is_plain else config.trials
    resting = min(most, max(config.trials - resources.concurrency, 0)) if rests else 0
    needed = config.trials * kept + resting * (running - kept) + resources.concurrency * running + SPARE_BYTES
    free = shutil.disk_usage(home).free
    console.print(
        f"on disk: {kept / 1e6:.2g} MB a trial, {running / 1e6:.2g} MB while it runs{' or rests' * rests}, "
        f"{needed / 1e6:,.0f} MB at most; {free / 1e9:,.1f} GB are free"
    )
    if free < needed:
        raise ConfigError(
            f"the search may need {needed / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are free in {home}: make room, "
            f"lower --trials, or name another folder with --home"
        )
    return int(resources.concurrency * running + SPARE_BYTES / 2)
