"""Training on digits: that it learns, that it repeats and resumes to the bit, and how it fails."""

import json
import math
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffsnn.config import RunConfig
from ffsnn.config.data import DataConfig
from ffsnn.datasets.data import Split, load
from ffsnn.parts.negatives import Negatives
from ffsnn.parts.registry import NEGATIVES
from ffsnn.randomness import generator
from ffsnn.training.dead_layers import DeadLayerError, dead_layer
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.training.trainer import DivergedError, Trainer
from ffsnn.validation import ConfigError

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
        "learning.batch_size": 64,
    }
)
# The same for what else the core can do; layer 0 learns for two epochs, then layer 1.
RESUMED_GREEDILY = RESUMED.replaced(
    {
        "network.encoder": "latency",
        "network.between": "rate",
        "learning.layers": "greedy",
        "learning.negatives": "fresh",
        "learning.shift": 1,
        "learning.optimiser": "sgd",
        "learning.momentum": 0.9,
        "learning.lr": 0.1,
        "network.v_threshold": 0.25,
    }
)
RESUMED_AVERAGED = RESUMED.replaced(
    {
        "learning.average": 1, "learning.dropout": 0.2, "learning.elastic": 0.5, "learning.mirror": True,
        "learning.warmup": 1.5, "learning.restarts": 1, "learning.batch_growth": 2,
        "network.learn": "both", "network.learn_scope": "neuron",
    }
)  # fmt: skip
RESUMED_CONFIGS = {"together": RESUMED, "greedy": RESUMED_GREEDILY, "averaged": RESUMED_AVERAGED}
TIMES = {"seconds", "images_per_second"}

ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.training.trainer import Trainer

for folder in map(Path, sys.argv[1:]):
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


@pytest.mark.parametrize(
    "changes",
    [
        {"network.encoder": "latency", "network.v_threshold": 0.3},
        {"network.label": "appended"},
        {"learning.negatives": "fresh"},
        {"learning.shift": 1, "learning.epochs": 10},
        {"learning.layers": "greedy", "learning.epochs": 6},
        {"learning.output": "mse", "network.widths": [100, 10], "network.prediction": "one_pass"},
        {"network.between": "rate"},
        {"learning.optimiser": "sgd", "learning.momentum": 0.9, "learning.lr": 0.1},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values()),
)
def test_it_learns_with(changes: dict[str, Any], split: Split) -> None:
    history = list(Trainer(BASE.replaced(changes), split))
    assert history[-1].val_accuracy > 0.75


def test_a_greedy_layer_learns_alone_while_the_others_stand_still(split: Split) -> None:
    """Seven epochs for three layers: three, two and two."""
    changes = {"learning.layers": "greedy", "learning.epochs": 7, "network.widths": [20, 15, 12]}
    trainer = Trainer(BASE.replaced(changes | {"learning.weight_decay": 1e-3}), split)
    learners = []
    for _ in range(7):
        before = [layer.weight.detach().clone() for layer in trainer.layers]
        metrics = trainer.train_epoch()
        changed = [not torch.equal(layer.weight, old) for layer, old in zip(trainer.layers, before, strict=True)]
        assert sum(changed) == 1
        learners.append(changed.index(True))
        reached = [number <= learners[-1] for number in range(3)]
        assert [loss != 0 for loss in metrics.loss] == reached  # layers above are not asked
        assert [rate > 0 for rate in metrics.firing_rate] == reached
    assert learners == [0, 0, 0, 1, 1, 2, 2]


def learning_rates(config: RunConfig, split: Split) -> list[list[tuple[float, ...]]]:
    """Of each epoch, each batch: the layers' learning rates."""
    trainer, seen = Trainer(config, split), []
    step = trainer.train_batch

    def spying(index: torch.Tensor, batch: int) -> torch.Tensor:
        seen[-1].append(tuple(float(optimiser.lr) for optimiser in trainer.optimisers))
        return step(index, batch)

    trainer.train_batch = spying  # type: ignore[method-assign]
    for _ in range(config.learning.epochs):
        seen.append([])
        trainer.train_epoch()
    return seen


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize(("layers", "shares"), [("together", [5]), ("greedy", [3, 2])], ids=["together", "greedy"])
def test_a_cosine_runs_from_lr_to_nothing_over_each_share_of_the_epochs(
    layers: str, shares: list[int], optimiser: str, split: Split
) -> None:
    changes = {"network.widths": [10, 10], "learning.batch_size": 200}
    config = BASE.replaced(changes | {"learning.layers": layers, "learning.optimiser": optimiser})
    epochs = learning_rates(config, split)
    for learner, share in enumerate(shares):
        batches = [rates[learner] for epoch in epochs[:share] for rates in epoch]
        epochs = epochs[share:]
        count = 7 * share  # of 1,293 images
        expected = [0.003 * 0.5 * (1 + math.cos(math.pi * batch / count)) for batch in range(count)]
        assert batches == pytest.approx(expected)
        assert batches[0] == 0.003
        assert batches[-1] < 0.02 * 0.003
    assert epochs == []


def test_a_constant_learning_rate_stays(split: Split) -> None:
    config = BASE.replaced({"learning.schedule": "constant", "learning.epochs": 2, "learning.layers": "greedy"})
    assert {rate for epoch in learning_rates(config, split) for rates in epoch for rate in rates} == {0.003}


def test_fresh_negatives_are_those_that_fool_the_network_of_the_moment(split: Split) -> None:
    """With a sharp softmax, the best wrong label by the goodness of the network as it stands."""
    trainer = Trainer(BASE.replaced({"learning.negatives": "fresh", "learning.alpha": 1e7}), split)
    index = torch.arange(60)
    x, y = split.train.x[index], split.train.y[index]
    scores = trainer.network.scores(x, 0, "goodness")
    best_wrong = scores.scatter(1, y[:, None], -1.0).max(1).values
    (drawn,) = trainer.negatives.draw(index, x, y, partial(generator, 0))
    assert (drawn != y).all()
    assert torch.equal(scores.gather(1, drawn[:, None])[:, 0], best_wrong)  # the same goodness for two labels happens
    assert not trainer.negatives.state


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


Runs = dict[str, tuple[Path, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def uninterrupted(split: Split, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Folders with the state after every epoch of a run, and the run's metrics; another process went on from each."""
    runs = {}
    for name, config in RESUMED_CONFIGS.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / "config.yaml").write_text(config.yaml())
        trainer, history = Trainer(config, split), []
        for metrics in trainer:
            save_file(trainer.state_dict(), folder / f"{metrics.epoch}.safetensors")
            history.append(timeless(metrics))
        runs[name] = folder, history
    folders = [str(folder) for folder, _ in runs.values()]
    subprocess.run([sys.executable, "-c", ANOTHER_PROCESS, *folders], check=True, timeout=120)
    return runs


@pytest.mark.parametrize("name", RESUMED_CONFIGS)
@pytest.mark.parametrize("start", range(RESUMED.learning.epochs), ids=lambda start: f"after_epoch_{start}")
def test_another_process_goes_on_to_the_same_bits(name: str, start: int, uninterrupted: Runs) -> None:
    """From the state after every epoch; from none, a second process repeats the whole run."""
    folder, history = uninterrupted[name]
    assert_same_bits(
        load_file(folder / f"end_from_{start}.safetensors"), load_file(folder / f"{len(history)}.safetensors")
    )
    resumed = json.loads((folder / f"end_from_{start}.json").read_text())
    assert [timeless(EpochMetrics.parse(metrics)) for metrics in resumed] == history[start:]


def test_what_is_resumed_has_moved(uninterrupted: Runs) -> None:
    """Else resuming it to the bit would say little: every layer learns, and the moments are kept."""
    for folder, history in uninterrupted.values():
        first, last = (load_file(folder / f"{epoch}.safetensors") for epoch in (1, len(history)))
        for layer in (0, 1):
            assert not torch.equal(first[f"network.layers.{layer}.weight"], last[f"network.layers.{layer}.weight"])
            assert any(name.startswith(f"optimiser.{layer}.") for name in last)
        assert min(history[-1]["firing_rate"]) > 0.01


def test_a_trainer_that_was_copied_from_another_shares_nothing_with_it(split: Split) -> None:
    config = RESUMED.replaced({"learning.epochs": 2})
    first, second = Trainer(config, split), Trainer(config, split)
    first.train_epoch()
    second.load_state_dict(first.state_dict())
    assert timeless(first.train_epoch()) == timeless(second.train_epoch())
    assert_same_bits(first.state_dict(), second.state_dict())


def test_what_is_validated_is_the_average_and_training_goes_on_from_the_weights(split: Split) -> None:
    """Weights that are trained are those of a run without averages; the averages are near them, and are the network."""
    plain, averaged = Trainer(RESUMED, split), Trainer(RESUMED.replaced({"learning.average": 1}), split)
    for _ in range(3):
        losses, more = plain.train_epoch(), averaged.train_epoch()
        assert more.loss == losses.loss
    assert more.val_accuracy == averaged.network.accuracy(split.validation.x, split.validation.y)
    state = averaged.state_dict()
    for name, weight in plain.network.state_dict().items():
        assert torch.equal(state[f"trained.{name}"], weight)
        distance = (state[f"network.{name}"] - weight).norm() / weight.norm()
        assert 0 < distance < 0.5


def test_an_average_of_a_layer_begins_with_its_turn(split: Split) -> None:
    """Where layers learn one after another: its steps are counted anew, to forget soon what it began with."""
    config = BASE.replaced(
        {"network.widths": [40, 30], "learning.layers": "greedy", "learning.average": 3, "learning.epochs": 4}
    )
    trainer, paces = Trainer(config, split), []
    assert trainer.averages is not None
    for _ in trainer:
        paces.append(trainer.averages.pace.item())  # of the epoch's last step
    batches = math.ceil(len(split.train) / 32)
    assert paces == pytest.approx([9 / (9 + batches), 9 / (9 + 2 * batches)] * 2)


class OneLabel(Negatives):
    """A kind of one's own from before there were several: a wrong label (B,) an image."""

    def draw(self, index_B, x_BF, y_B, random):
        return (y_B + 1) % 10


def test_negatives_may_be_one_label_an_image(split: Split) -> None:
    NEGATIVES.add("one_label", OneLabel)
    try:
        trainer = Trainer(BASE.replaced({"learning.negatives": "one_label"}), split)
        assert trainer.train_batch(torch.arange(16), 0).isfinite().all()
    finally:
        NEGATIVES.forget(NEGATIVES.origin("one_label"))


def test_metrics_survive_json(split: Split) -> None:
    metrics = Trainer(BASE, split).train_epoch()
    assert EpochMetrics.parse(json.loads(json.dumps(metrics.json()))) == metrics


def test_a_loss_that_is_not_finite_names_layer_epoch_and_batch(split: Split) -> None:
    """alpha beyond float32's range."""
    trainer = Trainer(BASE.replaced({"learning.alpha": 1e300}), split)
    with pytest.raises(
        DivergedError,
        match=r"^layer 0 diverged in epoch 1, batch 0 \(loss (nan|inf), .*: lower lr=0\.003 or alpha=1e\+300",
    ):
        trainer.train_epoch()


def test_weights_that_are_not_finite_name_layer_epoch_and_batch(split: Split) -> None:
    trainer = Trainer(BASE, split)
    trainer.train_epoch()
    with torch.no_grad():
        trainer.layers[1].weight[20, 3] = float("nan")
    with pytest.raises(DivergedError, match=r"layer 1 .* in epoch 2, batch 0"):
        trainer.train_epoch()


def test_a_huge_learning_rate_diverges(split: Split) -> None:
    with pytest.raises(DivergedError, match=r"layer 0 .* in epoch 1, batch \d+ .*: lower lr=1e\+38"):
        Trainer(BASE.replaced({"learning.lr": 1e38}), split).train_epoch()


def test_a_network_that_is_dead_is_found_after_a_tenth_of_its_first_epoch():
    split = load(DataConfig(dataset="digits"), 0)
    silent = RunConfig.parse({
        "data": {"dataset": "digits"}, "network": {"widths": [16, 16], "v_threshold": 1000.0},
        "learning": {"batch_size": 8, "epochs": 2},
    })  # fmt: skip
    trainer = Trainer(silent, split, veto=True)
    with pytest.raises(DeadLayerError, match="layer 0 has not fired once in the first 20 of 162 batches: lower v_thr"):
        trainer.train_epoch()
    plain = Trainer(silent, split)
    assert plain.train_epoch().firing_rate == (0.0, 0.0)
    assert plain.dead
    assert plain.train_epoch().firing_rate == (0.0, 0.0)  # and goes on, where it is not to be vetoed
    alive = Trainer(silent.replaced({"network.v_threshold": 0.5}), split, veto=True)
    alive.train_epoch()
    assert alive.dead is None


def test_a_layer_that_always_fires_is_dead_too():
    rates = torch.tensor([[0.2, 1.0], [0.3, 1.0]])
    assert "every neuron of layer 1 has fired at every step in the first 2 of 9 batches" in dead_layer(rates, 9)
    assert dead_layer(rates - 0.1, 9) is None


class Watched(Trainer):
    """Keeps the size of each epoch's first batch."""

    def train_batch(self, index: torch.Tensor, batch: int) -> torch.Tensor:
        self.sizes = getattr(self, "sizes", []) + [len(index)] * (batch == 0)
        return super().train_batch(index, batch)


def test_batches_grow_at_each_third_of_a_layers_epochs(split: Split) -> None:
    """Smith et al. 2018, with a factor of 1.5: 32 images, then 48, then 72."""
    grown = BASE.replaced({"learning.batch_growth": 1.5, "learning.epochs": 6, "network.widths": [10, 10]})
    for layers, expected in (("together", [32, 32, 48, 48, 72, 72]), ("greedy", [32, 48, 72, 32, 48, 72])):
        trainer = Watched(grown.replaced({"learning.layers": layers}), split)
        assert len(list(trainer)) == 6
        assert trainer.sizes == expected
    with pytest.raises(ConfigError, match=r"at most 1293 .* batch_growth=8.0 with batch_size=32, which come to 2048:"):
        BASE.replaced({"learning.batch_growth": 8})
    assert "batches grow" in str(grown.replaced({"learning.schedule": "constant"}).learning.set_by_length)
