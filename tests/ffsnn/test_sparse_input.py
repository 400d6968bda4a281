"""SparseInput beside the dense input that they stand for."""

import pytest
import torch

from ffsnn.kernels import sparse_input

R, LABELS = 4, 3


def dense(seen: sparse_input.SparseInput, inputs: int) -> torch.Tensor:
    """(1 or T, B, F) again: lists added up along row, time step and copy."""

    def listed(number: int) -> torch.Tensor:
        values = torch.zeros(inputs)
        for k in range(seen.start[number], seen.start[number + 1]):
            values[seen.input[k]] += seen.value[k]
        return values

    x, lists = torch.zeros(seen.steps, seen.samples, inputs), 1 + seen.steps * (1 + seen.copies)
    for r in range(seen.rows):
        for t in range(seen.steps):
            own = r * lists + 1 + t * (1 + seen.copies)
            for c in range(seen.copies):
                x[t, r + c * seen.rows] = listed(r * lists) + listed(own) + listed(own + 1 + c)
    return x


def random_spikes(*shape: int, density: float = 0.4) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))) < density).to(torch.uint8)


SHAPES = pytest.mark.parametrize(("T", "F", "copies"), [(1, 8, 2), (4, 19, 3), (20, 13, 10), (127, 5, 2), (300, 9, 2)])


@SHAPES
@pytest.mark.parametrize("density", [0.0, 0.4, 0.9, 1.0])
def test_spikes(T: int, F: int, copies: int, density: float) -> None:
    x = random_spikes(T, copies * R, F, density=density)
    seen = sparse_input.of_spikes(x, copies)
    assert torch.equal(dense(seen, F), x.float())
    assert torch.equal(seen.squared_norm, x.sum(-1).float())


def labelled(x: torch.Tensor, y: torch.Tensor | None, copies: int, own: bool = False) -> torch.Tensor:
    x = x.float().repeat(1, 1 if own else copies, 1)
    if y is None:
        x[..., :LABELS] = 2 / LABELS
    else:
        x[:, torch.arange(copies * R), y.flatten()] = 2
    return x


@SHAPES
@pytest.mark.parametrize("neutral", [True, False])
def test_images_as_spikes_under_labels(T: int, F: int, copies: int, neutral: bool) -> None:
    x = random_spikes(T, R, F)
    x[..., :LABELS] = 0
    y = None if neutral else torch.randint(LABELS, (copies, R), generator=torch.Generator().manual_seed(0))
    seen, expected = sparse_input.of_images(x, LABELS, y, copies, 2.0), labelled(x, y, copies)
    torch.testing.assert_close(dense(seen, F), expected)
    torch.testing.assert_close(seen.squared_norm, expected.square().sum(-1))


@pytest.mark.parametrize("neutral", [True, False])
def test_constant_images_under_labels(neutral: bool) -> None:
    x = torch.rand(1, R, 11, generator=torch.Generator().manual_seed(0)) * random_spikes(1, R, 11)
    x[..., :LABELS] = 0
    y = None if neutral else torch.tensor([[0, 1, 2, 0], [1, 1, 0, 2]])
    seen, expected = sparse_input.of_images(x, LABELS, y, 2, 2.0), labelled(x, y, 2)
    torch.testing.assert_close(dense(seen, 11), expected)
    torch.testing.assert_close(seen.squared_norm, expected.square().sum(-1))


def test_constant_rates() -> None:
    x = torch.rand(1, 2 * R, 11, generator=torch.Generator().manual_seed(0)) * random_spikes(1, 2 * R, 11)
    seen = sparse_input.of_spikes(x, 2)
    assert torch.equal(dense(seen, 11), x)
    torch.testing.assert_close(seen.squared_norm, x.square().sum(-1))


@SHAPES
@pytest.mark.parametrize("neutral", [True, False])
@pytest.mark.parametrize("constant", [True, False])
def test_samples_under_labels(T: int, F: int, copies: int, constant: bool, neutral: bool) -> None:
    """As a later layer sees them: each sample's spikes are its own, and behind the label's inputs."""
    x = random_spikes(1 if constant else T, copies * R, F)
    x = x / 3 if constant else x
    x[..., :LABELS] = 0
    y = None if neutral else torch.randint(LABELS, (copies, R), generator=torch.Generator().manual_seed(0))
    seen, expected = sparse_input.of_spikes(x, copies, LABELS, y, 2.0), labelled(x, y, 1 if neutral else copies, True)
    torch.testing.assert_close(dense(seen, F), expected)
    torch.testing.assert_close(seen.squared_norm, expected.square().sum(-1))


def test_what_copies_share_is_listed_once() -> None:
    """Ten inputs that always fire, for ten copies over twenty steps: ten events."""
    seen = sparse_input.of_spikes(torch.ones(20, 10, 10, dtype=torch.uint8), 10)
    assert len(seen.input) == 10
