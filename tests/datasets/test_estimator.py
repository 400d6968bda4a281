"""scikit-learn's interface: its own checks, a pipeline, cross-validation, images and labels of all kinds."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import ffsnn
from ffsnn import FFSNNClassifier
from ffsnn.datasets.add import keep_arrays
from ffsnn.parts import own
from ffsnn.validation import ConfigError

SMALL = {
    "network": {"widths": [40], "T": 4}, "learning": {"epochs": 20, "batch_size": 32, "lr": 0.01},
}  # fmt: skip


@parametrize_with_checks([FFSNNClassifier(SMALL, device="cpu")])
def test_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_in_a_pipeline_and_cross_validated() -> None:
    x, y = load_iris(return_X_y=True)
    config = {"network": {"widths": [100], "T": 8}, "learning": {"epochs": 60, "batch_size": 16, "lr": 0.003}}
    model = make_pipeline(StandardScaler(), FFSNNClassifier(config, device="cpu"))
    assert cross_val_score(model, x, y, cv=3).mean() > 0.85


def test_images_with_names_for_labels() -> None:
    digits = load_digits()
    x, y = digits.images[:900], np.array([f"digit {label}" for label in digits.target[:900]])
    model = ffsnn.fit(SMALL, x, y, device="cpu")
    assert model.config_.network.label == "in_place"
    assert model.score(digits.images[900:1200], [f"digit {it}" for it in digits.target[900:1200]]) > 0.8
    shares = model.predict_proba(x[:5])
    np.testing.assert_allclose(shares.sum(1), 1)
    assert (model.classes_[shares.argmax(1)] == model.predict(x[:5])).all()
    again = copy.deepcopy(model)
    assert (again.predict(x[:50]) == model.predict(x[:50])).all()


def test_the_same_seed_gives_the_same_network() -> None:
    x, y = load_iris(return_X_y=True)
    first, second = (ffsnn.fit(SMALL, x, y, seed=3, device="cpu") for _ in range(2))
    assert (first.predict_proba(x) == second.predict_proba(x)).all()


def test_a_configuration_that_breaks_a_rule() -> None:
    x, y = load_iris(return_X_y=True)
    with pytest.raises(ConfigError, match=r"network.tau: input should be greater than 1, but got 0.5"):
        ffsnn.fit({"network": {"tau": 0.5}}, x, y)
    with pytest.raises(ConfigError, match="label='in_place' takes 3 inputs, one a class, of arrays, which is no image"):
        ffsnn.fit({"network": {"label": "in_place"}}, x, y)


def test_every_field_of_learning_is_taken() -> None:
    x, y = load_digits(return_X_y=True)
    learning = SMALL["learning"] | {
        "epochs": 10, "negatives_per_image": 3, "loss": "softmax", "alpha": 20, "dropout": 0.1, "average": 1,
        "rotation": 5,
    }  # fmt: skip
    config = {"network": {"widths": [60, 40], "T": 4}, "learning": learning}
    model = FFSNNClassifier(config, device="cpu").fit(x[:900].reshape(-1, 8, 8), y[:900])
    assert model.score(x[900:1200].reshape(-1, 8, 8), y[900:1200]) > 0.7


def test_tensors_are_taken_gradients_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFSNN_DATA", str(tmp_path))
    x, y = torch.eye(12).repeat(2, 1).requires_grad_(), torch.arange(24) % 2
    model = ffsnn.fit({"network": {"widths": [8]}, "learning": {"epochs": 1}}, x, y)
    assert model.predict(x).shape == (24,)
    assert keep_arrays((x, y)) == keep_arrays((x.detach().numpy(), y.numpy()))


@pytest.mark.parametrize("share", [0, 1.5])
def test_a_share_of_validation_that_is_none(share: float) -> None:
    with pytest.raises(ValueError, match="validation must be a share between 0 and 1, but got"):
        FFSNNClassifier(validation=share).fit(np.eye(4), [0, 1, 0, 1])


def test_a_field_that_does_not_exist_is_refused_and_what_fit_decides_is_not() -> None:
    x, y = load_iris(return_X_y=True)
    with pytest.raises(ConfigError, match="netwrok"):
        ffsnn.fit(SMALL | {"netwrok": {"T": 4}}, x, y)
    short = SMALL | {"learning": SMALL["learning"] | {"epochs": 1, "chosen_epoch": 1}}  # as presets of a final fit have
    assert ffsnn.fit(short | {"seed": 7, "device": "cuda"}, x, y, device="cpu").config_.seed == 0


def test_a_file_names_parts_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from ffsnn import goodness\n\n\n@goodness.register('strongest')\n"
        "def strongest(rate_BF):\n    return rate_BF.amax(1)\n"
    )
    (tmp_path / "mine.yaml").write_text(
        "use: [mine.py]\nnetwork: {goodness: strongest, widths: [20]}\nlearning: {epochs: 1}\n"
    )
    x, y = load_iris(return_X_y=True)
    try:
        assert ffsnn.fit(tmp_path / "mine.yaml", x, y, device="cpu").config_.network.goodness == "strongest"
    finally:
        for file in own.used():
            own.forget(file)
