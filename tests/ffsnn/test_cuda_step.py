"""The captured step: on a CPU with a stand-in for the graph that repeats the captured call as it was; and on a GPU.

The stand-in shows that all that changes from batch to batch reaches the step through its index and its generators.
"""

import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets.data import Split, load
from ffsnn.kernels import cuda_step
from ffsnn.kernels.cuda_step import WARM, WARM_UP, CapturedSteps
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.training.trainer import DivergedError, Trainer

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

BASE = RunConfig.parse(
    {
        "data": {"dataset": "digits"},
        "network": {"widths": [40, 30], "v_threshold": 0.25},
        "learning": {"epochs": 2, "batch_size": 128, "alpha": 20.0},
        "seed": 4,
    }
)  # 1,293 images: ten full batches an epoch, and one of 13
CONFIGS = {
    "default": BASE,
    "noisy": BASE.replaced({"network.encoder": "poisson", "learning.shift": 1, "learning.precision": "bfloat16"}),
    "fresh": BASE.replaced(
        {"network.encoder": "poisson", "network.between": "rate", "learning.negatives": "fresh", "network.T": 3}
    ),
    "many": BASE.replaced(
        {
            "learning.negatives_per_image": 3,
            "learning.loss": "softmax",
            "learning.dropout": 0.2,
            "learning.average": 1,
            "learning.rotation": 5.0,
            "learning.elastic": 0.5,
            "learning.mirror": True,
        }
    ),
    "greedy_many": BASE.replaced(
        {
            "learning.layers": "greedy",
            "learning.negatives": "fresh",
            "learning.negatives_per_image": 2,
            "learning.dropout": 0.2,
            "learning.average": 1,
        }
    ),
    "greedy": BASE.replaced(
        {
            "network.encoder": "latency",
            "learning.layers": "greedy",
            "learning.negatives": "uniform",
            "learning.optimiser": "sgd",
            "learning.momentum": 0.9,
            "learning.lr": 0.1,
        }
    ),
}
EVERY_CONFIG = pytest.mark.parametrize("name", CONFIGS)


def timeless(metrics: EpochMetrics) -> dict[str, Any]:
    return {name: value for name, value in metrics.json().items() if name not in {"seconds", "images_per_second"}}


def assert_same(a: Trainer, b: Trainer) -> None:
    """To the bit."""
    mine, other = a.state_dict(), b.state_dict()
    assert mine.keys() == other.keys()
    assert [name for name in mine if not torch.equal(mine[name], other[name])] == []


@pytest.fixture(scope="module")
def split() -> Split:
    return load(BASE.data, BASE.seed)


Work = Callable[[], torch.Tensor]


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """What was captured, by a stand-in for CUDA."""
    seen: list[Work] = []

    def captured(stream: None, pool: None, work: Work, generators: Collection[torch.Generator]) -> Work:
        seen.append(work)
        return work

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(cuda_step, "on_stream", lambda stream, work: work())
    monkeypatch.setattr(cuda_step, "captured", captured)
    return seen


def with_captured_steps(config: RunConfig, split: Split) -> Trainer:
    trainer = Trainer(config, split)
    trainer.captured = CapturedSteps(torch.device("cpu"))
    return trainer


@EVERY_CONFIG
def test_a_repeated_capture_does_what_the_steps_do(name: str, split: Split, captures: list[Work]) -> None:
    eager, replayed = Trainer(CONFIGS[name], split), with_captured_steps(CONFIGS[name], split)
    assert [timeless(metrics) for metrics in eager] == [timeless(metrics) for metrics in replayed]
    assert_same(eager, replayed)
    assert len(captures) == 2  # full batches and last ones; greedy: full ones for either layer, the last comes once


def test_a_graph_outlives_what_is_loaded_into_its_trainer(split: Split, captures: list[Work]) -> None:
    straight, resumed = (with_captured_steps(CONFIGS["noisy"], split) for _ in range(2))
    straight.train_epoch()
    resumed.train_epoch()
    resumed.load_state_dict(straight.state_dict())
    straight.train_epoch()
    resumed.train_epoch()
    assert_same(straight, resumed)
    assert len(captures) == 4  # of full batches and last ones, by either


def test_what_cannot_be_captured_runs_on_with_one_warning(
    split: Split, captures: list[Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Work:
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(cuda_step, "captured", fail)
    eager, failing = Trainer(CONFIGS["noisy"], split), with_captured_steps(CONFIGS["noisy"], split)
    expected = timeless(eager.train_epoch())
    with pytest.warns(UserWarning, match=r"no CUDA graph \(operation not permitted when stream is capturing\)") as said:
        got = timeless(failing.train_epoch())
    assert len(said) == 1
    assert got == expected
    assert_same(eager, failing)


def test_the_first_steps_warm_up_and_every_size_is_captured(split: Split, captures: list[Work]) -> None:
    trainer, sizes = with_captured_steps(BASE, split), [*[128] * WARM_UP, *[13] * WARM, 128, 13, 128, 13]
    seen = [len(captures) for size in sizes if trainer.train_batch(torch.arange(size), 0) is not None]
    assert seen == [*[0] * (WARM_UP + WARM), 1, 2, 2, 2]


@pytest.fixture(scope="module")
def on_gpu() -> Split:
    return load(BASE.data, BASE.seed, device="cuda")


@GPU
@EVERY_CONFIG
def test_a_graph_does_what_the_steps_do(name: str, on_gpu: Split) -> None:
    eager, replayed = Trainer(CONFIGS[name], on_gpu), Trainer(CONFIGS[name], on_gpu)
    eager.captured = None
    assert [timeless(metrics) for metrics in eager] == [timeless(metrics) for metrics in replayed]
    assert replayed.captured is not None
    assert replayed.captured.sizes[128].replay is not None
    assert_same(eager, replayed)


@GPU
@EVERY_CONFIG
def test_a_resumed_run_on_a_gpu_is_the_unstopped_one(name: str, on_gpu: Split) -> None:
    straight, resumed = Trainer(CONFIGS[name], on_gpu), Trainer(CONFIGS[name], on_gpu)
    straight.train_epoch()
    resumed.load_state_dict({key: value.cpu() for key, value in straight.state_dict().items()})
    assert timeless(straight.train_epoch()) == timeless(resumed.train_epoch())
    assert_same(straight, resumed)


@pytest.fixture
def forbid_waiting() -> Iterator[Callable[[], None]]:
    with warnings.catch_warnings(action="ignore"):  # that this mode is a prototype
        torch.cuda.set_sync_debug_mode("default")
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode("default")


@GPU
@EVERY_CONFIG
@pytest.mark.parametrize("graph", [True, False], ids=["graph", "eager"])
def test_nothing_waits_for_the_gpu_within_an_epoch(
    name: str, graph: bool, on_gpu: Split, forbid_waiting: Callable[[], None]
) -> None:
    trainer = Trainer(CONFIGS[name], on_gpu)
    if not graph:
        trainer.captured = None
    trainer.train_epoch()
    trainer.epoch = 0  # the same learner once more
    batches = torch.arange(len(on_gpu.train), device="cuda").split(128)
    forbid_waiting()
    seen = trainer._train_batches(batches)
    torch.cuda.set_sync_debug_mode("default")
    assert seen.shape == (11, 5, 2)
    assert seen[:, :, 0].isfinite().all()


@GPU
def test_a_loss_on_a_gpu_that_is_not_finite_names_layer_epoch_and_batch(on_gpu: Split) -> None:
    trainer = Trainer(BASE, on_gpu)
    trainer.train_epoch()
    step = trainer.train_batch

    def broken(index: torch.Tensor, batch: int) -> torch.Tensor:
        if batch == 7:
            trainer.layers[1].weight.detach()[20, 3] = float("nan")
        return step(index, batch)

    trainer.train_batch = broken  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match=r"layer 1 diverged in epoch 2, batch 7 .*: lower lr"):
        trainer.train_epoch()


@GPU
def test_it_learns_on_a_gpu(on_gpu: Split) -> None:
    config = BASE.replaced({"network.widths": [100, 100], "learning.epochs": 10, "learning.lr": 0.003})
    for precision in ("float32", "bfloat16"):
        history = list(Trainer(config.replaced({"learning.precision": precision}), on_gpu))
        assert history[-1].val_accuracy > 0.8
