"""Shifted images against a naive loop."""

import pytest
import torch

from ffsnn.training.augment import shifted

SIDE = 5
SHAPE = (1, SIDE, SIDE)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int) -> torch.Tensor:
    """No pixel black, so that what moved in can be told."""
    return torch.randint(1, 256, (count, SIDE * SIDE), generator=seeded(0), dtype=torch.uint8)


def moved(x_F: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """One image, pixel by pixel; what moves in is black."""
    result = torch.zeros_like(x_F)
    for row in range(SIDE):
        for column in range(SIDE):
            if 0 <= row - down < SIDE and 0 <= column - right < SIDE:
                result[row * SIDE + column] = x_F[(row - down) * SIDE + column - right]
    return result


def test_by_nothing_is_the_image() -> None:
    x = images(7)
    assert torch.equal(shifted(x, SHAPE, 0, seeded(1)), x)


@pytest.mark.parametrize("by", [1, 2, 4])
def test_every_image_is_moved_by_some_pixels_of_its_own(by: int) -> None:
    """Each is one of the (2 by + 1)^2 moves of a naive loop, and all of them occur about equally often."""
    x = images(300)
    before = x.clone()
    result = shifted(x, SHAPE, by, seeded(1))
    assert result.shape == x.shape
    assert result.dtype == x.dtype
    assert torch.equal(x, before)
    steps = range(-by, by + 1)
    seen = []
    for image, got in zip(x, result, strict=True):
        fitting = [(down, right) for down in steps for right in steps if torch.equal(moved(image, down, right), got)]
        assert len(fitting) == 1
        seen += fitting
    assert set(seen) == {(down, right) for down in steps for right in steps} or by == 4
    for axis in (0, 1):
        counts = torch.bincount(torch.tensor([move[axis] + by for move in seen]), minlength=2 * by + 1)
        expected = 300 / (2 * by + 1)
        assert (counts - expected).abs().max() < 5 * expected**0.5


def test_what_moves_in_is_black_and_what_moves_out_is_lost() -> None:
    x = torch.full((200, SIDE * SIDE), 255, dtype=torch.uint8)
    result = shifted(x, SHAPE, 2, seeded(1)).view(200, SIDE, SIDE)
    assert set(result.unique().tolist()) == {0, 255}
    white = (result > 0).sum((1, 2))
    assert set(white.tolist()) == {rows * columns for rows in (3, 4, 5) for columns in (3, 4, 5)}
    assert (result[:, 2, 2] == 255).all()


def test_the_generator_alone_decides() -> None:
    x = images(50)
    torch.manual_seed(0)
    first = shifted(x, SHAPE, 2, seeded(1))
    torch.manual_seed(1)
    assert torch.equal(shifted(x, SHAPE, 2, seeded(1)), first)
    assert not torch.equal(shifted(x, SHAPE, 2, seeded(2)), first)


def test_numbers_of_any_type() -> None:
    x = images(10)
    assert torch.equal(shifted(x.double(), SHAPE, 3, seeded(1)), shifted(x, SHAPE, 3, seeded(1)).double())
