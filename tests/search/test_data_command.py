"""`ffsnn data show` as a person reads it, and a picture that cannot be written."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ffsnn.datasets.add import add
from ffsnn.training.run_folder import RunFolder
from ffsnn.validation import ConfigError
from search.cli.data import app
from tests.datasets.made import nmnist
from tests.search.conftest import refused, within


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFSNN_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def test_show_counts_test_recordings_too_and_says_how_long_events_take(tmp_path: Path) -> None:
    nmnist(tmp_path / "camera", "train")
    add("camera", str(tmp_path / "camera"), test_share=0.3)
    said = CliRunner().invoke(app, ["show", "camera"]).output
    assert "camera: 4 event recordings for training, 2 for test, 34x34, 2 channels, 2 classes" in said
    assert "the longest recording takes 4 ms, which is the default window" in said
    assert "  0        2 for training        1 for test" in said
    assert (tmp_path / "camera.png").is_file()


def test_a_picture_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(24).reshape(12, 2), y=np.arange(12) % 2)
    add("table", str(tmp_path / "a.npz"))
    failed = CliRunner().invoke(app, ["show", "table", "--out", str(tmp_path / "nowhere" / "x.png")])
    assert isinstance(failed.exception, ConfigError)
    assert "x.png: No such file or directory; choose another with --out" in str(failed.exception)


def test_a_data_folder_that_is_set_holds_for_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FFSNN_DATA")
    (tmp_path / "ffsnn.toml").write_text('data_dir = "here"\n')
    x = np.random.default_rng(0).normal(size=(60, 4)) + 3 * (np.arange(60) % 2)[:, None]
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(60) % 2)
    assert "rows: 48 rows for training" in within("data", "add", "rows", "a.npz", home=tmp_path).stdout
    assert (tmp_path / "here" / "own" / "rows.safetensors").is_file()
    options = (
        "--dataset",
        "rows",
        "--widths",
        "[16]",
        "--batch-size",
        "16",
        "--epochs",
        "20",
        "--lr",
        "0.01",
        "--label",
        "appended",
    )
    assert "training on" in within("train", *options, "--out", "run", home=tmp_path).stdout
    np.save(tmp_path / "new.npy", x)
    said = within("predict", "run", "new.npy", home=tmp_path)
    labels = [int(line.split("\t")[1]) for line in said.stdout.splitlines()]
    assert np.mean(np.array(labels) == np.arange(60) % 2) > 0.7, said.stderr


def test_a_file_may_name_a_data_set_of_the_folder_that_an_option_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(120).reshape(60, 2), y=np.arange(60) % 2)
    add("table", str(tmp_path / "a.npz"), data_dir=tmp_path / "big")
    (tmp_path / "mine.yaml").write_text(
        "data: {dataset: table}\nnetwork: {widths: [8], label: appended}\nlearning: {batch_size: 16, epochs: 1}\n"
    )
    assert "data.dataset" in refused("train", "mine.yaml", home=tmp_path)
    done = within("train", "mine.yaml", "--data-dir", "big", "--out", "run", home=tmp_path)
    assert "training on" in done.stdout, done.stderr
    assert RunFolder(tmp_path / "run").config().data_dir == str(tmp_path / "big")
