"""The compiled losses beside autograd, a few rows at a time."""

from typing import Any

import numpy as np
import pytest
import torch

from ffsnn.config import LearningConfig
from ffsnn.kernels.loss_gradients import COMPILED, GoodnessLoss, LossGradients, RatePenalty, ReadoutLoss
from ffsnn.parts.losses import goodness_loss, readout_loss

ROWS, PARTS = 7, [(0, 3), (3, 4), (4, 7)]
EVERY_LOSS = pytest.mark.parametrize(
    "learning",
    [
        LearningConfig(
            loss=loss,
            theta=0.3 if loss == "threshold" else None,
            alpha=9,
            negatives_per_image=count,
            label_smoothing=smoothing,
        )
        for loss in COMPILED
        for count in (1, 3)
        for smoothing in (0, 0.2)
    ],
    ids=lambda learning: f"{learning.loss}-{learning.negatives_per_image}-{learning.label_smoothing:g}",
)


def whole(parts: list[LossGradients], name: str, copies: int = 2) -> torch.Tensor:
    """Of all samples: positive ones of all parts, then negative ones."""
    return torch.cat([torch.tensor(getattr(part, name)).unflatten(0, (copies, -1)) for part in parts], 1).flatten(0, 1)


@EVERY_LOSS
@pytest.mark.parametrize("squared", [True, False], ids=["squares", "total"])
def test_of_goodness(learning: LearningConfig, squared: bool) -> None:
    copies = learning.copies
    sums = np.random.default_rng(0).integers(0, 30, (2, copies * ROWS)).astype(np.float32)  # of two tiles
    none, counts = np.full_like(sums, np.nan), np.empty((copies * ROWS, 5), np.float32)
    given = (none, sums) if squared else (sums, none)
    parts = [GoodnessLoss(learning, squared, 0.01)(*rows, *given, counts) for rows in PARTS]

    leaf = torch.tensor(sums.sum(0), dtype=torch.float64, requires_grad=True)
    loss = goodness_loss(learning, 0.01 * leaf)
    loss.backward()
    assert sum(part.loss for part in parts) == pytest.approx(loss.item())
    found = whole(parts, "squares" if squared else "total", copies).double()
    torch.testing.assert_close(found, leaf.grad, rtol=1e-6, atol=1e-9)
    assert not whole(parts, "total" if squared else "squares", copies).any()
    assert all(part.counts.shape == (0, 5) for part in parts)


@EVERY_LOSS
@pytest.mark.parametrize("sums", [(0.0, 1e4), (1e4, 0.0)], ids=["wrong", "right"])
def test_far_from_the_boundary(learning: LearningConfig, sums: tuple[float, float]) -> None:
    sharp = learning.model_copy(update={"alpha": 1e6})
    shown = np.array([sums + sums[1:] * (learning.copies - 2)], np.float32)
    found = GoodnessLoss(sharp, True, 1.0)(0, 1, shown, shown, shown[:, :0])
    assert np.isfinite([found.loss, *found.squares]).all()


def test_of_a_readout() -> None:
    counts = torch.randint(0, 5, (2 * ROWS, 3), generator=torch.Generator().manual_seed(0)).float().requires_grad_()
    y, nothing = torch.tensor([0, 2, 1, 1, 0, 2, 2]), np.zeros((1, 2 * ROWS), np.float32)
    shown: Any = counts.detach().numpy()
    parts = [ReadoutLoss(y.numpy(), T=4)(*rows, nothing, nothing, shown) for rows in PARTS]
    loss = readout_loss(counts / 4, y.repeat(2))
    loss.backward()
    assert sum(part.loss for part in parts) == pytest.approx(loss.item())
    torch.testing.assert_close(whole(parts, "counts"), counts.grad)
    assert not whole(parts, "total").any()
    assert not whole(parts, "squares").any()


@pytest.mark.parametrize("reads_out", [False, True], ids=["goodness", "readout"])
def test_a_rate_penalty_is_added_to_any_loss(reads_out: bool) -> None:
    """Each spike costs as much, and none costs nothing."""
    learning, T, H, copies = LearningConfig(rate_penalty=0.7, negatives_per_image=2), 4, 5, 3
    counts = torch.randint(0, T + 1, (copies * ROWS, H), generator=torch.Generator().manual_seed(0)).float()
    shown: Any = counts.numpy()
    sums = np.stack([shown[:, :2].sum(1), shown[:, 2:].sum(1)])  # of two tiles
    plain = ReadoutLoss(np.zeros(ROWS, np.int64), T) if reads_out else GoodnessLoss(learning, False, 0.01)
    for rows in PARTS:
        without, with_it = (of(*rows, sums, sums, shown) for of in (plain, RatePenalty(plain, learning, T)))
        fired = counts.view(copies, ROWS, H)[:, rows[0] : rows[1]]
        assert with_it.loss - without.loss == pytest.approx(0.7 * fired.sum().item() / (T * counts.numel()))
        assert with_it.total - without.total == pytest.approx(
            np.full(fired.shape[:2], 0.7 / (T * counts.numel())).ravel()
        )
        assert with_it.total.dtype == np.float32
