"""A search with parts of one's own: it takes them along, and runs no copy that nobody has named."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ffsnn as network
import search
from ffsnn.parts import own
from ffsnn.validation import ConfigError
from search.store.folder import SearchFolder
from search.tracking import landing
from search.tracking.store import open_store
from tests.search.conftest import ffsnn, refused, within

MAX = """
from ffsnn import goodness
from search import objectives

@goodness.register("max")
def largest(rate_BF):
    return rate_BF.amax(1)

@objectives.register("halved", title="half the accuracy", direction="maximize", worst=0.0)
def halved(epoch, config):
    return epoch.val_accuracy / 2
"""
SPACE = """
use: [mine.py]
base:
  data: {dataset: digits}
  network: {widths: [32, 32], goodness: max}
  learning: {batch_size: 128, lr: 0.01, alpha: 5}
parameters:
  T: {choice: [4, 6]}
  lr: {float: [0.003, 0.03], log: true}
budget: {trials: 3, epochs: 2}
"""
NEEDED = "was begun with parts of its own (mine.py): name them with --use FILE, or trust the copy in its folder with"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    for file in own.used():
        own.forget(file)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a search that was run with a goodness and an objective of one's own."""
    home = tmp_path_factory.mktemp("own")
    (home / "mlruns").mkdir()
    (home / "mine.py").write_text(MAX)
    (home / "mine.yaml").write_text(SPACE)
    done = ffsnn("search", str(home / "mine.yaml"), "--name", "own", "--objective", "halved", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_the_copies_and_their_sums_stand_in_the_folder(home: Path) -> None:
    folder = SearchFolder(home / "mlruns" / "searches" / "own")
    assert folder.own_parts == own.kept(folder.path) != {}
    assert (folder.path / "parts" / "mine.py").read_text() == MAX
    assert [trial.end().state for trial in folder.trials() if trial.failures()] == []  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "command", [["best", "own"], ["report", "own"], ["sync", "own"], ["search", "--resume", "own"], ["retrain", "own"]]
)
def test_no_command_runs_the_copy_unless_it_is_named(command: list[str], home: Path) -> None:
    assert NEEDED in refused(*command, home=home)
    assert own.used() == []


def test_it_is_looked_after_without_its_parts_and_with_them(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    (listed,) = json.loads(within("list", "--json", home=tmp_path / "home").stdout)
    assert (listed["state"], listed["done"], listed["trials"], listed["best"]) == ("needs its parts", 3, 3, None)
    assert NEEDED in refused("status", "own", home=tmp_path / "home")
    assert "3/3 trials" in ffsnn("status", "own", "--trust", home=tmp_path / "home").stdout
    client, experiment = open_store(tmp_path / "home" / "mlruns")
    landing.describe(client, experiment)  # in a process that does not know the objective
    assert "| own | - |" in client.get_experiment(experiment).tags["mlflow.note.content"]
    assert ffsnn("rename", "own", "other", "--trust", home=tmp_path / "home").returncode == 0
    assert ffsnn("delete", "other", "--yes", "--trust", home=tmp_path / "home").returncode == 0


def test_it_is_read_with_the_file_or_with_trust(home: Path) -> None:
    assert "best.yaml" in ffsnn("best", "own", "--use", str(home / "mine.py"), home=home).stderr
    assert "report.html" in ffsnn("report", "own", "--trust", home=home).stdout
    network.use(home / "mine.py")
    assert search.load("own", home).best().data.dataset == "digits"


def test_another_file_of_that_name_is_refused_with_the_difference(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MAX.replace("amax(1)", "amax(1) / 2"))
    done = ffsnn("search", "--resume", "own", "--use", str(tmp_path / "mine.py"), home=home)
    first, *difference = done.stderr.splitlines()
    assert done.returncode == 2
    assert "search 'own' was begun with another mine.py than" in first
    assert difference[-2:] == ["-    return rate_BF.amax(1)", "+    return rate_BF.amax(1) / 2"]


def test_it_goes_on_with_the_file_and_a_damaged_copy_is_mended(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "copy")
    copy = tmp_path / "copy" / "mlruns" / "searches" / "own" / "parts" / "mine.py"
    copy.write_text(MAX + "raise SystemExit\n")
    assert "mine.py was changed: its sha256 is" in refused("best", "own", "--trust", home=tmp_path / "copy")
    done = ffsnn("search", str(home / "mine.yaml"), "--name", "own", "--objective", "halved", "--trials", "5",
                 home=tmp_path / "copy")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert copy.read_text() == MAX
    assert "5 of 5 trials" in done.stdout


def test_a_part_of_this_program_alone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ffsnn.parts.registry import GOODNESS

    monkeypatch.setattr(GOODNESS, "_parts", dict(GOODNESS))
    network.goodness.register("lone")(lambda rate_BF: rate_BF.amax(1))
    space = {"base": {"data": {"dataset": "digits"}, "network": {"goodness": "lone"}, "learning": {"batch_size": 128}},
             "parameters": {"lr": {"float": [0.01, 0.1]}}}  # fmt: skip
    (tmp_path / "mlruns").mkdir()
    with pytest.raises(ConfigError, match="the goodness 'lone' is registered by this program alone"):
        search.run(space, home=tmp_path, quiet=True)


@pytest.mark.slow
def test_a_champion_carries_the_copy_and_runs_it_only_where_it_is_trusted(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "copy")
    home = tmp_path / "copy"
    mine = str(home / "mine.py")
    done = ffsnn("retrain", "own", "--top", "1", "--seeds", "2", "--use", mine, home=home)
    assert "champion: models:/own/1" in done.stdout, done.stdout + done.stderr
    assert "image.png --trust" in done.stdout
    np.save(home / "image.npy", np.zeros((8, 8), np.uint8))
    asked = ("predict", "models:/own@champion", str(home / "image.npy"))
    assert "was begun with parts of its own (mine.py)" in refused(*asked, home=home)
    done = ffsnn(*asked, "--trust", home=home)
    assert done.returncode == 0, done.stderr
    assert "image.npy\t" in done.stdout


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("direction='maximize', worst=0.0)(lambda epoch, config: None)", "must give a finite number .*, but gave None"),
        ("direction='up', worst=0.0)(lambda epoch, config: 1.0)", "must have direction='maximize' or 'minimize'"),
    ],
)
def test_an_objective_is_tried_out_too(made: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "objective.py"
    file.write_text(f"from search import objectives\nobjectives.register('mine', title='mine', {made}\n")
    with pytest.raises(ConfigError, match=f"the objective 'mine' {said}"):
        network.use(file)
