"""`ffsnn compare`, and networks by the names that a person has for them."""

import shutil
from pathlib import Path

import numpy as np
import plotly.graph_objects
import pytest
import torch

import ffsnn
import search
from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.training.run import Run
from ffsnn.validation import ConfigError
from search.cli import networks
from search.cli.train_options import parse_train_options
from search.config import SearchConfig
from search.report.compared_runs import compared, differing, document, results
from search.report.document import markdown
from search.report.page import page
from search.report.report import describe
from search.retrain import verdict
from search.retrain.named import folder, network
from search.store.folder import SearchFolder
from tests.search.conftest import refused
from tests.search.test_best import CONFIG, finished

RUN = RunConfig.parse({
    "data": {"dataset": "digits"}, "network": {"widths": [16], "T": 2}, "learning": {"batch_size": 128, "epochs": 2},
})  # fmt: skip


def run_in(path: Path, config: RunConfig) -> Path:
    list(Run(config, data.load(config.data, config.seed), path))
    return path


def test_from_python_a_search_predicts_and_draws(home, tmp_path):
    """The figures are the report's."""
    found, x = search.load("done", home), data.load(RUN.data, 0).validation.x[:4].view(-1, 8, 8).numpy()
    answers = found.predict(x, quiet=True)
    assert list(answers.columns) == ["name", "label", "margin"]
    np.save(tmp_path / "images.npy", x)
    again = found.predict([tmp_path / "images.npy", x[0]], quiet=True)
    assert list(again["label"]) == [*answers["label"], answers["label"][0]]
    assert again["name"][4] == "array 1"
    network = ffsnn.load(found.folder.ranked()[0][1].path)
    assert [int(label) for label in answers["label"]] == network.predict(torch.from_numpy(x.reshape(4, -1))).tolist()
    drawn = {name: getattr(found.plot, name)() for name in ("history", "curves", "parallel")}
    assert all(isinstance(figure, plotly.graph_objects.Figure) for figure in drawn.values())
    (told,) = (section for section in describe(found.results()).sections if section.title == "Learning curves")
    assert drawn["curves"].to_json() == told.blocks[0].figures[0].to_json()
    with pytest.raises(ConfigError, match="Importances need 10 trials"):
        found.plot.importance()
    with pytest.raises(ConfigError, match="array 0 must hold gray images of 8x8 pixels"):
        found.predict(x[:, :4])


@pytest.fixture(scope="module")
def home(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished search, and two runs."""
    home = tmp_path_factory.mktemp("networks")
    shutil.copytree(made / "mlruns", home / "mlruns")
    run_in(home / "mlruns" / "runs" / "first", RUN)
    run_in(home / "mlruns" / "runs" / "second", RUN.replaced({"network.widths": [16, 8], "network.tau": 3.0}))
    return home


def named(home: Path, name: str) -> Path:
    return folder(lambda: home / "mlruns", name)


def test_a_comparison_says_what_differs_and_what_came_of_it(home):
    runs = compared([named(home, "first"), named(home, "second")])
    table = differing(runs)
    assert table.head == ("field", "first", "second")
    assert set(table.rows) == {("widths", "[16]", "[16, 8]"), ("tau", "2.0", "3.0")}
    rows = {row[0]: row[1:] for row in results(runs).rows}
    accuracies = [max(epoch.val_accuracy for epoch in run.history) for run in runs]
    assert rows["best validation accuracy"] == tuple(f"{accuracy:.2%}" for accuracy in accuracies)
    assert rows["epochs"] == ("2 of 2", "2 of 2")
    told = document(runs)
    (figure,) = told.sections[2].blocks[0].figures
    assert [trace.name for trace in figure.data] == ["first", "second"]
    assert [len(trace.y) for trace in figure.data] == [2, 2]
    assert "| widths | \\[16\\] | \\[16, 8\\] |" in markdown(told)
    assert "All other fields are the same." in page(told)


def test_trials_and_searches_are_compared_too(home):
    done = SearchFolder.open(home / "mlruns", "done")
    runs = compared([done.trial(0).path, done.trial(3).path, named(home, "first")])
    assert [run.name for run in runs] == ["done/0000", "done/0003", "first"]
    assert named(home, "done") == done.ranked()[0][1].path


def test_what_cannot_be_compared_is_refused(home, tmp_path):
    first = named(home, "first")
    with pytest.raises(ConfigError, match="two runs at least are compared, but got 1"):
        compared([first])
    with pytest.raises(ConfigError, match=r"first is named twice: leave it out once"):
        compared([first, first / "best.safetensors"])
    (tmp_path / "config.json").write_text(RUN.model_dump_json())
    with pytest.raises(ConfigError, match="has no epoch to compare yet"):
        compared([first, tmp_path])
    assert "did you mean first?" in refused("compare", "firs", "second", home=home)


def test_a_page_replaces_none_but_the_one_that_is_named(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FFSNN_HOME", str(home))
    (tmp_path / "compare.html").write_text("another's")
    networks.compare(["first", "second"])
    assert (tmp_path / "compare.html").read_text() == "another's"
    assert "What differs" in (tmp_path / "compare-2.html").read_text()
    networks.compare(["first", "second"], write=Path("compare.html"))
    assert "What differs" in (tmp_path / "compare.html").read_text()
    assert "ends in .html or .md, but got x.csv" in refused("compare", "first", "second", "--write", "x.csv", home=home)
    assert "ends in .html or .md, but got x.csv" in refused("simulate", "digits", "--write", "x.csv", home=home)
    assert "cannot write" in refused("simulate", "digits", "--keep", "nowhere/x.npz", home=home)


def test_options_of_train_are_read_as_they_are_typed():
    asked = parse_train_options(["--data-dir", "/mnt/disk #2/data", "--tau=2", "-amp"])
    assert asked.changes == {"data_dir": "/mnt/disk #2/data", "network.tau": 2, "learning.precision": "bfloat16"}
    assert parse_train_options(["--data-dir", "null"]).changes == {"data_dir": None}
    with pytest.raises(ConfigError, match="--amp takes no value, but got --amp=false"):
        parse_train_options(["--amp=false"])


def test_a_search_whose_server_is_down_says_so_unless_the_local_store_is_meant(home, tmp_path):
    """Else a champion that is there would be passed over."""
    config = SearchConfig(**{**CONFIG.model_dump(), "name": "far", "tracking_uri": "http://127.0.0.1:9"})
    finished(tmp_path / "mlruns", config)
    folder = SearchFolder.open(tmp_path / "mlruns", "far")
    test = verdict.tested([0.9], 144, 0)
    ranking = (verdict.RankedConfig(trial=0, config_id="x", values=(0.9,), mean=0.9, low=None, high=None),)
    told = verdict.RetrainResult(search="far", epochs=2, seeds=(1,), ranking=ranking, lead=None, best_seed=1, test=test)
    (folder.path / "retrain" / "top1").mkdir(parents=True)
    (folder.path / "retrain" / "top1" / "retrain.json").write_text(told.model_dump_json())
    with (
        pytest.raises(ConfigError, match=r"http://127\.0\.0\.1:9 does not answer"),
        network(lambda: tmp_path / "mlruns", "far"),
    ):
        pass
    with network(lambda: tmp_path / "mlruns", "far", "local") as path:
        assert path == folder.ranked()[0][1].path


def test_a_search_that_was_not_retrained_means_its_best_trial(home):
    said: list[str] = []
    best = SearchFolder.open(home / "mlruns", "done").ranked()[0][1]
    with network(lambda: home / "mlruns", "done", say=said.append) as path:
        assert path == best.path
    assert said == [f"done: its best trial, {best.number} (validation accuracy {best.history()[-1].val_accuracy:.2%})"]


def test_a_path_comes_before_a_name_and_an_unknown_one_names_the_nearest(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with network(lambda: home / "mlruns", "first") as path:
        assert path == home / "mlruns" / "runs" / "first"
    here = run_in(tmp_path / "first", RUN)
    with network(lambda: pytest.fail("no home is needed"), "first") as path:  # type: ignore[arg-type, return-value]
        assert path.resolve() == here
    assert "there is no run, search or file 'don': did you mean done" in refused("predict", "don", "x.png", home=home)
    assert "there is no run, search or file 'zzz': name a run's" in refused("show", "zzz", home=home)
