"""A retraining as a user runs it: trained once, tested once, its winner used by who has nothing but MLflow."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from PIL import Image

import search
from ffsnn.config.data import DataConfig
from ffsnn.datasets import data
from ffsnn.datasets.add import add_raw
from ffsnn.datasets.sources.raw import Part, Raw
from search.config import SearchConfig
from search.retrain import named
from search.retrain import retrain as retraining
from search.retrain.folder import planned
from search.store.ends import End
from search.store.folder import SearchFolder
from search.tracking.store import open_store
from spaces.space import Space
from tests.search.conftest import FFSNN, ffsnn, refused
from tests.search.test_best import CONFIG, finished

RETRAIN = ["retrain", "done", "--top", "2", "--seeds", "2"]
PREDICT = """
import json, sys, mlflow, numpy, pandas
mlflow.set_tracking_uri(sys.argv[1])
model, x = mlflow.pyfunc.load_model("models:/done@champion"), numpy.load(sys.argv[2])
rows = x.reshape(len(x), -1).astype(float)
said = [model.predict(rows), model.predict(pandas.DataFrame(rows)), model.unwrap_python_model().predict(None, x)]
assert model.metadata.signature.inputs.inputs[0].shape == (-1, 64)
import ffsnn
print(json.dumps([[labels.tolist() for labels in said], ffsnn.__file__]))
"""


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    home = tmp_path_factory.mktemp("home")
    finished(home / "mlruns")
    return home, ffsnn(*RETRAIN, home=home)


@pytest.fixture
def copy(retrained, tmp_path: Path) -> Path:
    shutil.copytree(retrained[0], tmp_path / "copy")
    return tmp_path / "copy"


def folder_of(home: Path) -> Path:
    (folder,) = (home / "mlruns" / "searches" / "done" / "retrain").iterdir()
    return folder


def whole(home: Path) -> None:
    """Four trainings, each with every epoch once, and each in MLflow under the search's run."""
    folder, done = folder_of(home), SearchFolder.open(home / "mlruns", "done")
    plan = planned(done, 2, 2, CONFIG.epochs, "cpu", None)
    assert folder.name == plan.stems()[0]
    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    (parent,) = client.search_runs(["1"], "tags.`ffsnn.kind` = 'search'")
    for number in range(4):
        end = json.loads((folder / "trials" / f"{number:04d}" / "end.json").read_text())
        assert end["state"] == "complete"
        assert [epoch["epoch"] for epoch in end["history"]] == [1, 2]
        (run,) = client.search_runs(["1"], f"tags.`ffsnn.retrain_run` = '{number}'")
        assert (run.data.tags["mlflow.parentRunId"], run.info.status) == (parent.info.run_id, "FINISHED")
        trial, seed = plan.of(number)
        assert (run.data.tags["ffsnn.retrain_trial"], run.data.params["seed"]) == (str(trial), str(seed))
        assert run.data.metrics["val_accuracy"] == end["history"][-1]["val_accuracy"]
    assert seed == 2  # the search itself had seed 0


@pytest.mark.slow
def test_each_is_trained_once_and_only_the_winner_is_tested(retrained):
    home, result = retrained
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert "paired t-test" in result.stdout
    whole(home)
    written = json.loads((folder_of(home) / "retrain.json").read_text())
    first, second = written["ranking"]
    assert first["mean"] >= second["mean"]
    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    tested = client.search_runs(["1"], "metrics.test_accuracy >= 0", order_by=["metrics.val_accuracy"])
    assert {run.data.tags["ffsnn.retrain_trial"] for run in tested} == {str(first["trial"])}
    assert {run.data.metrics["test_accuracy"] for run in tested} == set(written["test"]["accuracies"])
    version = client.get_model_version_by_alias("done", "champion")
    assert version.tags["ffsnn.retrain_seed"] == str(written["best_seed"])
    names = {file.path for file in client.list_artifacts(version.run_id, "network")}
    files = ("config.json", "best.safetensors", "metrics.json", "raster.png", "confusion.png")
    assert {f"network/{file}" for file in files} <= names


@pytest.mark.slow
def test_the_champion_predicts_in_a_fresh_process_without_a_gpu_or_pickle(retrained, tmp_path):
    home, _ = retrained
    images = data.load_test(DataConfig(dataset="digits")).x[:20].view(-1, 8, 8).numpy()
    np.save(tmp_path / "images.npy", images)
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")
    } | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "CUDA_VISIBLE_DEVICES": ""}  # fmt: skip
    store = f"sqlite:///{home}/mlruns/mlflow.db"
    loaded = subprocess.run(
        [sys.executable, "-c", PREDICT, store, str(tmp_path / "images.npy")],
        env=environment, cwd=tmp_path, text=True, capture_output=True, timeout=240,
    )  # fmt: skip
    assert loaded.returncode == 0, loaded.stderr
    labels, package = json.loads(loaded.stdout)
    asked = ffsnn("predict", "models:/done@champion", str(tmp_path / "images.npy"), home=home)
    assert asked.returncode == 0, asked.stderr
    mine = [int(line.split("\t")[1]) for line in asked.stdout.splitlines()]
    assert labels == [mine] * 3
    assert "code/ffsnn" in package  # the model's own copy
    Image.fromarray(images[0]).save(tmp_path / "image.png")
    one = ffsnn("predict", "models:/done@champion", str(tmp_path / "image.png"), "--tracking-uri", store, home=tmp_path)
    assert one.stdout.split("\t")[1] == str(mine[0])
    by_name = ffsnn("predict", "done", str(tmp_path / "images.npy"), home=home)
    assert by_name.stdout == asked.stdout
    assert by_name.stderr == "done: its champion, models:/done@champion\n"
    found = search.load("done", home)
    assert [int(label) for label in found.predict(tmp_path / "images.npy")["label"]] == mine
    again = found.retrain(2, 2, quiet=True)  # what is done stays as it is
    assert (
        list(again.test.accuracies) == json.loads((folder_of(home) / "retrain.json").read_text())["test"]["accuracies"]
    )


@pytest.mark.slow
def test_its_final_fit_is_trained_on_all_images_and_becomes_the_champion(copy):
    said = refused("retrain", "done", "--top", "1", "--final", home=copy)
    assert "a final fit stops after an epoch that a retraining has chosen" in said
    result = ffsnn(*RETRAIN, "--final", "--test", home=copy)
    assert result.returncode == 0, result.stdout + result.stderr
    folder = folder_of(copy)
    config = json.loads((folder / "final" / "config.json").read_text())
    assert config["data"]["validation"] == 0
    client = MlflowClient(f"sqlite:///{copy}/mlruns/mlflow.db")
    version = client.get_model_version_by_alias("done", "champion")
    assert version.tags["ffsnn.final_fit"].startswith("trained on all 1,437 images up to epoch ")
    assert version.tags["ffsnn.final_fit"].endswith("; no validation accuracy")
    assert "val_accuracy" not in client.get_run(version.run_id).data.metrics
    plain = ffsnn(*RETRAIN, home=copy)
    assert "stays the champion: it is the final fit of the same retraining" in plain.stdout


@pytest.mark.slow
def test_what_it_prints_works_where_it_is_pasted(retrained, tmp_path):
    home, result = retrained
    images = data.load_test(DataConfig(dataset="digits")).x[:5]
    Image.fromarray(images[0].view(8, 8).numpy()).save(tmp_path / "image.png")
    _, _, said = result.stdout.partition("use it with:\n")
    shell, *python = [line.strip() for line in said.splitlines()]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}

    def run(command):
        return subprocess.run(command, env=environment | {"FFSNN_HOME": str(home)}, cwd=tmp_path, text=True,
                              capture_output=True, timeout=240)  # fmt: skip

    labelled = run(["sh", "-c", shell])
    assert labelled.returncode == 0, labelled.stderr
    np.save(tmp_path / "images.npy", images.numpy())  # bytes, as files of images have them
    labels = run([sys.executable, "-c", "\n".join(["import numpy; images = numpy.load('images.npy')", *python[:1],
                                                   f"print(*{python[1].partition('  #')[0]})"])])  # fmt: skip
    assert labels.returncode == 0, labels.stderr
    assert labels.stdout.split()[0] == labelled.stdout.split("\t")[1]
    assert {path.name for path in tmp_path.iterdir()} == {"image.png", "images.npy"}  # no store of its own


@pytest.mark.slow
def test_a_champion_is_found_although_its_searchs_folder_was_renamed(copy):
    mlruns, said = copy / "mlruns", list[str]()
    SearchFolder.open(mlruns, "done").path.rename(mlruns / "searches" / "renamed")
    with named.network(lambda: mlruns, "renamed", say=said.append) as path:
        assert (path / "best.safetensors").is_file()
    assert said == ["renamed: its champion, models:/done@champion"]


@pytest.mark.slow
def test_the_same_command_prints_what_is_written_and_opens_no_test_set(copy):
    written = (folder_of(copy) / "retrain.json").read_text()
    changed = json.loads(written)
    changed["test"]["mean"] = 0.125  # what it would not come to by itself
    (folder_of(copy) / "retrain.json").write_text(json.dumps(changed))
    again = ffsnn(*RETRAIN, home=copy)
    assert again.returncode == 0, again.stderr
    assert "mean 12.50%" in again.stdout
    client = MlflowClient(f"sqlite:///{copy}/mlruns/mlflow.db")
    assert len(client.search_model_versions("name = 'done'")) == 1
    assert len(client.search_runs(["1"], "tags.`ffsnn.kind` = 'retrain'")) == 4


@pytest.mark.slow
def test_a_worse_one_does_not_replace_the_champion_unless_forced(copy):
    client = MlflowClient(f"sqlite:///{copy}/mlruns/mlflow.db")
    client.set_model_version_tag("done", "1", "ffsnn.retrain", "an-earlier-one")
    client.set_model_version_tag("done", "1", "ffsnn.validation", "0.999")
    kept = ffsnn(*RETRAIN, home=copy)
    assert "version 1 stays the champion: validation accuracy 99.90%, against" in kept.stdout
    assert int(client.get_model_version_by_alias("done", "champion").version) == 1
    assert "champion: models:/done/2" in ffsnn(*RETRAIN, "--force", home=copy).stdout
    assert int(client.get_model_version_by_alias("done", "champion").version) == 2


def test_another_projects_model_is_refused_before_anything_is_trained(tmp_path):
    finished(tmp_path / "mlruns")
    client, _ = open_store(tmp_path / "mlruns")
    client.create_registered_model("done")
    assert "'done' is another project's" in refused(*RETRAIN, home=tmp_path)
    assert not list(folder_of(tmp_path).glob("trials/*"))
    assert "another project's" in refused("predict", "models:/done@champion", "x.png", home=tmp_path)
    assert "there is no model 'nope'" in refused("predict", "models:/nope@champion", "x.png", home=tmp_path)


def test_the_test_images_are_those_that_a_configuration_is_shown(tmp_path, monkeypatch):
    """Recordings are cut by its T, and end with its window."""
    monkeypatch.setenv("FFSNN_DATA", str(tmp_path))
    events = [(np.arange(30, dtype=np.int32) * 1000, np.roll(np.arange(30, dtype=np.int32), n)) for n in range(60)]
    add_raw("clicks", Raw("events", (1, 1, 30), Part(events, [n % 2 for n in range(60)])), "made")
    base = {"data": {"dataset": "clicks"}, "network": {"label": "appended", "T": 8}, "learning": {"batch_size": 8}}
    space = Space.parse({"base": base, "parameters": {"lr": {"float": [0.001, 0.01]}}})
    config = SearchConfig(name="s", space=space, space_name="clicks", trials=1, epochs=1)
    load = retraining.test_set(config, torch.device("cpu"))
    assert load(config.base.replaced({"network.T": 4})).x.shape[1] == 4
    half = load(config.base.replaced({"data.window_ms": 15.0})).x
    assert 2 * int((half > 0).sum()) == int((load(config.base).x > 0).sum())


def test_a_configuration_is_planned_once_with_seeds_that_the_search_did_not_use(tmp_path):
    config = SearchConfig(**{**CONFIG.model_dump(), "seed": 7})
    folder = finished(tmp_path, config)
    best, other = (trial for _, trial in folder.ranked()[:2])
    other.rewrite_config(best.config())
    plan = planned(folder, 9, 2, 5, "cpu", None)
    assert plan.seeds == (8, 9)
    assert plan.trials[0] == best.number
    assert len(plan.trials) == 3
    assert {plan.config(number).learning.epochs for number in range(6)} == {5}
    assert [plan.of(number)[1] for number in range(6)] == [8, 8, 8, 9, 9, 9]


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_retraining_stopped_anywhere_goes_on(tmp_path, signal_number):
    folder = finished(tmp_path / "mlruns")
    command = [*RETRAIN, "--epochs", "60"]
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(
            [FFSNN, *command], env={**os.environ, "FFSNN_HOME": str(tmp_path)}, stdout=log, stderr=log
        )
    deadline = time.monotonic() + 120
    while sum(1 for _ in folder.path.glob("retrain/*/trials/*/history.jsonl")) < 2:
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        assert driver.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.05)
    driver.send_signal(signal_number)
    assert driver.wait(timeout=60) == (-signal.SIGKILL if signal_number == signal.SIGKILL else 130)
    before = {path: path.read_text() for path in folder.path.glob("retrain/*/trials/*/end.json")}
    assert len(before) < 4, "it had ended before it could be stopped"
    result = ffsnn(*command, home=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    ends = {path: path.read_text() for path in folder.path.glob("retrain/*/trials/*/end.json")}
    assert before.items() <= ends.items()
    for end in map(json.loads, ends.values()):
        assert End(end["state"], end["reason"]) == End("complete", "finished")
        assert [epoch["epoch"] for epoch in end["history"]] == list(range(1, 61))
    assert len(ends) == 4
