"""Without a compiler everything still works; with one, a machine compiles once."""

import os
import subprocess
import sys
from pathlib import Path

TRAIN = """
from ffsnn.datasets import data
from ffsnn.config import RunConfig
from ffsnn.training.trainer import Trainer
config = RunConfig.parse({
    "data": {"dataset": "digits"}, "network": {"encoder": "poisson", "widths": [30, 30]},
    "learning": {"epochs": 2, "batch_size": 128},
})
print(sum(1 for _ in Trainer(config, data.load(config.data, 0))), "epochs")
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def test_without_a_compiler_training_says_so_once_and_goes_on() -> None:
    done = run("import sys; sys.modules['numba'] = None\n" + TRAIN)
    assert done.stdout.strip() == "2 epochs", done.stderr
    assert done.stderr.count("numba cannot compile") == 1
    assert "times slower" in done.stderr


def test_a_prediction_may_be_the_first_to_compile() -> None:
    code = """
import torch
from ffsnn.config import RunConfig
from ffsnn.network import Network
print(len(Network(RunConfig()).predict(torch.zeros(3, 784, dtype=torch.uint8))), "labels")
"""
    done = run(code)
    assert done.stdout.strip() == "3 labels", done.stderr
    assert not done.stderr


def test_processes_that_start_together_compile_once(tmp_path: Path) -> None:
    """The second to get the lock finds all kernels in the cache, and misses none."""
    code = (
        TRAIN
        + """
from ffsnn.kernels import sparse_input, lif_kernels, loss_gradients
kernels = [lif_kernels.forward, lif_kernels.backward, loss_gradients._of_pairs]
kernels += [sparse_input._bits_of_spikes, sparse_input._lists_of_spikes]
kernels += [sparse_input._lists_of_numbers, sparse_input._bernoulli]
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels), "compiled")
"""
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    printed = sorted(process.communicate(timeout=120)[0].splitlines()[-1] for process in both)
    assert printed == ["0 compiled", "7 compiled"]


def test_the_network_needs_none_of_the_searchs_libraries() -> None:
    heavy = "{'ray', 'mlflow', 'optuna', 'torchvision'}"
    done = run(f"import sys, ffsnn.training.trainer, ffsnn.kernels.lif_cpu; print({heavy} & set(sys.modules))")
    assert done.stdout.strip() == "set()", done.stderr
