"""Searches on data sets of one's own: arrays from Python, a series whose time steps are searched, to the champion."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

import search
from ffsnn.datasets.own import found, remove
from ffsnn.validation import ConfigError
from tests.search.conftest import ffsnn

SPACE = {
    "base": {"network": {"label": "appended", "widths": [40]}, "learning": {"batch_size": 16}},
    "parameters": {"T": {"int": [2, 6]}, "lr": {"float": [0.001, 0.02], "log": True}},
    "budget": {"trials": 3, "epochs": 3},
}


def test_arrays_become_a_data_set_that_the_search_goes_on_with(tmp_path: Path) -> None:
    data = load_iris(return_X_y=True)
    options = {"home": tmp_path, "quiet": True, "data_dir": str(tmp_path / "data"), "device": "cpu"}
    done = search.run(SPACE, data=data, name="iris", **options)
    (name,) = found(tmp_path / "data")
    assert done.config.space.base.data.dataset == name
    assert done.config.base.data.facts.shape == (1, 1, 4)
    assert len(done.table()) == 3
    more = search.run(SPACE, data=data, name="iris", trials=4, **options)  # the same arrays: the same name
    assert len(more.table()) == 4
    with pytest.raises(ConfigError, match=r"goes on only as it was begun, but space.base.data.own.name"):
        search.run(SPACE, data=(data[0] + 1, data[1]), name="iris", **options)
    remove(name, tmp_path / "data")
    assert search.load("iris", tmp_path).best().data.facts.shape == (1, 1, 4)  # what is there can still be read
    with pytest.raises(ConfigError, match=r"the data set arrays_\w+ is not in .*/data: add it there"):
        search.run(SPACE | {"base": done.config.space.base.model_dump(mode="json")}, name="iris", trials=4, **options)


@pytest.mark.slow
def test_from_files_to_the_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user types it, in another process each."""
    monkeypatch.setenv("FFSNN_DATA", str(tmp_path / "data"))
    draw, y = np.random.default_rng(0), np.arange(90) % 3
    x = np.stack([np.sin((label + 1) * np.linspace(0, 6, 12))[:, None] + draw.normal(0, 0.1, 3) for label in y])
    np.savez(tmp_path / "waves.npz", x=x, y=y, time=np.arange(12))
    (tmp_path / "space.yaml").write_text(
        "base: {data: {dataset: waves}, network: {label: appended, widths: [30]}, learning: {batch_size: 16}}\n"
        "parameters: {T: {int: [4, 12]}, lr: {float: [0.001, 0.02], log: true}}\n"
        "budget: {trials: 3, epochs: 8}\n"
    )
    said = typed("data", "add", "waves", str(tmp_path / "waves.npz"), home=tmp_path)
    assert "waves: 72 time series for training, 18 for test, 3 channels, 3 classes" in said
    typed("search", str(tmp_path / "space.yaml"), "--name", "w", "--device", "cpu", home=tmp_path)
    assert "mean" in typed("retrain", "w", "--seeds", "2", "--top", "1", "--device", "cpu", home=tmp_path)
    assert "waves: 72 time series" in typed("data", "list", home=tmp_path)
    typed("data", "show", "waves", "--out", str(tmp_path / "waves.png"), home=tmp_path)
    assert (tmp_path / "waves.png").stat().st_size > 1000


def typed(*arguments: str, home: Path) -> str:
    done = ffsnn(*arguments, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
