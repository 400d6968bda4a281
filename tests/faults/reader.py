"""An independent reader: what folders, study and MLflow say of a search, by plain JSON and the clients of Optuna and
MLflow alone. It imports nothing from `search`, so that no mistake of the search can hide behind itself.

Each of the three places becomes the same thing, trials by number, so that the promise is one comparison.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}  # of Optuna; others have not ended
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}  # of the MLflow run with that tag
TORN = (-1, float("nan"))  # a line of a history that is no JSON


@dataclass(frozen=True)
class Trial:
    """A trial as one place knows it."""

    state: str  # complete, pruned, failed, or whatever it is while it runs
    config: dict[str, Any]  # by dotted path; in MLflow by the last name, as text
    history: list[tuple[int, float]]  # epoch and validation accuracy


@dataclass
class Seen:
    """All that is known of a search; a number stands more than once where a place has it more than once."""

    folder: dict[int, list[Trial]] = field(default_factory=dict)
    study: dict[int, list[Trial]] = field(default_factory=dict)
    mlflow: dict[int, list[Trial]] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)  # status of the search's own runs
    strays: list[int] = field(default_factory=list)  # trials whose run is no child of the search's
    unreadable: list[str] = field(default_factory=list)


def broken_promises(
    home: Path, name: str, trials: int, store: str | None = None, study: str | None = None
) -> list[str]:
    """What does not hold of a search that has ended; nothing, if all is well.

    Args:
        home: the folder that holds `mlruns/`.
        name: the search's.
        trials: its budget.
        store: MLflow's store or server [default: the one in `mlruns/`].
        study: database of the study [default: its journal in the search's folder].

    Each line begins with its kind: lost, doubled, running, state, configuration, history, budget, unreadable.
    """
    seen = read(home, name, store, study)
    said = [f"unreadable: {what}" for what in seen.unreadable]
    for place, there in (("folder", seen.folder), ("study", seen.study), ("MLflow", seen.mlflow)):
        said += [f"lost: trial {number} is not in the {place}" for number in range(trials) if number not in there]
        for number, times in sorted(there.items()):
            said += _of_one_trial(f"trial {number} in the {place}", times)
    if sorted(seen.folder) != list(range(trials)):
        said.append(f"budget: {trials} trials were to be, the folder has {sorted(seen.folder)}")
    for number in sorted(seen.folder):
        said += _disagreement(number, seen)
    said += _repeated(seen.folder)
    if seen.parents != ["FINISHED"]:
        said.append(f"state: one parent run, FINISHED, was to be in MLflow, but found {seen.parents}")
    return said + [f"state: the run of trial {number} is no child of the search's" for number in seen.strays]


def _of_one_trial(who: str, times: list[Trial]) -> list[str]:
    said = [f"doubled: {who} is there {len(times)} times"] if len(times) > 1 else []
    said += [f"running: {who} is {trial.state}" for trial in times if trial.state not in STATUS]
    for trial in times:
        epochs = [epoch for epoch, _ in trial.history]
        if epochs != list(range(1, len(epochs) + 1)):
            said.append(f"history: {who} has the epochs {epochs}")
    return said


def _disagreement(number: int, seen: Seen) -> list[str]:
    """Where study or MLflow say another thing of a trial than its folder."""
    folder, said = seen.folder[number][0], []
    for place, there in (("study", seen.study), ("MLflow", seen.mlflow)):
        for trial in there.get(number, []):
            if trial.state != folder.state:
                said.append(f"state: trial {number} is {folder.state} in its folder, {trial.state} in the {place}")
            if trial.history != folder.history:
                told = f"{folder.history} in its folder, {trial.history} in the {place}"
                said.append(f"history: of trial {number} is {told}")
    searched = seen.study[number][0].config if number in seen.study else {}
    for path, value in searched.items():
        if folder.config.get(path) != value:
            said.append(f"configuration: {path} of trial {number} is {folder.config.get(path)}, in the study {value}")
        for run in seen.mlflow.get(number, []):
            logged = run.config.get(path, run.config.get(path.rsplit(".", 1)[-1]))
            if logged != str(value):
                said.append(f"configuration: {path} of trial {number} is {value}, in MLflow {logged}")
    return said


def _repeated(folder: dict[int, list[Trial]]) -> list[str]:
    """Two trials of one configuration: a sampler of real numbers does not draw a point twice, a lost memory does."""
    first: dict[str, int] = {}
    said = []
    for number, (trial, *_) in sorted(folder.items()):
        if (before := first.setdefault(json.dumps(trial.config, sort_keys=True), number)) != number:
            said.append(f"doubled: trials {before} and {number} have the same configuration")
    return said


def read(home: Path, name: str, store: str | None = None, study: str | None = None) -> Seen:
    """Read all three places; what cannot be read is among `unreadable`."""
    mlruns, seen = home / "mlruns", Seen()
    folder = mlruns / "searches" / name
    for path in sorted((folder / "trials").iterdir()):
        if re.fullmatch(r"\d{4,}", path.name):
            seen.folder[int(path.name)] = [_of_folder(path)]
    try:
        _read_study(study or folder / "study.log", name, seen)
    except Exception as error:  # a damaged journal raises whatever its lines lead to
        seen.unreadable.append(f"study: {error!r}")
    try:
        _read_mlflow(store or f"sqlite:///{mlruns}/mlflow.db", name, seen)
    except Exception as error:  # as does a damaged store
        seen.unreadable.append(f"MLflow: {' '.join(str(error).split())[:200]}")
    return seen


def _of_folder(path: Path) -> Trial:
    end, config = path / "end.json", path / "config.json"
    state = json.loads(end.read_text())["state"] if end.exists() else "without an end.json"
    return Trial(state, _flat(json.loads(config.read_text())) if config.exists() else {}, history(path))


def history(trial: Path) -> list[tuple[int, float]]:
    """The epochs of a trial's folder."""
    return [(epoch["epoch"], epoch["val_accuracy"]) if epoch else TORN for epoch in epochs(trial)]


def epochs(trial: Path) -> list[dict[str, Any]]:
    """The history of a trial's folder, line by line, times included; a torn line is empty."""
    file = trial / "history.jsonl"
    return [_parsed(line) for line in file.read_text().splitlines()] if file.exists() else []


def epochs_saved(trial: Path) -> list[dict[str, Any]]:
    """The history in the newest checkpoint that is whole, read from the header of the safetensors file."""
    for name in ("last.safetensors", "previous.safetensors"):
        content = (trial / name).read_bytes() if (trial / name).exists() else b""
        length = int.from_bytes(content[:8], "little")
        header = _parsed(content[8 : 8 + length])
        tensors = [entry for key, entry in header.items() if key != "__metadata__"]
        if header and len(content) == 8 + length + max(tensor["data_offsets"][1] for tensor in tensors):
            saved: list[dict[str, Any]] = json.loads(header["__metadata__"]["history.jsonl"])
            return saved
    return []


def _parsed(text: str | bytes) -> dict[str, Any]:
    try:
        tree: dict[str, Any] = json.loads(text)
        return tree
    except ValueError:
        return {}


def _flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return flat


def _read_study(place: Path | str, name: str, seen: Seen) -> None:
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if isinstance(place, Path):
        if not place.exists():  # opening would create it
            seen.unreadable.append("study.log: not there")
            return
        trials = optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(place)))).trials
    else:
        database = RDBStorage(place)
        trials = optuna.load_study(study_name=name, storage=database).trials
        database.remove_session()
        database.engine.dispose()
    for frozen in trials:
        values = sorted(frozen.intermediate_values.items())
        if frozen.user_attrs.get("stop_reason") == "diverged" and values[-1][1] == 0:
            values.pop()  # the sampler is told the worst value of the epoch that a trial did not live to see
        state = STATES.get(frozen.state.name, frozen.state.name)
        seen.study.setdefault(frozen.number, []).append(Trial(state, frozen.params, values))
        if state == "complete" and (not values or frozen.value != values[-1][1]):
            seen.unreadable.append(f"study: trial {frozen.number} has the value {frozen.value}, told {values}")


def _read_mlflow(store: str, name: str, seen: Seen) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(store)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.`ffsnn.search` = '{name}'", max_results=1000)
    parents = {run.info.run_id: run.info.status for run in runs if "ffsnn.trial" not in run.data.tags}
    seen.parents = list(parents.values())
    for run in runs:
        if run.info.run_id in parents:
            continue
        number, state = int(run.data.tags["ffsnn.trial"]), run.data.tags.get("ffsnn.state", run.info.status)
        if run.info.status != STATUS.get(state, run.info.status):
            state = f"{state} but {run.info.status}"
        metrics = client.get_metric_history(run.info.run_id, "val_accuracy")
        values = sorted((metric.step, metric.value) for metric in metrics)
        seen.mlflow.setdefault(number, []).append(Trial(state, run.data.params, values))
        if run.data.tags.get("mlflow.parentRunId") not in parents:
            seen.strays.append(number)
