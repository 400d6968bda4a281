"""Training on digits: that it learns, that it repeats and resumes to the bit, and how it fails."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffsnn.config import ConfigError, RunConfig
from ffsnn.data import Split, load
from ffsnn.labels import clear
from ffsnn.network import LANES, Network
from ffsnn.randomness import generator
from ffsnn.trainer import DivergedError, EpochMetrics, Trainer, resolve_device
from tests.reference import Reference

BASE = RunConfig.parse(
    {
        "data": {"dataset": "digits"},
        "network": {"widths": [100, 100]},
        "learning": {"epochs": 5, "batch_size": 32, "lr": 0.003, "alpha": 20.0},
        "seed": 11,
        "device": "cpu",
    }
)
# Everything with a memory or with noise: resuming has to get each of them right.
RESUMED = BASE.replaced(
    {
        "network.encoder": "poisson",
        "network.widths": [40, 30],
        "learning.negatives": "table",
        "learning.schedule": "cosine",
        "learning.epochs": 4,
    }
)
TIMES = {"seconds", "images_per_second"}

ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
from ffsnn.config import RunConfig
from ffsnn.data import load
from ffsnn.trainer import Trainer

folder = Path(sys.argv[1])
config = RunConfig.load(folder / "config.yaml")
split = load(config.data, config.seed)
for start in reversed(range(config.learning.epochs)):
    trainer = Trainer(config, split)
    if start:
        trainer.load_state_dict(load_file(folder / f"{start}.safetensors"))
    metrics = [epoch.json() for epoch in trainer]
    save_file(trainer.state_dict(), folder / f"end_from_{start}.safetensors")
    (folder / f"end_from_{start}.json").write_text(json.dumps(metrics))
"""


@pytest.fixture(scope="module")
def split() -> Split:
    return load(BASE.data, BASE.seed)


def timeless(metrics: EpochMetrics) -> dict[str, Any]:
    """As it would be read back from JSON, without the times."""
    tree: dict[str, Any] = json.loads(json.dumps(metrics.json()))
    return {name: value for name, value in tree.items() if name not in TIMES}


def assert_same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network.encoder": "poisson", "network.goodness": "mean"},
        {"learning.loss": "symba", "learning.negatives": "uniform", "network.reset": "hard"},
        {"learning.loss": "threshold", "learning.theta": 0.1, "learning.precision": "bfloat16"},
    ],
    ids=["default", "poisson", "symba", "threshold"],
)
def test_it_learns(changes: dict[str, Any], split: Split) -> None:
    history = list(Trainer(BASE.replaced(changes), split))
    assert [metrics.epoch for metrics in history] == [1, 2, 3, 4, 5]
    assert history[-1].val_accuracy > 0.8
    for first, last in zip(history[0].loss, history[-1].loss, strict=True):
        assert last < first
    for metrics in history:
        assert all(pos > neg for pos, neg in zip(metrics.goodness_pos, metrics.goodness_neg, strict=True))
        assert all(0 < rate < 1 for rate in metrics.firing_rate)
        assert 0 < len(split.train) / metrics.images_per_second < metrics.seconds


def test_a_finished_run_yields_nothing_more(split: Split) -> None:
    trainer = Trainer(BASE.replaced({"learning.epochs": 1}), split)
    assert len(list(trainer)) == 1
    assert list(trainer) == []


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(precision: str, split: Split) -> None:
    config = RESUMED.replaced({"learning.epochs": 2, "learning.precision": precision})
    trainers = [Trainer(config, split), Trainer(config, split), Trainer(config.replaced({"seed": 12}), split)]
    torch.manual_seed(0)  # the global stream has no say
    histories = [[timeless(metrics) for metrics in trainer] for trainer in trainers]
    assert histories[0] == histories[1] != histories[2]
    assert_same_bits(trainers[0].state_dict(), trainers[1].state_dict())


@pytest.fixture(scope="module")
def uninterrupted(split: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder with the state after every epoch of a run, and the run's metrics; another process went on from each."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "config.yaml").write_text(RESUMED.yaml())
    trainer, history = Trainer(RESUMED, split), []
    for metrics in trainer:
        save_file(trainer.state_dict(), folder / f"{metrics.epoch}.safetensors")
        history.append(timeless(metrics))
    subprocess.run([sys.executable, "-c", ANOTHER_PROCESS, str(folder)], check=True, timeout=120)
    return folder, history


@pytest.mark.parametrize("start", range(RESUMED.learning.epochs), ids=lambda start: f"after_epoch_{start}")
def test_another_process_goes_on_to_the_same_bits(start: int, uninterrupted: tuple[Path, list[dict[str, Any]]]) -> None:
    """From the state after every epoch; from none, a second process repeats the whole run."""
    folder, history = uninterrupted
    assert_same_bits(
        load_file(folder / f"end_from_{start}.safetensors"), load_file(folder / f"{len(history)}.safetensors")
    )
    resumed = json.loads((folder / f"end_from_{start}.json").read_text())
    assert [timeless(EpochMetrics.parse(metrics)) for metrics in resumed] == history[start:]


def test_a_trainer_that_was_copied_from_another_shares_nothing_with_it(split: Split) -> None:
    config = RESUMED.replaced({"learning.epochs": 2})
    first, second = Trainer(config, split), Trainer(config, split)
    first.train_epoch()
    second.load_state_dict(first.state_dict())
    assert timeless(first.train_epoch()) == timeless(second.train_epoch())
    assert_same_bits(first.state_dict(), second.state_dict())


def test_metrics_survive_json(split: Split) -> None:
    metrics = Trainer(BASE, split).train_epoch()
    assert EpochMetrics.parse(json.loads(json.dumps(metrics.json()))) == metrics


def test_a_loss_that_is_not_finite_names_layer_epoch_and_batch(split: Split) -> None:
    """alpha beyond float32's range: inf * 0 in the loss."""
    trainer = Trainer(BASE.replaced({"learning.alpha": 1e300}), split)
    with pytest.raises(
        DivergedError, match=r"^layer 0 diverged in epoch 1, batch 0 \(loss nan, .*: lower lr=0\.003 or alpha=1e\+300"
    ):
        trainer.train_epoch()


def test_weights_that_are_not_finite_name_layer_epoch_and_batch(split: Split) -> None:
    trainer = Trainer(BASE, split)
    trainer.train_epoch()
    with torch.no_grad():
        trainer.layers[1].weight[3, 20] = float("nan")
    with pytest.raises(DivergedError, match=r"layer 1 .* in epoch 2, batch 0"):
        trainer.train_epoch()


def test_a_huge_learning_rate_diverges(split: Split) -> None:
    with pytest.raises(DivergedError, match=r"layer 0 .* in epoch 1, batch \d+ .*: lower lr=1e\+38"):
        Trainer(BASE.replaced({"learning.lr": 1e38}), split).train_epoch()


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^device='{name}' needs a GPU that is there, but 0 were found: take --device cpu"
    ):
        resolve_device(name)


@pytest.fixture(scope="module")
def trained(split: Split) -> dict[str, Network]:
    """A network an encoder, one epoch old: no longer random, still unsure."""
    networks = {}
    for encoder in ("direct", "poisson"):
        trainer = Trainer(BASE.replaced({"network.encoder": encoder, "network.widths": [40, 30]}), split)
        trainer.train_epoch()
        networks[encoder] = trainer.network
    return networks


@pytest.mark.parametrize("encoder", ["direct", "poisson"])
def test_goodness_is_that_of_a_naive_loop_over_labels(encoder: str, trained: dict[str, Network], split: Split) -> None:
    """In float64, where no spike flips: each label written into the image, and a pass for each."""
    network, x = trained[encoder], split.validation.x[:60]
    weights = [layer.weight.double() for layer in network.layers]
    config = BASE.replaced({"network.encoder": encoder})
    noise = generator(BASE.seed, "prediction", 0)
    encoded = network.encoder(clear(x.float() / 255, 10), network.T, noise).double()
    expected = Reference(weights, 10, config.network, config.learning).goodness(encoded)
    goodness = network.scores(x).double()
    assert goodness.shape == (60, 10)
    # One flipped spike of 30 neurons in 4 steps moves a goodness by up to (1 - 9/16) / 30: seen none, allow three.
    assert ((goodness - expected).abs() > 1e-6).sum() <= 3
    best = expected.topk(2, 1).values
    clear_cut = best[:, 0] - best[:, 1] > 1e-6
    assert clear_cut.sum() > 50
    assert torch.equal(network.predict(x)[clear_cut], expected.argmax(1)[clear_cut])


@pytest.mark.parametrize("encoder", ["direct", "poisson"])
def test_prediction_takes_the_best_label_batch_by_batch(
    encoder: str, trained: dict[str, Network], split: Split
) -> None:
    network, x, y = trained[encoder], split.train.x[:500], split.train.y[:500]
    size = LANES // 10
    assert size < 500
    parts = [network.scores(x[:size], 0), network.scores(x[size:], 1)]
    predicted = network.predict(x)
    assert torch.equal(predicted, torch.cat(parts).argmax(1))
    assert network.accuracy(x, y) == pytest.approx((predicted == y).sum().item() / 500)
    assert torch.equal(network.predict(x), predicted)  # the noise, too, is the same
    same_in_every_batch = torch.equal(network.scores(x[:20], 0), network.scores(x[:20], 1))
    assert same_in_every_batch == (encoder == "direct")
