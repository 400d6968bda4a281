"""The learning rate beside one that is counted batch by batch, as the papers have it."""

import math
from collections.abc import Iterator

import pytest

from ffsnn.config import LearningConfig
from ffsnn.training.schedule import factor

BATCHES = 7  # of an epoch, which a float does not divide evenly


def counted(batches: int, warmup: int, period: int) -> Iterator[float]:
    """Of each batch: a rise by equal steps, then cosines, each so many batches long (SGDR, formula 5)."""
    since = 0
    for batch in range(batches):
        if batch < warmup:
            yield batch / warmup
            continue
        yield 0.5 * (1 + math.cos(math.pi * since / period))
        since = 0 if since + 1 == period else since + 1


def ours(epochs: int, **fields: object) -> list[float]:
    learning = LearningConfig(epochs=epochs, **fields)
    return [factor(learning, epoch + batch / BATCHES, epochs) for epoch in range(epochs) for batch in range(BATCHES)]


@pytest.mark.parametrize(
    ("epochs", "warmup", "restarts"), [(12, 0, 0), (12, 0, 1), (12, 0, 2), (13, 0, 12), (10, 3, 0), (11, 1, 4)]
)
def test_as_it_is_counted(epochs: int, warmup: int, restarts: int) -> None:
    period = (epochs - warmup) * BATCHES // (restarts + 1)
    found = ours(epochs, warmup=warmup, restarts=restarts)
    assert found == pytest.approx(list(counted(epochs * BATCHES, warmup * BATCHES, period)), abs=1e-12)
    assert (found[0] == 0) == (warmup > 0)


def test_a_warm_up_shorter_than_an_epoch_comes_before_all_cosines() -> None:
    found = ours(9, warmup=0.5, restarts=1)
    assert found[:5] == pytest.approx([0, 2 / 7, 4 / 7, 6 / 7, 0.5 * (1 + math.cos(2 * math.pi * (4 / 7 - 0.5) / 8.5))])
    assert found[34] == pytest.approx(0.5 * (1 + math.cos(2 * math.pi * ((34 / 7 - 0.5) / 8.5 - 0.5))))  # the second's


def test_without_either_it_is_half_a_cosine_to_the_bit() -> None:
    expected = [0.5 * (1 + math.cos(math.pi * (e + b / BATCHES) / 23)) for e in range(23) for b in range(BATCHES)]
    assert ours(23) == expected


def test_what_of_it_depends_on_the_length() -> None:
    assert LearningConfig(schedule="constant", warmup=2).set_by_length is None
    assert ours(5, schedule="constant", warmup=2) == ours(8, schedule="constant", warmup=2)[: 5 * BATCHES]
    assert "cosine" in str(LearningConfig(restarts=1).set_by_length)
    with_constant = ours(5, schedule="constant", warmup=2)
    assert with_constant == pytest.approx([batch / 14 if batch < 14 else 1.0 for batch in range(35)])
