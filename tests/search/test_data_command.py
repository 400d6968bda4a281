"""`ffsnn data show` as a person reads it, and a picture that cannot be written."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ffsnn.datasets.add import add
from ffsnn.validation import ConfigError
from search.cli.data import app
from tests.datasets.made import nmnist


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
