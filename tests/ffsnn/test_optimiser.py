"""Adam and SGD against the classes of torch.optim, to the bit."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from ffsnn.config import LearningConfig
from ffsnn.training.optimiser import SGD, Adam, Optimiser

CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "adam": ({}, lambda w: torch.optim.Adam(w, lr=0.01, fused=True)),
    "adam_decay": ({"weight_decay": 0.1}, lambda w: torch.optim.Adam(w, lr=0.01, weight_decay=0.1, fused=True)),
    "sgd": ({"optimiser": "sgd"}, lambda w: torch.optim.SGD(w, lr=0.01)),
    "momentum": (
        {"optimiser": "sgd", "momentum": 0.9, "weight_decay": 0.1},
        lambda w: torch.optim.SGD(w, lr=0.01, momentum=0.9, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_steps_as_torchs_class_does(name: str) -> None:
    changes, make = CASES[name]
    draw, learning = torch.Generator().manual_seed(1), LearningConfig(lr=0.01, **changes)
    mine = torch.nn.Parameter(torch.randn(30, 20, generator=draw))
    theirs = torch.nn.Parameter(mine.detach().clone())
    ours: Optimiser = SGD(mine, learning) if learning.optimiser == "sgd" else Adam(mine, learning, compiled=False)
    torchs = make([theirs])
    for step in range(5):
        mine.grad = torch.randn(30, 20, generator=draw)
        theirs.grad = mine.grad.clone()
        ours.set_lr(0.01 / (1 + step))
        torchs.param_groups[0]["lr"] = 0.01 / (1 + step)
        ours.step()
        torchs.step()
    assert torch.equal(mine, theirs)
    expected = {k: v for k, v in torchs.state_dict()["state"].get(0, {}).items() if v is not None}
    assert ours.state.keys() == expected.keys()
    assert all(torch.equal(ours.state[k], v) for k, v in expected.items())


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_training_does_not_import_torchs_compiler(optimiser: str) -> None:
    code = f"""
import sys
from ffsnn.datasets import data
from ffsnn.config import RunConfig
from ffsnn.training.trainer import Trainer
tree = {{"data": {{"dataset": "digits"}}, "network": {{"widths": [5, 5]}}, "learning": {{"optimiser": "{optimiser}"}}}}
config = RunConfig.parse(tree)
Trainer(config, data.load(config.data, 0)).train_epoch()
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr[-2000:]
