"""Labels in the image, and wrong labels: never the true one, and distributed as documented."""

from collections.abc import Callable

import pytest
import torch

from ffsnn.labels import clear, embed
from ffsnn.parts.negatives import GoodnessTable, hard_negatives, uniform_negatives

CPU = torch.device("cpu")
N, C = 20_000, 10

Draw = Callable[..., torch.Tensor]  # y, generator, count


def empty_table(y: torch.Tensor, generator: torch.Generator, count: int = 1) -> torch.Tensor:
    return GoodnessTable(len(y), C, 60.0, CPU).draw(torch.arange(len(y)), y, generator, count)


def full_table(y: torch.Tensor, generator: torch.Generator, count: int = 1) -> torch.Tensor:
    """Margins that all say: the true label fools best."""
    table = GoodnessTable(len(y), C, 1e6, CPU)
    table.margins_NC[torch.arange(len(y)), y] = 1.0
    return table.draw(torch.arange(len(y)), y, generator, count)


def by_score(y: torch.Tensor, generator: torch.Generator, count: int = 1) -> torch.Tensor:
    """Fresh scores that know nothing."""
    return hard_negatives(torch.full((len(y), C), 0.25), y, generator, count)


def by_a_true_score(y: torch.Tensor, generator: torch.Generator, count: int = 1) -> torch.Tensor:
    """Scores of a network that is right and sure."""
    return hard_negatives(1e6 * torch.eye(C)[y], y, generator, count)


def uniform(y: torch.Tensor, generator: torch.Generator, count: int = 1) -> torch.Tensor:
    return uniform_negatives(y, C, generator, count)


@pytest.fixture
def y() -> torch.Tensor:
    return torch.randint(C, (N,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("count", [1, 4, C - 1])
@pytest.mark.parametrize("draw", [uniform, empty_table, full_table, by_score, by_a_true_score])
def test_negatives_are_labels_never_the_true_one_and_all_different(draw: Draw, count: int, y: torch.Tensor) -> None:
    wrong = draw(y, torch.Generator().manual_seed(0), count)
    assert wrong.shape == (count, N)
    assert wrong.dtype == torch.int64
    assert set(wrong.flatten().tolist()) == set(range(C))
    assert not (wrong == y).any()
    ordered = wrong.sort(0).values
    assert (ordered[1:] > ordered[:-1]).all()


@pytest.mark.parametrize("draw", [uniform, empty_table, by_score])
def test_without_experience_all_wrong_labels_are_alike(draw: Draw) -> None:
    """2,222 expected of each of 9; their standard deviation is 44, so 5 of those. Each of several has its share."""
    for wrong in draw(torch.full((N,), 3), torch.Generator().manual_seed(0), 2):
        counts = torch.bincount(wrong, minlength=C)
        assert counts[3] == 0
        assert (counts[counts > 0] - N / 9).abs().max() < 5 * 44


@pytest.mark.parametrize("draw", [uniform, empty_table, by_score])
def test_the_same_generator_gives_the_same_labels(draw: Draw, y: torch.Tensor) -> None:
    first, again, other = (draw(y, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_table_draws_from_the_softmax_of_its_margins() -> None:
    margins = torch.tensor([0.03, -0.02, 0.0, 0.05, 0.01, -0.05, 0.02, 0.0, 0.04, -0.01])
    table = GoodnessTable(N, C, 40.0, CPU)
    table.margins_NC[:] = margins
    wrong = table.draw(torch.arange(N), torch.full((N,), 3), torch.Generator().manual_seed(0))[0]
    expected = (40 * margins).index_fill(0, torch.tensor([3]), float("-inf")).softmax(0)
    shares = torch.bincount(wrong, minlength=C) / N
    assert (shares - expected).abs().max() < 5 * 0.5 / N**0.5  # 5 standard deviations at the most


def test_hard_negatives_are_drawn_from_the_softmax_of_their_own_scores() -> None:
    """Two kinds of images by turns, each with its own scores and its own true label."""
    scores = torch.tensor([[0.5, -1.0, 0.2, 2.0], [0.0, 0.0, -3.0, 1.0]]).repeat(N // 2, 1)
    wrong = hard_negatives(scores, torch.tensor([3, 0]).repeat(N // 2), torch.Generator().manual_seed(0))[0]
    for kind, true in enumerate([3, 0]):
        expected = scores[kind].index_fill(0, torch.tensor([true]), float("-inf")).softmax(0)
        shares = torch.bincount(wrong[kind::2], minlength=4) / (N // 2)
        assert (shares - expected).abs().max() < 5 * 0.5 / (N // 2) ** 0.5  # 5 standard deviations at the most


def test_a_clear_favourite_is_always_the_hard_negative() -> None:
    scores = torch.zeros(1000, C).index_fill(1, torch.tensor([4]), 1e4)
    wrong = hard_negatives(scores, torch.arange(1000) % 3, torch.Generator().manual_seed(0))
    assert (wrong == 4).all()


def test_hard_negatives_leave_the_scores_alone() -> None:
    scores = torch.rand(5, C, generator=torch.Generator().manual_seed(0))
    before = scores.clone()
    hard_negatives(scores, torch.arange(5), torch.Generator().manual_seed(0))
    assert torch.equal(scores, before)


def test_a_draw_looks_at_the_rows_of_its_own_images() -> None:
    table = GoodnessTable(4, C, 1e4, CPU)
    for image, favourite in enumerate([7, 2, 5, 8]):
        table.margins_NC[image, favourite] = 1.0
    wrong = table.draw(torch.tensor([2, 0]), torch.tensor([0, 0]), torch.Generator().manual_seed(0))
    assert wrong.tolist() == [[5, 7]]


def test_a_visit_fades_an_images_row_and_writes_the_trained_pair() -> None:
    table = GoodnessTable(3, 4, 1.0, CPU)
    table.write(torch.tensor([0, 2]), torch.tensor([[1, 3]]), torch.tensor([[0.5, -0.25]]))
    table.write(torch.tensor([2]), torch.tensor([[0]]), torch.tensor([[1.0]]))
    expected = torch.tensor([[0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, -0.25 * 0.98]])
    torch.testing.assert_close(table.margins_NC, expected)
    table.write(torch.tensor([2]), torch.tensor([[0]]), torch.tensor([[0.125]]))  # replaced, not added to what faded
    assert table.margins_NC[2, 0] == 0.125
    table.write(torch.tensor([1]), torch.tensor([[2], [0]]), torch.tensor([[0.5], [0.25]]))  # two wrong labels at once
    assert table.margins_NC[1].tolist() == [0.25, 0.0, 0.5, 0.0]
    assert table.margins_NC[2, 3].item() == pytest.approx(-0.25 * 0.98**2)


def test_embedding_writes_one_pixel_and_clears_the_other_labels() -> None:
    x = torch.arange(1.0, 13.0).view(2, 6)
    labelled = embed(x, torch.tensor([2, 0]), classes=3, amplitude=0.7)
    expected = torch.tensor([[0.0, 0.0, 0.7, 4.0, 5.0, 6.0], [0.7, 0.0, 0.0, 10.0, 11.0, 12.0]])
    assert torch.equal(labelled, expected)
    assert torch.equal(x, torch.arange(1.0, 13.0).view(2, 6))  # a copy


def test_clearing_is_in_place_and_takes_the_labels_pixels_alone() -> None:
    x = torch.ones(2, 5)
    assert clear(x, 3) is x
    assert x.tolist() == [[0, 0, 0, 1, 1]] * 2
