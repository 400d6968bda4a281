"""The examples: each is a part of one's own that trains, and learns."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ffsnn
import search
from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.fields import named_parts
from ffsnn.inspection import energy
from ffsnn.network import Network
from ffsnn.parts import own
from ffsnn.parts.registry import ENCODERS, LOSSES
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.training.own_cost import measured
from ffsnn.training.trainer import Trainer
from ffsnn.validation import ConfigError
from search.store.results import Results
from spaces.space import Space

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = {
    "data": {"dataset": "digits"},
    "network": {"widths": [64, 64]},
    "learning": {"batch_size": 128, "lr": 0.01, "alpha": 20, "epochs": 10},
}
CONV = {"network.layer": "conv", "network.options": {"kernel": 3, "channels": [16]}, "network.widths": [64]}
MNIST = Path.home() / ".cache" / "ffsnn" / "mnist"
LEARNED = 0.8  # of the validation images; chance is a tenth


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for file in own.used():
        own.forget(file)


def trained(example: str, **changes: object) -> EpochMetrics:
    """The last epoch of a training on digits with the part of an example."""
    file = ffsnn.use(EXAMPLES / example)
    config = RunConfig.parse(DIGITS).replaced({key.replace("__", "."): value for key, value in changes.items()})
    if file.parts:
        assert own.files_of(named_parts(config)) == [file]
    return list(Trainer(config, load(config.data, config.seed)))[-1]


def test_the_best_neuron_is_a_goodness() -> None:
    assert trained("max_goodness.py", network__goodness="max", learning__alpha=5).val_accuracy > 0.5
    config = RunConfig.parse(DIGITS).replaced({"network.goodness": "max"})
    (line,) = measured(config, load(config.data, config.seed))
    assert line.startswith("goodness=max: a step takes ")
    assert "times as long as with mean_square (measured: " in line
    assert measured(config.replaced({"network.goodness": "mean"}), load(config.data, config.seed)) == []


def test_a_price_for_goodness_makes_spikes_rare_and_keeps_the_accuracy() -> None:
    asked = {"network__goodness": "mean", "learning__alpha": 60}
    sparse = trained("sparse_loss.py", learning__loss="sparse", **asked)
    config = RunConfig.parse(DIGITS).replaced(
        {"network.goodness": "mean", "learning.alpha": 60, "learning.loss": "symba"}
    )
    plain = list(Trainer(config, load(config.data, config.seed)))[-1]
    assert sparse.val_accuracy > LEARNED
    assert statistics.mean(sparse.firing_rate) < statistics.mean(plain.firing_rate) / 2
    better = torch.tensor([0.5, 0.5])
    assert LOSSES["sparse"].of(better, better, 10.0, 0.0) > LOSSES["symba"].of(better, better, 10.0, 0.0)


def test_ranks_do_not_change_with_the_light_and_are_learned() -> None:
    assert trained("rank_order.py", network__encoder="rank_order", network__T=8).val_accuracy > LEARNED
    x = torch.tensor([[0.0, 0.2, 0.9, 0.4, 0.0, 0.6]])
    spikes = ENCODERS["rank_order"].encode(x, 2, torch.Generator())
    assert spikes.tolist() == [[[0, 0, 1, 0, 0, 1]], [[0, 1, 0, 1, 0, 0]]]
    assert torch.equal(ENCODERS["rank_order"].encode(x / 3, 2, torch.Generator()), spikes)


def test_a_classifier_a_layer_learns_without_a_label_in_the_image() -> None:
    assert trained("class_head.py", network__layer="class_head").val_accuracy > LEARNED
    config = RunConfig.parse(DIGITS).replaced({"network.layer": "class_head"})
    network = Network(config)
    first, last = network.shapes
    assert [sum(p.numel() for p in it.parameters()) for it in network.each_layer] == [first.weights, last.weights]
    images = load(config.data, config.seed).validation.x[:5]
    labels = torch.arange(10).repeat_interleave(5).view(10, 5)
    with torch.no_grad():
        for answer in network.answers(images, labels, lambda layer: torch.Generator()):
            rates = answer.spikes.sum(0).view(10, 5, -1) if len(answer.spikes) else answer.rates.view(-1, 5, 64)
            assert (rates == rates[:1]).all()  # no layer sees a label
            torch.testing.assert_close(answer.goodness.view(10, 5).exp().sum(0), torch.ones(5))


def test_convolutions_before_dense_layers_learn() -> None:
    ffsnn.use(EXAMPLES / "conv_layer.py")
    config = RunConfig.parse(DIGITS).replaced(CONV)
    split = load(config.data, config.seed)
    trainer = Trainer(config, split)
    accuracies = [epoch.val_accuracy for epoch in trainer]
    assert accuracies[-1] > LEARNED
    first, last = trainer.network.shapes
    assert (first.inputs, first.width, first.labels, first.constant) == (64, 16 * 4 * 4, 10, True)
    assert (last.inputs, last.width, last.labels, last.constant) == (256, 64, 0, False)
    assert [sum(p.numel() for p in it.parameters()) for it in trainer.layers] == [first.weights, last.weights]
    assert energy.measure(trainer.network, split.validation).spikes[0] > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"network.options": {"channels": [4, 8], "kernel": 3}, "network.encoder": "poisson"},
        {"network.between": "rate", "network.activity": "count"},
        {"learning.output": "mse", "network.widths": [16, 10], "network.prediction": "one_pass"},
        {"learning.layers": "greedy", "learning.optimiser": "sgd", "learning.epochs": 2},
    ],
)
def test_convolutions_go_with_other_choices(changes: dict[str, object]) -> None:
    ffsnn.use(EXAMPLES / "conv_layer.py")
    config = RunConfig.parse(DIGITS).replaced(CONV | {"learning.epochs": 1, "data.train_images": 256} | changes)
    before = Network(config).state_dict()
    trainer = Trainer(config, load(config.data, config.seed))
    for epoch in trainer:
        assert all(torch.tensor(epoch.loss).isfinite())
    assert all(not torch.equal(weight, before[name]) for name, weight in trainer.network.state_dict().items())


def test_options_of_a_kind_of_layers_are_checked_and_searched() -> None:
    dense = RunConfig.parse(DIGITS)
    ffsnn.use(EXAMPLES / "conv_layer.py")
    conv = dense.replaced({"network.layer": "conv"})
    assert conv.network.options == {"channels": [16], "kernel": 5, "stride": 2}
    assert conv.id == dense.replaced({"network.layer": "conv", "network.options": {"kernel": 5}}).id
    assert conv.id != conv.replaced({"network.options.kernel": 3}).id
    with pytest.raises(ConfigError, match=r"layer='conv' does not support learn, but got learn='tau': leave it out"):
        conv.replaced({"network.learn": "tau"})
    for changes, said in {
        ("dense", "kernel", 3): "layer='dense' has no options, but got {'kernel': 3}",
        ("conv", "kernel", 4): "kernel: must be odd, to have a middle, but got 4",
        ("conv", "kernels", 3): "kernels: there is no such field",
    }.items():
        layer, option, value = changes
        with pytest.raises(ConfigError, match=said):
            dense.replaced({"network.layer": layer, f"network.options.{option}": value})
    space = {
        "base": conv.model_dump(mode="json"),
        "parameters": {
            "options.kernel": {"choice": [3, 5]},
            "network.options.channels": {"choice": [[8], [8, 8]]},
            "options.stride": {"int": [1, 2]},
        },
    }
    found = Space.parse(space)
    for sample in found.draws(4):
        assert found.read(found.apply(sample)) == sample
    with pytest.raises(ConfigError, match=r"which breaks a rule: .*kernel: must be odd"):
        Space.parse(space | {"parameters": {"options.kernel": {"int": [3, 5]}}})


def test_a_search_takes_its_own_goodness_along(tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    done = search.run(EXAMPLES / "own_goodness.yaml", home=tmp_path, quiet=True, trials=4, epochs=6, device="cpu")
    results = Results(done.folder)
    assert {trial.sample["network.goodness"] for trial in results.trials} == {"mean_square", "max"}
    assert results.ranked()[0].values[-1] > 0.5
    assert (done.folder.path / "parts" / "max_goodness.py").is_file()


@pytest.mark.slow
def test_convolutions_learn_mnist() -> None:
    if not list(MNIST.rglob("train-images*")):
        pytest.skip("MNIST is not at hand")
    ffsnn.use(EXAMPLES / "conv_layer.py")
    config = RunConfig.parse(
        {
            "data": {"dataset": "mnist", "train_images": 5000},
            "network": {"layer": "conv", "options": {"channels": [16], "kernel": 5}, "widths": [200]},
            "learning": {"batch_size": 256, "lr": 0.003, "epochs": 3},
        }
    )
    assert list(Trainer(config, load(config.data, config.seed)))[-1].val_accuracy > 0.7
