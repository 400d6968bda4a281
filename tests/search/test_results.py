"""What a search has come to, beside values worked out by hand."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from rich.console import Console

from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.validation import ConfigError
from search.api import Search
from search.config import SearchConfig
from search.progress import ProgressDisplay
from search.report.figures import timeline
from search.report.studies import at_epoch, counted, times
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.results import Results, RungResult, epochs_of, seconds_of
from search.study.reconcile import report_to_study
from search.study.sampling import suggest
from search.tracking.search_exporter import export_search
from search.tracking.store import open_store
from search.tracking.view import _best, _by_number, _trials
from spaces.space import Space
from tests.search.conftest import open_study

SPACE = Space.load("digits_smoke")


@dataclass(frozen=True)
class Written:
    """A trial as its folder will say: accuracies by epoch, each of two seconds, and its end."""

    accuracies: tuple[float, ...] = ()
    end: End | None = None
    failures: tuple[tuple[str, str], ...] = ()


TRIALS = (
    Written((0.5, 0.6, 0.7, 0.7, 0.8, 0.8, 0.9, 0.9, 0.85), End("complete", "finished")),
    Written((0.2,), End("pruned", "asha")),
    Written((0.4, 0.5, 0.95), End("pruned", "asha")),
    Written((0.3, 0.1), End("pruned", "diverged", "the loss of layer 0 is nan")),
    Written((), End("failed", "died", "killed"), (("died", "killed"), ("hung", "silent"), ("died", "killed"))),
    Written((0.6, 0.6, 0.6)),
)


def samples(space: Space, count: int) -> list[dict]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [suggest(space, study.ask()) for _ in range(count)]


def write(mlruns: Path, trials: tuple[Written, ...] = TRIALS, name: str = "made", **settings) -> SearchFolder:
    """A search's folder without a training."""
    fresh = {
        "name": name,
        "space": SPACE,
        "space_name": "digits_smoke",
        "trials": max(10, len(trials)),
        "epochs": 9,
        "scheduler": "asha",
        "device": "cpu",
    }
    config = SearchConfig(**fresh | settings)
    folder = SearchFolder.create(mlruns, config, "c0ffee")
    for number, (written, sample) in enumerate(zip(trials, samples(config.space, len(trials)), strict=True)):
        trial = folder.trial(number)
        trial.create(config.space.apply(sample, config.base))
        silent = (0.0,) * len(trial.config().network.widths)
        lines = [EpochMetrics(epoch, silent, silent, silent, silent, accuracy, 1.0, 2.0).json()
                 for epoch, accuracy in enumerate(written.accuracies, 1)]  # fmt: skip
        (trial.path / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for reason, detail in written.failures:
            trial.add_failure(reason, detail)
        if written.end:
            trial.write_end(written.end)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(write(tmp_path))


def test_ranking_is_the_folders(results):
    assert [trial.number for trial in results.ranked()] == [0, 2, 5, 1, 3]
    assert [trial.number for trial in results.ranked()] == [trial.number for _, trial in results.folder.ranked()]


def test_the_common_epoch_is_a_rung_that_half_have_reached(results, tmp_path):
    assert results.milestones == [1, 3, 9]
    assert results.common_epoch() == 3  # of 9, 3, 3, 2 and 1 epochs, three trials
    assert Results(write(tmp_path, (*TRIALS, TRIALS[1], TRIALS[1]), "more")).common_epoch() == 1  # four of seven
    assert Results(write(tmp_path, (), "empty")).common_epoch() is None
    assert Results(write(tmp_path, TRIALS[4:5], "failed")).common_epoch() is None
    started = Written((0.1, 0.2))
    space = SPACE.model_copy(update={"budget": SPACE.budget.model_copy(update={"grace_epochs": 4})})
    assert Results(write(tmp_path, (started, started), "early", space=space)).common_epoch() == 2  # before any rung


def test_fifty_trials_are_enough(tmp_path):
    """Of 160 trials 50 suffice, which is less than half of them."""
    far, short = Written((0.5,) * 3, End("pruned", "asha")), Written((0.5,), End("pruned", "asha"))
    assert Results(write(tmp_path, (far,) * 50 + (short,) * 110, "enough")).common_epoch() == 3
    assert Results(write(tmp_path, (far,) * 49 + (short,) * 111, "short")).common_epoch() == 1


def test_rungs(results):
    assert results.rungs() == [
        RungResult(1, [0.5, 0.4, 0.3, 0.6], [0.2], 0),
        RungResult(3, [0.7], [0.95], 1),  # the last one has not ended
        RungResult(9, [0.85], [], 0),
    ]
    assert [rung.reached for rung in results.rungs()] == [5, 3, 1]
    assert epochs_of(results.trials) == 18
    assert seconds_of(results.of("pruned")) == 12.0


def test_csv_and_table_are_the_folder(results):
    rows = list(csv.DictReader(io.StringIO(results.csv())))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    for row, trial, written in zip(rows, results.folder.trials(), TRIALS, strict=True):
        end = written.end or End("unfinished", "")
        assert (row["state"], row["reason"], int(row["epochs"])) == (end.state, end.reason, len(written.accuracies))
        assert row["val_accuracy"] == (str(written.accuracies[-1]) if written.accuracies else "")
        assert row["best_val_accuracy"] == (str(max(written.accuracies)) if written.accuracies else "")
        assert float(row["seconds"]) == 2 * len(written.accuracies)
        config = trial.config()
        assert (float(row["tau"]), row["surrogate"]) == (config.network.tau, config.network.surrogate)
        assert row["theta"] == (str(config.learning.theta) if config.learning.loss == "threshold" else "")
    table = Search(results.folder).table()
    assert list(table.columns) == results.columns[1:]
    assert list(table["val_accuracy"].dropna()) == [0.85, 0.2, 0.95, 0.1, 0.6]


def test_a_table_of_nothing(tmp_path):
    table = Search(write(tmp_path, ())).table()
    assert len(table) == 0
    assert table.index.name == "trial"


def test_what_optuna_counts(results):
    assert counted(at_epoch(results, 3)) == 3
    assert counted(at_epoch(results, 1)) == 5
    assert [trial.value for trial in at_epoch(results, 3).trials] == [0.7, 0.95, 0.6]


def test_a_trial_without_a_folder_is_not_counted(results):
    (results.folder.trial(2).path / "config.json").unlink()
    assert [trial.value for trial in at_epoch(Results(results.folder), 3).trials] == [0.7, 0.6]


def test_times_are_the_studys_and_nothing_is_written(tmp_path):
    folder = write(tmp_path, TRIALS[:4])
    study = open_study(folder)
    for trial in folder.trials():
        suggest(folder.config.space, study.ask())
        report_to_study(study, trial, folder.config.goals)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    begun_and_ended = times(folder)
    assert list(begun_and_ended) == [0, 1, 2, 3]
    assert all(begun < ended for begun, ended in begun_and_ended.values())
    bars = {bar.name: list(bar.y) for bar in timeline(Results(folder), begun_and_ended).data}
    assert bars == {"at full length": [0], "pruned": [1, 2, 3]}
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before
    with folder.study_file.open("a") as file:
        file.write('{"torn')
    assert list(times(folder)) == [0, 1, 2, 3]
    folder.study_file.write_text("damaged\n")
    assert times(folder) == {}
    folder.study_file.unlink()
    assert times(folder) == {}
    assert not folder.study_file.exists()


def test_a_damaged_trial_is_one_line(results):
    (results.folder.trial(2).path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"cannot read .*0002"):
        Results(results.folder)


def test_one_rule_says_which_trial_is_the_best(tmp_path: Path):
    """Full length before all others: for the folder, for who watches, and for MLflow's pages alike."""
    folder = write(tmp_path)
    order = [trial.number for _, trial in folder.ranked()]
    assert order[:2] == [0, 2]  # 85 % at full length, 95 % after three epochs of nine
    assert "best 85.00% (trial 0)" in ProgressDisplay(folder, folder.config, Console()).line()
    export_search(tmp_path, folder)
    client, experiment = open_store(tmp_path)
    runs = {run.info.run_id: run for run in client.search_runs([experiment], "tags.`ffsnn.kind` = 'trial'")}
    assert [
        int(runs[run].data.tags["ffsnn.trial"])
        for run in _best(folder, _by_number(_trials(client, experiment, folder)))
    ] == order


def test_a_search_says_what_it_is(tmp_path):
    found = Search(write(tmp_path))
    assert repr(found) == "<Search made: 5 of 10 trials have ended, best validation accuracy 85.00% (trial 0)>"
    shown = found._repr_html_()
    assert shown.count("<tr>") == 1 + 5
    assert "<td>85.00%</td>" in shown
    assert found.table()["spikes_per_sample"].tolist()[:4] == [0.0] * 4
    assert found.table()["nanojoules_per_sample"][0] > 0
    with pytest.raises(ConfigError, match=r"do not tell which parameters matter: it takes 10"):
        found.importance()
    assert found.report() == found.folder.path / "report" / "report.html"


def test_a_damaged_search_still_has_a_name(tmp_path):
    found = Search(write(tmp_path))
    (found.folder.path / "search.json").write_text("{")
    assert repr(found).startswith("<Search made: ")
    assert "cannot be read" in found._repr_html_()


def test_what_mattered_is_a_series(tmp_path):
    trials = tuple(Written((0.1 + 0.05 * i,), End("pruned", "asha")) for i in range(14))
    shares = Search(write(tmp_path, trials)).importance()
    assert shares.sum() == pytest.approx(1)
    assert list(shares) == sorted(shares, reverse=True)
    assert shares.name == "14 trials at epoch 1"
