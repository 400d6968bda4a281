"""How fast the core trains and predicts, on one CPU thread: 784-500-500, T = 4, direct, batches of 512.

The images are random bytes: speed does not depend on what they show. `images_per_second` stands in each result's
`extra_info`, from the best round. On a machine that does something else besides, figures are lower.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.data import Images, Split
from ffsnn.network import Network
from ffsnn.trainer import Trainer

BATCHES, BATCH = 8, 512
REQUIRED = 4_000  # training images a second, in the better of the two precisions
PRECISIONS = ("float32", "bfloat16")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(precision: str) -> RunConfig:
    return RunConfig.parse({"learning": {"batch_size": BATCH, "precision": precision, "epochs": 1000}, "device": "cpu"})


def images(n: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (n, 784), dtype=torch.uint8, generator=generator)
    return Images(x, torch.randint(10, (n,), generator=generator))


def trainer(precision: str) -> Trainer:
    """Warm: compiled, and one epoch old."""
    train = images(BATCHES * BATCH)
    warm = Trainer(config(precision), Split(train, train[torch.arange(1)], checksum=""))
    warm.train_epoch()
    return warm


def measure(benchmark: Any, precision: str) -> float:
    """Training images a second in the best of five epochs."""
    trained = trainer(precision)
    rates: list[float] = []
    benchmark.pedantic(lambda: rates.append(trained.train_epoch().images_per_second), rounds=5)
    benchmark.extra_info |= {"images_per_second": round(max(rates)), "precision": precision, "threads": 1}
    return max(rates)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_training(benchmark: Any, precision: str) -> None:
    rate = measure(benchmark, precision)
    print(f"\ntraining, {precision}: {rate:,.0f} images/s")


def test_training_is_fast_enough(benchmark: Any) -> None:
    """The better precision on this machine must reach `REQUIRED`."""
    tried = {precision: trainer(precision).train_epoch().images_per_second for precision in PRECISIONS}
    better = max(tried, key=lambda precision: tried[precision])
    rate = max(measure(benchmark, better), tried[better])
    print(f"\ntraining, {better}: {rate:,.0f} images/s, {REQUIRED:,} required")
    assert rate >= REQUIRED


@pytest.mark.parametrize("precision", PRECISIONS)
def test_prediction(benchmark: Any, precision: str) -> None:
    network, x = Network(config(precision)), images(2048).x
    network.predict(x[:BATCH])
    benchmark.pedantic(network.predict, args=(x,), rounds=5)
    rate = len(x) / benchmark.stats.stats.min
    benchmark.extra_info |= {"images_per_second": round(rate), "precision": precision, "threads": 1}
    print(f"\nprediction, {precision}: {rate:,.0f} images/s")
