"""The shape of the MLflow store: what its runs say, and that saying it again changes nothing."""

import math
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from ffsnn.datasets.data import load
from ffsnn.inspection import energy
from ffsnn.training.run_folder import BEST
from ffsnn.training.run_folder import load as load_network
from search.names import TAG_KEPT, TAG_TRIAL
from search.store.folder import SearchFolder
from search.tracking import runs, search_exporter
from search.tracking.store import open_store
from search.tracking.tracker import Tracker
from spaces.space import Space
from tests.faults.reader import broken_promises
from tests.search.test_best import CONFIG, finished

TABLES = ("runs", "params", "tags", "metrics", "latest_metrics", "datasets", "inputs", "experiment_tags")


def dump(home: Path) -> dict[str, list[tuple]]:
    """The whole store, row by row."""
    with sqlite3.connect(home / "mlruns/mlflow.db") as database:
        return {table: sorted(database.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def said(home: Path) -> dict[str, tuple]:
    """What the runs say, by name: all but their ids."""
    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    return {
        run.info.run_name: (
            run.info.status, run.info.start_time, run.info.end_time, run.data.params, run.data.metrics,
            {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"},
            [(it.dataset.name, it.dataset.digest) for it in run.inputs.dataset_inputs],
            [(m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, "val_accuracy")],
        )
        for run in client.search_runs(["1"], max_results=1000)
    }  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    search_exporter.export_search(home / "mlruns", finished(home / "mlruns"))
    return home


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home, tmp_path / "copy"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without a run; making one takes seconds."""
    (mlruns := tmp_path_factory.mktemp("empty") / "mlruns").mkdir()
    open_store(mlruns)
    return mlruns


@pytest.fixture
def anew(copy: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The search, its store lost. Pictures, which take seconds, are not drawn."""
    monkeypatch.setattr("ffsnn.inspection.show.show", lambda _: [])
    for file in (copy / "mlruns").glob("mlflow.db*"):
        file.unlink()
    for file in empty.glob("mlflow.db*"):
        shutil.copy2(file, copy / "mlruns")
    return copy


def folder_of(home: Path) -> SearchFolder:
    return SearchFolder.open(home / "mlruns", "done")


def test_a_trial_says_what_it_is_and_what_it_came_to(home):
    folder, there = folder_of(home), said(home)
    assert there.keys() == {"done", *(f"done/{number:04d}" for number in range(4))}
    for trial in folder.trials():
        status, start, end, params, metrics, tags, data, history = there[f"done/{trial.number:04d}"]
        epochs, config = trial.history(), trial.config()
        assert (status, end - start >= 0) == ("FINISHED", True)
        state, reason = ("pruned", "asha") if trial.number == 3 else ("complete", "finished")
        checksum = folder.read()["data"]
        assert tags | {
            "ffsnn.kind": "trial", "ffsnn.search": "done", "ffsnn.trial": str(trial.number), "ffsnn.state": state,
            "ffsnn.stop_reason": reason, "ffsnn.space": "digits_smoke", "ffsnn.seed": "0", "ffsnn.dataset": "digits",
            "ffsnn.data_checksum": checksum, "mlflow.source.git.commit": folder.read()["commit"],
        } == tags  # fmt: skip
        assert data == [("digits", checksum[:36])]
        assert [(step, value) for step, _, value in history] == [(e.epoch, e.val_accuracy) for e in epochs]
        assert sorted(when for _, when, _ in history) == [when for _, when, _ in history]
        assert metrics["best_val_accuracy"] == max(e.val_accuracy for e in epochs)
        assert metrics["epochs"] == len(epochs)
        assert metrics["total_seconds"] == pytest.approx(sum(e.seconds for e in epochs))
        assert metrics["spikes_per_sample"] == pytest.approx(64 * config.network.T * sum(epochs[-1].firing_rate))
        assert metrics["nanojoules_per_sample"] > metrics["synaptic_operations_per_sample"] * 0.9 / 1000
        assert math.isfinite(metrics["mean_images_per_second"])
        assert float(params["tau"]) == config.network.tau


def test_parameters_are_numbers_where_they_can_be(home):
    folder, there = folder_of(home), said(home)
    for trial in folder.trials():
        params = there[f"done/{trial.number:04d}"][3]
        assert "None" not in params.values()
        for name in ("v_threshold", "tau", "T", "lr"):
            float(params[name])
        theta = trial.config().learning.theta
        assert ("theta" in params) == ("theta_log10" in params) == (theta is not None)
        if theta is not None:
            assert float(params["theta_log10"]) == pytest.approx(math.log10(theta), abs=1e-6)


def test_what_the_space_has_for_other_choices_only_is_left_out():
    parameters = {"optimiser": {"choice": ["adam", "sgd"]}, "tau": {"float": [2, 3], "when": {"optimiser": "sgd"}}}
    space = Space.parse({"parameters": parameters})
    adam = runs.parameters(space.apply({"learning.optimiser": "adam"}), space)
    sgd = runs.parameters(space.apply({"learning.optimiser": "sgd", "network.tau": 2.5}), space)
    assert ("tau" in adam, sgd["tau"]) == (False, 2.5)


def test_a_choice_to_leave_a_field_unset_is_shown():
    space = Space.parse({"parameters": {"train_images": {"choice": [None, 600]}}})
    unset = runs.parameters(space.apply({"data.train_images": None}), space)
    assert unset["train_images"] == "None"
    assert "momentum" not in unset


def test_the_search_describes_itself(home):
    status, _, _, params, _, tags, data, _ = said(home)["done"]
    text = tags["mlflow.note.content"]
    assert (status, params["space_name"], len(data)) == ("FINISHED", "digits_smoke", 1)
    assert "| theta | 0.02 to 0.4 | logarithmic | loss is threshold |" in text
    assert "3 complete, 1 pruned, 0 failed" in text
    best, trial = folder_of(home).ranked()[0]
    assert f"| {trial.number} | {best:.2%} | 2 |" in text
    assert "ffsnn search digits_smoke --trials 4 --epochs 2 --seed 0" in text


def test_again_changes_nothing(copy):
    open_store(copy / "mlruns")  # which points it to where it is now
    before = dump(copy)
    search_exporter.export_search(copy / "mlruns", folder_of(copy))
    assert dump(copy) == before


def test_a_lost_store_is_rebuilt(home, anew):
    search_exporter.export_search(anew / "mlruns", folder_of(anew))
    assert said(anew) == said(home)
    assert broken_promises(anew, "done", CONFIG.trials) == []


@pytest.mark.parametrize("call", [2, 3, 5, 7, 9, 11, 34])
def test_a_store_that_fails_at_any_call_is_completed(home, anew, call, monkeypatch):
    """The n-th call of the writer raises once, as a full disk or a lost server does."""
    calls = 0

    def failing(method):
        def wrapper(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == call:
                raise OSError("no more")
            return method(*arguments, **options)

        return wrapper

    writing = ("create_run", "update_run", "log_batch", "log_dict", "log_inputs", "log_artifact", "set_terminated")
    with monkeypatch.context() as patched:
        for name in writing:
            patched.setattr(MlflowClient, name, failing(getattr(MlflowClient, name)))
        with pytest.raises(OSError, match="no more"):
            search_exporter.export_search(anew / "mlruns", folder_of(anew))
    search_exporter.export_search(anew / "mlruns", folder_of(anew))
    assert said(anew) == said(home)
    assert broken_promises(anew, "done", CONFIG.trials) == []


def test_the_best_so_far_is_kept_as_soon_as_a_core_is_free(anew, monkeypatch):
    monkeypatch.setattr("search.tracking.tracker.RETRY_INTERVAL_S", 0.1)  # MLflow is there already
    tracker = Tracker(anew / "mlruns", folder_of(anew), None, print)
    tracker.start()
    tracker.spare.set()
    tracker.changed(0)
    until = time.monotonic() + 60
    while tracker.spare.is_set():
        assert time.monotonic() < until
        time.sleep(0.05)
    kept = [tags for _, _, _, _, _, tags, *_ in said(anew).values() if TAG_KEPT in tags]
    best = folder_of(anew).ranked()[0][1].number
    assert [tags[TAG_TRIAL] for tags in kept] == [str(best)]
    assert tracker.close()
    assert broken_promises(anew, "done", CONFIG.trials) == []


def test_what_is_kept_is_what_the_weights_say_they_are(anew):
    """A trial that was killed may have had better weights in memory than in its folder, or none there yet."""
    folder = folder_of(anew)
    trial = folder.ranked()[0][1]
    upload, best = search_exporter.SearchExporter(anew / "mlruns", folder), trial.best_epoch()
    other = next(epoch for epoch in trial.history() if epoch.epoch != best)

    def kept() -> list[str]:
        upload.keep(trial.number)
        return [tags[TAG_KEPT] for _, _, _, _, _, tags, *_ in said(anew).values() if TAG_KEPT in tags]

    (trial.path / BEST).rename(trial.path / "aside")
    assert kept() == []
    network = load_network(trial.path / "aside")
    trial.save_best([other], network.state_dict())
    assert kept() == [str(other.epoch)]
    (trial.path / "aside").rename(trial.path / BEST)
    assert kept() == [str(best)]


def test_energy_from_rates_is_that_of_the_network_looked_at(home):
    for trial in folder_of(home).trials():
        config, network = trial.config(), load_network(trial.path)
        seen = energy.measure(network, load(config.data, config.seed).validation)
        lanes = [config.network.T * width for width in config.network.widths]
        rates = [spikes / lane for spikes, lane in zip(seen.spikes, lanes, strict=True)]
        told = energy.of_rates(config, rates, 0.0)
        assert told is not None
        assert told.nanojoules == pytest.approx(seen.nanojoules)
        assert told.synaptic_operations == pytest.approx(seen.synaptic_operations)
        assert (told.multiply_adds, told.passes) == (seen.multiply_adds, seen.passes)
