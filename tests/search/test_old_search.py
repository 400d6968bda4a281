"""A search that an earlier version began (commit 91095b1, killed in its seventh trial of twelve) goes on, bit for bit.

The fixture holds its folder as the kill left it, and what that version itself made of a copy of it.
"""

import json
import tarfile
from pathlib import Path
from typing import Any

import llvmlite.binding
import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from ffsnn.config import identity
from tests.search.conftest import ffsnn, within

FIXTURE = Path(__file__).parent.parent / "fixtures" / "old_search.tar.xz"
TIMES = {"seconds", "images_per_second"}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home with the search, and what is expected of it."""
    home = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # which Python 3.11.2 has not
        archive.extractall(home / "mlruns" / "searches", **safely)
    expected: dict[str, Any] = json.loads((home / "mlruns" / "searches" / "expected.json").read_text())
    (home / "mlruns" / "searches" / "expected.json").unlink()
    return home, expected


def as_old(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the fields that have come since, which must stand at their defaults."""
    found = {branch: dict(it) if isinstance(it, dict) else it for branch, it in config.items()}
    for path in identity.ADDED:
        branch, name = path.split(".")
        default = identity.DEFAULTS.get(path, {})  # the options of a kind of layers are none
        assert found[branch].pop(name, default) == default
    return found


def in_single(epoch: dict[str, Any]) -> dict[str, Any]:
    """An epoch with its accuracy in single precision, as that version kept it."""
    return epoch | {"val_accuracy": float(np.float32(epoch["val_accuracy"]))}


def sealed(folder: Path) -> dict[str, bytes]:
    """The files of the trials that have ended."""
    ended = [end.parent for end in folder.glob("trials/*/end.json")]
    names = ("config.json", "history.jsonl", "end.json", "best.safetensors")
    return {f"{trial.name}/{name}": (trial / name).read_bytes() for trial in ended for name in names}


def test_it_is_read_and_goes_on_bit_for_bit(old: tuple[Path, dict[str, Any]]) -> None:
    home, expected = old
    folder = home / "mlruns" / "searches" / "old"
    before = sealed(folder)
    assert len(before) == 4 * 6
    interrupted = (folder / "trials" / "0006" / "history.jsonl").read_text()
    assert len(interrupted.splitlines()) == 1
    assert "# search old, trial 0: validation accuracy" in within("best", "old", home=home).stdout

    synced = ffsnn("sync", "old", home=home)
    assert synced.returncode == 0, synced.stderr
    assert "7 trials of old are in sqlite" in synced.stdout
    runs = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db").search_runs(["1"], "tags.`ffsnn.kind` = 'trial'")
    assert sorted(run.data.tags["ffsnn.trial"] for run in runs) == list("0123456")

    reported = within("report", "old", home=home)
    assert [Path(line).name for line in reported.stdout.split()] == ["report.html", "report.md", "trials.csv"]

    resumed = ffsnn("search", "--resume", "old", "--concurrency", "1", home=home)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert {name: content for name, content in sealed(folder).items() if name in before} == before
    assert len(list(folder.glob("trials/*"))) == len(expected["trials"]) == 12
    assert (folder / "trials" / "0006" / "history.jsonl").read_text().startswith(interrupted)  # from its checkpoint

    same_cpu = llvmlite.binding.get_host_cpu_name() == expected["cpu"]  # another one rounds in other places
    for name, of_old in expected["trials"].items():
        trial = folder / "trials" / name
        end = json.loads((trial / "end.json").read_text())
        if not same_cpu and int(name) > 6:
            continue  # points are suggested by accuracies, of which one image more or less changes the next
        assert as_old(json.loads((trial / "config.json").read_text())) == of_old["config"]
        history = [{key: value for key, value in epoch.items() if key not in TIMES} for epoch in end["history"]]
        assert [epoch["val_accuracy"] for epoch in history] == pytest.approx(
            [epoch["val_accuracy"] for epoch in of_old["history"]], abs=0.05
        )
        if same_cpu:
            assert (end["state"], end["reason"]) == (of_old["state"], of_old["reason"])
            assert [in_single(epoch) for epoch in history] == [in_single(epoch) for epoch in of_old["history"]]
    if same_cpu:
        best = yaml.safe_load(within("best", "old", home=home).stdout)
        assert as_old(best) == yaml.safe_load(expected["best"])
