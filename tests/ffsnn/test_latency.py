"""Latency of a prediction: a median, and of the network that is asked."""

import time

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.inference.latency import IMAGES, WARM, milliseconds
from ffsnn.network import Network

CONFIG = RunConfig.parse(
    {"data": {"dataset": "digits"}, "network": {"widths": [16], "T": 2}, "learning": {"batch_size": 64}}
)


def test_the_median_of_single_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    network, shown = Network(CONFIG), []

    def scores(x: torch.Tensor) -> torch.Tensor:
        shown.append(len(x))
        time.sleep(0.2 if len(shown) in (2, 9, 20) else 0.002)  # a few that something came in between
        return torch.zeros(len(x), 10)

    monkeypatch.setattr(network, "scores", scores)
    assert 2 <= milliseconds(network, torch.zeros(5, 64, dtype=torch.uint8)) < 50
    assert shown == [1] * (IMAGES + WARM)


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="needs one, but got 0"):
        milliseconds(Network(CONFIG), torch.zeros(0, 64, dtype=torch.uint8))
