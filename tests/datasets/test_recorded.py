"""Networks that see recordings over time: the compiled path beside the plain one, training, what they cost."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.config.data import DataConfig
from ffsnn.datasets import data
from ffsnn.datasets.add import add_raw
from ffsnn.datasets.sources.raw import Part, Raw
from ffsnn.inspection import energy, pictures
from ffsnn.layer import Input
from ffsnn.network import Network
from ffsnn.training.trainer import Trainer
from ffsnn.validation import ConfigError

N, CLASSES = 120, 3


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFSNN_DATA", str(tmp_path))
    draw = np.random.default_rng(0)
    y = np.arange(N) % CLASSES
    series = [  # a class is a frequency
        np.sin((label + 1) * np.linspace(0, 6, 15 + n % 4)[:, None] + draw.normal(0, 0.1, 4))
        for n, label in enumerate(y)
    ]
    add_raw("waves", Raw("series", (1, 1, 4), Part(series, y.tolist())), "made")
    events = [  # a class is an order of the units
        (np.arange(30, dtype=np.int32) * 1000, np.roll(np.arange(30), 10 * label).astype(np.int32)) for label in y
    ]
    add_raw("clicks", Raw("events", (1, 1, 30), Part(events, y.tolist())), "made")


def config(name: str, **changes: object) -> RunConfig:
    return RunConfig.parse({
        "data": {"dataset": name, "validation": 0.3},
        "network": {"label": "appended", "T": 8, "widths": [20, 20]}, "learning": {"batch_size": 8, "epochs": 30},
        "device": "cpu",
    }).replaced(changes)  # fmt: skip


@pytest.mark.parametrize("name", ["waves", "clicks"])
def test_the_compiled_path_sees_what_the_plain_one_sees(name: str) -> None:
    """Losses and gradients of the first layer, whose input changes from step to step."""
    run = config(name)
    images = data.load(run.data, 0, T=8).train
    found = []
    for fused in (True, False):
        network = Network(run)
        layer = network.each_layer[0]
        layer.fused = fused  # type: ignore[assignment]
        seen = Input(network.encode(images.x, torch.Generator()))
        y = torch.stack([images.y, (images.y + 1) % CLASSES])
        answer = layer(seen, y, 2, True, True, True)
        answer.loss.backward()
        found.append((answer.spikes, answer.loss.detach(), layer.weight.grad))
    (spikes, loss, gradient), (plain_spikes, plain_loss, plain_gradient) = found
    assert seen.x.shape == (8, len(images), 3 + images.x.shape[2])
    assert torch.equal(spikes, plain_spikes)
    torch.testing.assert_close(loss, plain_loss)
    torch.testing.assert_close(gradient, plain_gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["waves", "clicks"])
def test_it_learns(name: str) -> None:
    run = config(name, **{"learning.lr": 0.01})
    split = data.load(run.data, 0, T=8)
    accuracy = [metrics.val_accuracy for metrics in Trainer(run, split)]
    assert max(accuracy) > 0.7


def test_random_spikes_of_a_series_are_drawn_at_each_step() -> None:
    run = config("waves", **{"network.encoder": "poisson"})
    images = data.load(run.data, 0, T=8).train
    spikes = Network(run).encode(images.x, torch.Generator().manual_seed(0))
    assert spikes.dtype == torch.uint8
    rate = spikes[..., 3:].float().mean().item()
    assert abs(rate - images.x.float().mean().item() / 255) < 0.02


def test_what_they_cost() -> None:
    """Events cost additions, series a multiplication an input, neuron and time step."""
    events, series = ({}, {})
    for name, found in (("clicks", events), ("waves", series)):
        run = config(name)
        images = data.load(run.data, 0, T=8).train
        found["measured"] = energy.measure(Network(run), images)
    assert events["measured"].multiply_adds == (0.0, 0.0)
    assert events["measured"].synaptic_operations[0] == (30 + 8) * 20  # each unit once, the label at each step
    assert series["measured"].multiply_adds == (4 * 20 * 8, 0.0)
    trainer = Trainer(config("clicks"), data.load(config("clicks").data, 0, T=8))
    assert trainer.train_epoch().input_spikes == 30


def test_pictures_of_them(tmp_path: Path) -> None:
    for name in ("waves", "clicks"):
        run = config(name)
        images = data.load(run.data, 0, T=8).train
        assert len(pictures.save_all(Network(run), images, tmp_path / name)) == 4


def test_time_steps_can_be_searched() -> None:
    """What is shown depends on T alone; the labels and the split do not."""
    first, second = (data.load(DataConfig(dataset="waves"), 0, T=T).train for T in (4, 9))
    assert (first.x.shape[1], second.x.shape[1]) == (4, 9)
    assert torch.equal(first.y, second.y)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network.label": "in_place"}, "label='in_place' takes 3 inputs, one a class, of waves, which is no image"),
        ({"network.encoder": "latency"}, "but waves is recorded over time itself: take encoder='direct'"),
        ({"network.features": "edges"}, "features='edges' are of images, but waves is recorded over time: leave"),
        ({"learning.shift": 1}, "shift changes images, but waves has none, and got shift=1: leave it out"),
        ({"data.dataset": "clicks", "network.encoder": "poisson"}, "the events of clicks are spikes already"),
        ({"data.dataset": "digits", "data.window_ms": 5}, "digits has no events that window_ms could be of"),
        ({"data.window_ms": 5}, "waves has no events that window_ms could be of"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config("waves").replaced(changes)


def test_a_window_changes_what_is_shown() -> None:
    run = config("clicks")
    whole = data.load(run.data, 0, T=8).train
    half = data.load(replace_window(run.data, 15.0), 0, T=8).train
    assert int((whole.x > 0).sum()) == 2 * int((half.x > 0).sum())


def test_a_step_lasts_as_long_in_the_test_set(tmp_path: Path) -> None:
    """Though the longest recording is in the other part."""
    long, short = [(np.array([0, end], np.int32), np.array([0, 1], np.int32)) for end in (1_000_000, 500_000)]
    raw = Raw("events", (1, 1, 2), Part([long, short] * 20, [0, 1] * 20), Part([short] * 4, [0, 1] * 2))
    add_raw("uneven", raw, "made")
    of = DataConfig(dataset="uneven", validation=0.5)
    assert torch.equal(data.load_test(of, T=10).x[0].nonzero(), torch.tensor([[0, 0], [4, 1]]))


def replace_window(config: DataConfig, window_ms: float) -> DataConfig:
    return DataConfig.model_validate(config.model_dump() | {"window_ms": window_ms})
