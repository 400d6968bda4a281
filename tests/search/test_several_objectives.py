"""Searches with several objectives: run, killed, resumed; the front wherever it is shown."""

import json
import os
import signal
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from search.forecast.told import told_values
from search.names import TAG_PARETO, TAG_TRIAL
from search.pareto.front import Box
from search.report.front import _course
from search.store.folder import SearchFolder
from search.store.results import Results
from search.study.reconcile import reconcile
from search.tracking.store import store_uri
from tests.search.conftest import ffsnn, refused, started, within

ASKED = ("--objective", "accuracy:max,synops:min", "--limit", "T<=4", "--limit", "synops<=1500")
SEARCH = ("search", "digits_smoke", "--trials", "12", "--concurrency", "1", *ASKED)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a search of two objectives has been run to its end."""
    home = tmp_path_factory.mktemp("home")
    (home / "mlruns").mkdir()
    done = ffsnn(*SEARCH, "--name", "whole", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whole: the front," in done.stdout
    assert "hypervolume 0." in done.stdout
    return home


def trials(home: Path, name: str) -> list[tuple[object, ...]]:
    """All that a search has come to, but for what depends on the clock."""
    results = Results(SearchFolder.open(home / "mlruns", name))
    return [(it.number, it.state, it.reason, it.sample, it.values, it.last) for it in results.trials]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_as_if_it_never_had_been(home: Path) -> None:
    with started(*SEARCH, "--name", "killed", home=home) as (process, output):
        trial = home / "mlruns" / "searches" / "killed" / "trials"
        for _ in output:
            if len(list(trial.glob("*/history.jsonl"))) >= 5:
                break
        os.kill(process.pid, signal.SIGKILL)
    done = ffsnn("search", "--resume", "killed", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert trials(home, "killed") == trials(home, "whole")


def test_no_epoch_is_spent_beyond_a_limit_of_the_configuration(home: Path) -> None:
    results = Results(SearchFolder.open(home / "mlruns", "whole"))
    assert len(results.trials) == 12
    assert max(trial.sample["network.T"] for trial in results.trials) <= 4
    assert all(trial.last[1] <= 1500 for trial in results.front())


def test_a_lost_study_is_rebuilt_with_all_that_was_measured(home: Path) -> None:
    folder = SearchFolder.open(home / "mlruns", "whole")
    study, _ = reconcile(folder, folder.config, print)
    before = [(trial.state, trial.values, told_values(trial), trial.constraints) for trial in study.trials]
    assert any(told for _, _, told, _ in before)
    folder.study_file.unlink()
    study, unfinished = reconcile(folder, folder.config, print)
    assert [(trial.state, trial.values, told_values(trial), trial.constraints) for trial in study.trials] == before
    assert unfinished == []


def test_hypervolume_is_drawn_over_the_epochs_that_were_spent(home: Path) -> None:
    results = Results(SearchFolder.open(home / "mlruns", "whole"))
    ended = results.reached(1)
    (line,) = _course(
        results, Box.around(results.config.goals, [results.config.goals.standing(it.last) for it in ended])
    ).data
    assert line.x[-1] == sum(it.epochs for it in ended)
    assert list(line.y) == sorted(line.y)


def test_best_prints_the_front_and_writes_a_file_each(home: Path) -> None:
    folder = SearchFolder.open(home / "mlruns", "whole")
    (folder.path / "front-99999.yaml").touch()  # of an earlier front
    (folder.path / "front-mine.yaml").touch()
    done = within("best", "whole", "--front", home=home)
    assert done.returncode == 0, done.stderr
    (folder.path / "front-mine.yaml").unlink()
    numbers = {trial.number for _, trial in folder.front()}
    assert len(list(yaml.safe_load_all(done.stdout))) == len(numbers)
    assert {int(file.stem.removeprefix("front-")) for file in folder.path.glob("front-*.yaml")} == numbers
    assert "accuracy" in done.stderr


def test_mlflow_marks_the_front(home: Path) -> None:
    client = MlflowClient(store_uri(home / "mlruns"))
    (experiment,) = (it for it in client.search_experiments() if it.name == "ffsnn")
    runs = client.search_runs([experiment.experiment_id], f"tags.`{TAG_PARETO}` = '1' and tags.ffsnn.search = 'whole'")
    front = {trial.number for _, trial in SearchFolder.open(home / "mlruns", "whole").front()}
    assert {int(run.data.tags[TAG_TRIAL]) for run in runs} == front
    assert all("synaptic_operations_per_sample" in run.data.metrics for run in runs)


def test_the_report_shows_the_front(home: Path) -> None:
    assert within("report", "whole", home=home).returncode == 0
    page = (home / "mlruns" / "searches" / "whole" / "report" / "report.md").read_text()
    assert "The front" in page
    assert "reference point" in page


@pytest.mark.parametrize(
    "sampler", [pytest.param(name, marks=pytest.mark.slow) for name in ("nsga2", "tpe", "nsga3", "random")]
)
def test_each_sampler_of_optuna_takes_several(sampler: str, home: Path) -> None:
    asked = ("--objective", "accuracy,synops", "--limit", "synops<=1500", "--scheduler", "none", "--epochs", "1")
    own = ("--name", sampler, "--sampler", sampler, "--trials", "24")
    done = ffsnn("search", "digits_smoke", *own, *asked, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 at full length" in done.stdout


@pytest.mark.slow
def test_a_limit_that_nobody_kept_names_the_nearest(home: Path) -> None:
    done = ffsnn("search", "digits_smoke", "--name", "none", "--trials", "2", "--limit", "synops<=1", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no trial keeps synops<=1: the nearest is trial" in done.stdout


def test_latency_is_measured_where_it_is_asked_for(home: Path) -> None:
    asked = ("--objective", "accuracy,latency", "--limit", "latency<=5000", "--trials", "3", "--epochs", "2")
    done = ffsnn("search", "digits_smoke", "--name", "timed", "--concurrency", "1", *asked, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    results = Results(SearchFolder.open(home / "mlruns", "timed"))
    assert all(0 < trial.last[1] < 5000 for trial in results.trials if trial.epochs)
    measured = [epoch.measured for trial in SearchFolder.open(home / "mlruns", "timed").trials()
                for epoch in trial.history()]  # fmt: skip
    assert {name for it in measured for name in it} == {"milliseconds_per_prediction"}
    plain = next((home / "mlruns" / "searches" / "whole" / "trials").glob("*/history.jsonl")).read_text()
    assert "measured" not in plain


def test_a_limit_that_no_configuration_keeps_is_refused(home: Path) -> None:
    said = refused("search", "digits_smoke", "--limit", "T<=1", home=home)
    assert "no configuration of the space keeps its limits: T<=1 must hold, but T=2 is the nearest" in said


def test_a_front_of_one_objective_is_refused(made: Path) -> None:
    assert "a front needs several objectives" in refused("best", "done", "--front", home=made)
    assert "a front needs several objectives" in refused("retrain", "done", "--front", home=made)


@pytest.mark.slow
def test_a_space_may_name_its_objectives(home: Path, tmp_path: Path) -> None:
    space = {
        "base": {"data": {"dataset": "digits"}}, "parameters": {"T": {"int": [2, 4]}},
        "budget": {"objective": ["accuracy", "T:min"], "limit": ["T<=3"], "trials": 2, "epochs": 1},
    }  # fmt: skip
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(space))
    done = ffsnn("search", str(file), "--name", "mine", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    stored = json.loads((home / "mlruns" / "searches" / "mine" / "search.json").read_text())["config"]
    assert stored["objective"] == "val_accuracy,time_steps"
    assert stored["limit"] == ["time_steps<=3.0"]
