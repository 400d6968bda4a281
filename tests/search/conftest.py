"""Reads a search the way a stranger would: plain JSON, Optuna's and MLflow's own clients, nothing from `search`."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FFSNN = str(Path(sys.executable).parent / "ffsnn")


@dataclass
class Seen:
    """What folders, study and MLflow say of a search, each by trial number."""

    histories: dict[int, list[dict]] = field(default_factory=dict)
    ends: dict[int, dict] = field(default_factory=dict)
    study: dict[int, str] = field(default_factory=dict)
    values: dict[int, dict[int, float]] = field(default_factory=dict)
    runs: dict[int, list[str]] = field(default_factory=dict)
    metrics: dict[int, list[int]] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)


def read(mlruns: Path, name: str) -> Seen:
    import optuna
    from mlflow.tracking import MlflowClient
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    seen = Seen()
    folder = mlruns / "searches" / name
    for trial in sorted((folder / "trials").iterdir()):
        number = int(trial.name)
        seen.histories[number] = [json.loads(line) for line in (trial / "history.jsonl").read_text().splitlines()]
        seen.ends[number] = json.loads((trial / "end.json").read_text())
    study = optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))))
    for frozen in study.trials:
        seen.study[frozen.number] = frozen.state.name
        seen.values[frozen.number] = frozen.intermediate_values
    client = MlflowClient(f"sqlite:///{mlruns}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for run in client.search_runs(experiments, f"tags.`ffsnn.search` = '{name}'", max_results=1000):
        if "ffsnn.trial" in run.data.tags:
            number = int(run.data.tags["ffsnn.trial"])
            seen.runs.setdefault(number, []).append(run.info.status)
            history = client.get_metric_history(run.info.run_id, "val_accuracy")
            seen.metrics[number] = sorted(metric.step for metric in history)
        else:
            seen.parents.append(run.info.status)
    return seen


def check(seen: Seen, trials: int) -> None:
    """Every trial once in folder, study and MLflow, in the same state and with the same epochs, none left running."""
    numbers = list(range(trials))
    assert sorted(seen.histories) == sorted(seen.study) == sorted(seen.runs) == numbers
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for number in numbers:
        epochs = [line["epoch"] for line in seen.histories[number]]
        assert epochs == list(range(1, len(epochs) + 1))
        assert seen.metrics[number] == epochs
        assert seen.values[number] == {line["epoch"]: line["val_accuracy"] for line in seen.histories[number]}
        assert seen.study[number] == states[seen.ends[number]["state"]]
        assert seen.runs[number] == ["FINISHED"]
    assert seen.parents == ["FINISHED"]


def ffsnn(*arguments: str, home: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the command as its user would."""
    environment = {**os.environ, "FFSNN_HOME": str(home)}
    return subprocess.run([FFSNN, *arguments], env=environment, text=True, capture_output=True, timeout=timeout)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A home in which one search of the embedded digits has been run to its end."""
    home = tmp_path_factory.mktemp("home")
    (home / "mlruns").mkdir()
    return home, ffsnn("search", "digits_smoke", "--name", "smoke", home=home)
