"""How many trials share a GPU, and what is said where none can start."""

import pytest
from rich.console import Console

from ffsnn.validation import ConfigError
from search import preflight
from search.cluster.gpu_packing import bytes_of_trial, free_bytes, refuse_full, trials_per_gpu
from search.cluster.node_report import gpus
from search.cluster.nodes import Node
from search.config import SearchConfig
from spaces.space import Space

SPACE = Space.load("digits_smoke")
CARD = "NVIDIA H100 80GB HBM3, 80000 MiB, 81559 MiB"


def test_as_many_as_fit_of_the_largest_on_the_fullest():
    space = Space.parse({
        "base": {"data": {"dataset": "mnist"}},
        "parameters": {"T": {"int": [2, 9]}, "batch_size": {"choice": [16384, 64]}},
    })  # fmt: skip
    config = SearchConfig(name="s", space=space, trials=1, epochs=1)
    largest = max(config.extremes(), key=bytes_of_trial)
    assert (largest.network.T, largest.learning.batch_size) == (9, 16384)
    fits = int(0.9 * 80000 * 2**20 / bytes_of_trial(largest))
    assert 1 < trials_per_gpu(config.extremes(), [CARD], 99) == fits < 99
    assert trials_per_gpu(config.extremes(), [CARD, "Other, 100 MiB, 24000 MiB"], 99) == 1
    assert trials_per_gpu(config.extremes(), [CARD], 2) == 2
    assert trials_per_gpu(config.extremes(), [], 99) == 1  # nvidia-smi is not to be had


def test_full_cards_are_refused_and_what_is_not_known_is_passed_over():
    assert free_bytes([CARD, "no answer"]) == [80000 * 2**20]
    refuse_full([])
    refuse_full(["A, [N/A], [N/A]"])
    refuse_full(["A, 100 MiB, 24000 MiB", CARD])
    with pytest.raises(ConfigError, match="a GPU with 512 MB free at least, but there is A, 100 MiB, 24000 MiB: end"):
        refuse_full(["A, 100 MiB, 24000 MiB"])


def asked(monkeypatch, cpus: int, cards: int, **settings):
    monkeypatch.setattr(preflight, "gpus", lambda: [CARD] * cards)
    monkeypatch.setattr(preflight, "this_machine", lambda device: Node("", "", cpus, cards))
    config = SearchConfig(name="s", space=SPACE, trials=9, epochs=1, **settings)
    return preflight.trials_per_card(config, config.extremes(), Console(quiet=True))


def test_nothing_is_worked_out_unless_it_is_asked_for(monkeypatch):
    assert asked(monkeypatch, 8, 1) is None
    assert asked(monkeypatch, 8, 1, gpus_per_trial=0.5) is None
    assert asked(monkeypatch, 8, 0, gpus_per_trial="auto") is None  # trials on CPUs, as ever
    with pytest.raises(ConfigError, match="auto looks at this machine's GPUs, not at a cluster's: name a share"):
        asked(monkeypatch, 8, 1, gpus_per_trial="auto", address="10.0.0.1:6379")


@pytest.mark.parametrize(
    ("cpus", "cards", "settings", "most"),
    [(16, 1, {}, 9), (16, 2, {}, 5), (4, 1, {}, 4), (16, 1, {"concurrency": 3}, 3), (1, 2, {}, 1)],
)
def test_never_more_than_cpus_or_trials(cpus, cards, settings, most, monkeypatch):
    assert asked(monkeypatch, cpus, cards, gpus_per_trial="auto", **settings) == most


def test_only_the_cards_that_the_process_may_use_are_looked_at(tmp_path, monkeypatch):
    fake = tmp_path / "nvidia-smi"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "--id" not in gpus()[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert gpus()[0].endswith(" --id=1,3")
