"""The final fit: all training images, up to an epoch that was chosen before."""

import json

import pytest

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.inference import exits
from ffsnn.inspection.show import trained
from ffsnn.training import final_fit, run_folder
from ffsnn.training.epoch_metrics import EpochMetrics, best_of
from ffsnn.training.run import Run
from ffsnn.training.run_folder import RunFolder
from ffsnn.validation import ConfigError
from spaces.space import Space

RUN = RunConfig.parse({
    "data": {"dataset": "digits", "train_images": 640}, "network": {"widths": [20], "T": 2},
    "learning": {"batch_size": 128, "epochs": 4, "lr": 0.01, "alpha": 20},
})  # fmt: skip


def epochs(*accuracies: float) -> list[EpochMetrics]:
    return [
        EpochMetrics(n, (0.0,), (0.0,), (0.0,), (0.0,), accuracy, 1.0, 1.0) for n, accuracy in enumerate(accuracies, 1)
    ]


def test_the_epoch_is_the_median_of_the_best_ones_and_all_images_are_trained_on(tmp_path):
    chosen = final_fit.of(RUN, [epochs(0.1, 0.9, 0.8, 0.7), epochs(0.1, 0.2, 0.3, 0.2), epochs(0.9, 0.1, 0.1, 0.1)])
    assert (chosen.learning.chosen_epoch, chosen.learning.epochs, chosen.data.trained_on) == (2, 4, 1437)
    assert chosen.final_fit == "trained on all 1,437 images up to epoch 2 of 4; no validation accuracy"
    split = load(chosen.data, 0)
    assert (len(split.train), len(split.validation)) == (1437, 0)
    assert [epoch.epoch for epoch in Run(chosen, split, tmp_path, checkpoint_interval_s=0)] == [1, 2]
    history = RunFolder(tmp_path).history()
    assert not any(epoch.is_validated for epoch in history)
    assert json.loads((tmp_path / "history.jsonl").read_text().splitlines()[0])["val_accuracy"] is None
    assert best_of(history).epoch == RunFolder(tmp_path).best_epoch() == 2
    assert list(Run(chosen, split, tmp_path)) == []
    network, images = trained(tmp_path)
    assert len(images) == 144
    assert exits.refusal(network) is not None
    assert run_folder.load(tmp_path).config.is_final


def test_it_follows_a_choice():
    with pytest.raises(ConfigError, match=r"validation=0 is a final fit, .* chosen_epoch=None: take it from a run"):
        RUN.replaced({"data.validation": 0})
    with pytest.raises(ConfigError, match=r"chosen_epoch=3 is of a final fit, .* got validation=0.1: take"):
        RUN.replaced({"learning.chosen_epoch": 3})
    with pytest.raises(ConfigError, match=r"chosen_epoch <= epochs must hold, but got chosen_epoch=5 with epochs=4"):
        RUN.replaced({"data.validation": 0, "learning.chosen_epoch": 5})
    with pytest.raises(ConfigError, match=r"that a whole training chose, but got 3 of 4 epochs"):
        final_fit.of(RUN, [epochs(0.1, 0.2, 0.3)])
    fit = final_fit.of(RUN, [epochs(0.1, 0.2, 0.3, 0.2)])
    with pytest.raises(ConfigError, match=r"this is a final fit already"):
        final_fit.of(fit, [epochs(0.1, 0.2, 0.3)])
    with pytest.raises(ConfigError, match=r"a search chooses by validation images, but got data.validation=0"):
        Space.parse({"base": fit.model_dump(mode="json"), "parameters": {"tau": {"float": [1.5, 3]}}})
    with pytest.raises(ConfigError, match=r"learning\.chosen_epoch cannot be searched, for a final fit"):
        Space.parse({"parameters": {"chosen_epoch": {"int": [1, 3]}}})
