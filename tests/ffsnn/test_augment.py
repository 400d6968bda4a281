"""Images changed at random, against naive loops."""

import math
from typing import Any

import pytest
import torch

from ffsnn.config import LearningConfig
from ffsnn.training.augment import KNOTS, augmented, shifted

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


ALL = {"rotation": 20, "scaling": 0.2, "shear": 0.2, "elastic": 0.7, "shift": 1}


def changed(x: torch.Tensor, shape: tuple[int, int, int], seed: int = 1, **how: Any) -> torch.Tensor:
    return augmented(x, shape, LearningConfig.model_validate(how), seeded(seed))


def read(image: torch.Tensor, row: float, column: float) -> float:
    """The brightness (height, width) between pixels; black outside."""
    total = 0.0
    for i in (math.floor(row), math.floor(row) + 1):
        for j in (math.floor(column), math.floor(column) + 1):
            if 0 <= i < image.shape[0] and 0 <= j < image.shape[1]:
                total += (1 - abs(row - i)) * (1 - abs(column - j)) * image[i, j].item()
    return total


def bent(knots: torch.Tensor, row: int, column: int, height: int, width: int) -> float:
    """A field (KNOTS, KNOTS) at a pixel."""
    return read(knots, row * (KNOTS - 1) / (height - 1), column * (KNOTS - 1) / (width - 1))


@pytest.mark.parametrize("how", [{name: ALL[name]} for name in ALL if name != "shift"] + [ALL], ids=str)
def test_a_warp_is_read_from_where_a_naive_loop_reads(how: dict[str, Any]) -> None:
    """Seen from the middle of the image: turned, then sheared along x, then each axis scaled, then moved and bent."""
    height, width, count = 7, 9, 4
    x = torch.randint(1, 256, (count, height * width), generator=seeded(0), dtype=torch.uint8)
    result = changed(x, (1, height, width), **how).view(count, height, width)
    draw = seeded(1)
    drawn = (torch.rand(6, count, 1, 1, generator=draw) * 2 - 1)[:, :, 0, 0]
    knots = torch.randn(2, count, KNOTS, KNOTS, generator=draw) if how.get("elastic") else None
    for n in range(count):
        angle = math.radians(how.get("rotation", 0) * drawn[0, n].item())
        wide, high = (1 + how.get("scaling", 0) * drawn[axis, n].item() for axis in (1, 2))
        shear, (right, down) = how.get("shear", 0) * drawn[3, n].item(), how.get("shift", 0) * drawn[4:, n]
        for row in range(height):
            for column in range(width):
                x_, y_ = column - (width - 1) / 2, row - (height - 1) / 2
                x_, y_ = math.cos(angle) * x_ - math.sin(angle) * y_, math.sin(angle) * x_ + math.cos(angle) * y_
                x_ += shear * y_
                x_, y_ = wide * x_ + right.item(), high * y_ + down.item()
                if knots is not None:
                    x_ += how["elastic"] * bent(knots[0, n], row, column, height, width)
                    y_ += how["elastic"] * bent(knots[1, n], row, column, height, width)
                expected = read(x[n].view(height, width), y_ + (height - 1) / 2, x_ + (width - 1) / 2)
                assert result[n, row, column].item() == pytest.approx(expected, abs=0.51)  # rounded


def test_all_planes_of_an_image_change_alike() -> None:
    """Channels, and time steps of a recording of images."""
    plane = torch.randint(0, 256, (3, 5 * 6), generator=seeded(0), dtype=torch.uint8)
    alone = changed(plane, (1, 5, 6), **ALL, mirror=True)
    colour = changed(plane.repeat(1, 3), (3, 5, 6), **ALL, mirror=True)
    assert torch.equal(colour, alone.repeat(1, 3))
    film = changed(plane[:, None].repeat(1, 4, 1), (1, 5, 6), **ALL, mirror=True)
    assert torch.equal(film, alone[:, None].repeat(1, 4, 1))


def test_events_stay_events() -> None:
    """About as many as before, though an image is read between its pixels."""
    x = 255 * (torch.rand(40, 3, 2 * 34 * 34, generator=seeded(0)) < 0.05).to(torch.uint8)
    how = LearningConfig(rotation=20, elastic=0.5)
    warped = augmented(x, (2, 34, 34), how, seeded(1), events=True)
    assert warped.unique().tolist() == [0, 255]
    assert not torch.equal(warped, x)
    assert (warped > 0).sum() == pytest.approx((x > 0).sum().item(), rel=0.1)
    assert (augmented(x, (2, 34, 34), how, seeded(1)) > 0).sum() > 2 * (x > 0).sum()  # of images it is not so


def test_half_of_the_images_are_mirrored() -> None:
    x = images(200)
    result = changed(x, SHAPE, mirror=True)
    mirrored = x.view(-1, SIDE, SIDE).flip(2).flatten(1)
    same, other = (result == x).all(1), (result == mirrored).all(1)
    assert (same ^ other).all()
    assert 70 < other.sum() < 130


def test_a_warp_is_decided_by_the_generator_alone_and_leaves_its_input_as_it_was() -> None:
    x = images(50)
    before = x.clone()
    first = changed(x, SHAPE, **ALL)
    assert first.dtype == torch.uint8
    assert torch.equal(x, before)
    assert torch.equal(changed(x, SHAPE, **ALL), first)
    assert not torch.equal(changed(x, SHAPE, seed=2, **ALL), first)


@pytest.mark.parametrize("threads", [1, 2])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    x = torch.randint(0, 256, (64, 784), generator=seeded(0), dtype=torch.uint8)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        some = changed(x, (1, 28, 28), **ALL)
        torch.set_num_threads(1)
        assert torch.equal(some, changed(x, (1, 28, 28), **ALL))
    finally:
        torch.set_num_threads(before)
