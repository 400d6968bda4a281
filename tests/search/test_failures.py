"""Trials that crash and hang in a real search: a retry each from the checkpoint, then an end that says why."""

import errno
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from ffsnn.datasets.data import load
from search.config import SearchConfig
from search.execution.driver import drive
from search.execution.study_searcher import StudySearcher, study_searcher
from search.stop import StopRequest
from search.store.ends import End
from search.store.folder import SearchFolder
from spaces.space import Space
from tests.search.conftest import FFSNN, open_study, refused, session_of
from tests.search.test_trial_folder import holder

SPACE = Space.load("digits_smoke")


def process_of(trial: Path, other_than: int = 0, timeout: float = 90) -> int:
    """The process that trains a trial, once it has an epoch there."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            pid = json.loads((trial / "trial.lock").read_text())["pid"]
            if pid != other_than and (trial / "history.jsonl").stat().st_size:
                return int(pid)
        except (OSError, ValueError):
            pass
        time.sleep(0.05)
    raise AssertionError(f"nobody trains {trial}")


@pytest.mark.slow
def test_a_crash_and_a_hang_cost_retries(tmp_path: Path):
    (tmp_path / "mlruns").mkdir()
    command = [
        FFSNN, "search", "digits_smoke", "--name", "hurt", "--trials", "3", "--epochs", "400", "--scheduler", "none",
        "--retries", "1", "--patience", "0.4",
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(command, env={**os.environ, "FFSNN_HOME": str(tmp_path)}, stdout=log, stderr=log)
    trials = tmp_path / "mlruns" / "searches" / "hurt" / "trials"
    try:
        os.kill(first := process_of(trials / "0000"), signal.SIGSTOP)  # it must not finish while the other begins
        os.kill(hung := process_of(trials / "0001"), signal.SIGSTOP)
        os.kill(first, signal.SIGKILL)
        os.kill(process_of(trials / "0000", other_than=first), signal.SIGKILL)
        assert driver.wait(timeout=240) == 0, (tmp_path / "log").read_text()
    finally:
        driver.kill()
        driver.wait()
    said = (tmp_path / "log").read_text()
    assert "trial 0: died" in said
    assert "trial 1: hung, no epoch for" in said
    assert "(raylet)" not in said
    assert "attempt 2 of 2" in said
    assert "1 trial failed: 1 died" in said, said
    ends = [json.loads((trials / f"{n:04d}" / "end.json").read_text()) for n in range(3)]
    assert [end["state"] for end in ends] == ["failed", "complete", "complete"]
    assert [epoch["epoch"] for epoch in ends[1]["history"]] == list(range(1, 401))
    with pytest.raises(ProcessLookupError):
        os.kill(hung, 0)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (run,) = client.search_runs(["1"], "tags.`ffsnn.state` = 'failed'")
    assert run.info.status == "FAILED"
    assert "its process was killed" in run.data.tags["mlflow.note.content"]


def searcher(home: Path, **settings) -> StudySearcher:
    config = SearchConfig(**{"name": "s", "space": SPACE, "epochs": 3, "device": "cpu", **settings})
    folder = SearchFolder.create(home, config, "")
    return study_searcher(session_of(folder, config))


@pytest.fixture
def ray_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.cluster.ray_cluster.alive", lambda node=None: True)


def test_a_process_has_a_trial_once_it_trains_it_and_not_before(tmp_path: Path, ray_is_up: None):
    """Tune asks for a new process, and takes one that has become free meanwhile: the new one may begin after that."""
    script = """
import json, sys
from search.execution.trainable import TrialTrainable
trainable = TrialTrainable(json.loads(sys.argv[1]))
print("begun", flush=True)
sys.stdin.readline()
print(trainable.train()["epoch"], file=sys.stderr)
"""
    hurt = searcher(tmp_path / "home", trials=1)
    command, pipe = [sys.executable, "-c", script, json.dumps(hurt.suggest("a"))], subprocess.PIPE
    trial = hurt.folder.trial(0)
    with (
        holder(trial.path, "ray::TrialTrainable") as first,
        subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as second,
    ):
        try:
            assert second.stdout is not None
            assert second.stdout.readline() == "begun\n"
            assert first.poll() is None
            second.communicate("\n", timeout=60)
            assert (first.wait(10), second.returncode, len(trial.history())) == (-9, 0, 1)
        finally:
            first.kill()
            second.kill()


def unchecked(**parameters: object) -> Space:
    """A space that was not tried out, as one may be whose combinations are too many."""
    return Space.model_validate({"base": SPACE.base, "parameters": parameters})


def test_a_point_that_breaks_a_rule_gives_way_to_another(tmp_path: Path, capsys):
    rarely = unchecked(encoder={"choice": ["direct", "latency"]}, T={"int": [1, 3]})
    hurt = searcher(tmp_path, trials=20, space=rarely, sampler="random")
    configs = [hurt.prepared(hurt.fresh()).config() for _ in range(20)]
    assert {config.network.T for config in configs} == {1, 2, 3}
    said = capsys.readouterr().out.splitlines()
    assert said
    assert all(
        re.match(r"trial \d+: what was suggested breaks a rule.*needs T >= 2, but got T=1$", line) for line in said
    )
    shutil.rmtree(hurt.folder.path)
    again = searcher(tmp_path, trials=20, space=rarely, sampler="random")
    assert [again.prepared(again.fresh()).config() for _ in range(20)] == configs


def test_a_space_without_a_point_ends_the_search_and_blames_the_space(tmp_path: Path):
    never = unchecked(encoder={"choice": ["latency"]}, T={"choice": [1]})
    config = SearchConfig(name="s", space=never, trials=3, epochs=3, device="cpu")
    folder, stop = SearchFolder.create(tmp_path, config, ""), StopRequest()

    def looped(*arguments: object) -> StudySearcher:
        found = study_searcher(session_of(folder, config, stop))
        found.suggest("a")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.execution.driver._tune", looped)
        drive(session_of(folder, config, stop))
    assert re.match(r"each of 100 points of the space breaks a rule .*T >= 2.*: correct the space", stop.reason)
    assert (stop.failed, stop.for_good) == (True, True)


@pytest.mark.parametrize(
    ("number", "said", "for_good"),
    [(errno.ENOSPC, r"the disk is full \(.*No space left", False), (errno.EACCES, "cannot write to .*denied", False)],
)
def test_a_folder_that_cannot_be_written_is_no_broken_rule(
    number: int, said: str, for_good: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`RunFolder.create` says it as one; going on, once there is room, is right."""
    hurt = searcher(tmp_path, trials=3)

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    def looped(*_: object) -> None:
        hurt.suggest("a")

    monkeypatch.setattr("ffsnn.atomic.write", full)
    monkeypatch.setattr("search.execution.driver._tune", looped)
    stop = StopRequest()
    drive(session_of(hurt.folder, hurt.search, stop))
    assert re.match(said, stop.reason)
    assert (stop.failed, stop.for_good) == (True, for_good)


def test_more_failures_than_a_share_stop_the_search(tmp_path: Path, ray_is_up: None):
    hurt = searcher(tmp_path, trials=20, max_failed=0.5, retries=0)
    for number in range(5):
        assert hurt.suggest(str(number))["number"] == number
        assert not hurt.stop.requested
        if number % 2 == 0:
            hurt.folder.trial(number).add_failure("error", "ValueError: no")
            hurt.on_trial_complete(str(number), error=True)
        else:
            hurt.on_trial_complete(str(number), {"problem": "diverged: layer 0 diverged"})
    assert hurt.stop.failed
    assert hurt.stop.reason == "3 of 5 trials have failed (3 error)"
    assert hurt.suggest("5") == "FINISHED"
    told = open_study(hurt.folder).get_trials()
    assert [trial.state.name for trial in told] == ["FAIL", "PRUNED", "FAIL", "PRUNED", "FAIL"]
    assert told[1].intermediate_values == {1: 0.0}  # the sampler is to keep away from there
    assert study_searcher(session_of(hurt.folder, hurt.search)).waiting == []


def test_out_of_memory_is_tried_once_more_alone(tmp_path: Path, ray_is_up: None, capsys):
    """Whatever else the trial may have had; and a new driver knows it."""
    small = searcher(tmp_path, trials=4, retries=1)
    trial = small.folder.trial(0)
    assert small.suggest("a")["exclusive"] is False
    trial.add_failure("died", "its process was killed")
    small.on_trial_complete("a", error=True)
    assert small.suggest("b")["exclusive"] is False
    trial.add_failure("out_of_memory", "a batch did not fit")
    small.on_trial_complete("b", error=True)
    assert trial.end() is None
    assert "trial 0: out_of_memory, a batch did not fit; it goes on from epoch 0 (exclusive)" in capsys.readouterr().out
    again = study_searcher(session_of(small.folder, small.search))
    handed_out = again.suggest("c")
    assert (handed_out["number"], handed_out["exclusive"]) == (0, True)
    assert again.suggest("d") is None  # until it has its card
    (trial.path / "trial.lock").write_text('{"pid": 1, "host": "there"}')
    assert again.suggest("d")["exclusive"] is False
    trial.add_failure("out_of_memory", "a batch did not fit, again")
    again.on_trial_complete("c", error=True)
    assert trial.end() == End("failed", "out_of_memory", "a batch did not fit, again")


TOO_LARGE = """
import os, sys, time
from pathlib import Path

def hook(event, args):
    \"\"\"An epoch is noted; trial 1 has too little memory, as often as is asked for.\"\"\"
    if event == "open" and args[1] == "a" and str(args[0]).endswith("/history.jsonl"):
        number, notes = Path(args[0]).parent.name, Path(os.environ["NOTES"])
        if number == "0001" and len(list(notes.glob("refused-*"))) < int(os.environ["REFUSALS"]):
            (notes / f"refused-{os.getpid()}").touch()
            raise MemoryError("no room")
        with os.fdopen(os.open(notes / "epochs", os.O_WRONLY | os.O_APPEND | os.O_CREAT), "w") as file:
            print(number, time.monotonic(), file=file)

sys.addaudithook(hook)
"""


@pytest.mark.parametrize(
    ("refusals", "state"),
    [pytest.param(1, "complete", marks=pytest.mark.slow), pytest.param(2, "failed", marks=pytest.mark.faults)],
)
def test_a_trial_without_memory_gets_the_machine_for_itself_once(refusals: int, state: str, tmp_path: Path):
    """Trials are two at a time, each with a CPU; the one that had too little memory is alone for its second try."""
    for folder in ("mlruns", "injected", "notes"):
        (tmp_path / folder).mkdir()
    (tmp_path / "injected" / "sitecustomize.py").write_text(TOO_LARGE)
    path = os.pathsep.join([str(tmp_path / "injected"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ, "FFSNN_HOME": str(tmp_path), "PYTHONPATH": path, "NOTES": str(tmp_path / "notes"),
        "REFUSALS": str(refusals),
    }  # fmt: skip
    command = [
        FFSNN, "search", "digits_smoke", "--name", "large", "--trials", "4", "--epochs", "250", "--scheduler", "none",
        "--concurrency", "2", "--retries", "0",
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trial 1: out_of_memory, no room; it goes on from epoch 0 (exclusive)" in done.stdout
    trials = tmp_path / "mlruns" / "searches" / "large" / "trials"
    ends = [json.loads((trials / f"{n:04d}" / "end.json").read_text()) for n in range(4)]
    assert [end["state"] for end in ends] == ["complete", state, "complete", "complete"]
    epochs = [line.split() for line in (tmp_path / "notes" / "epochs").read_text().splitlines()]
    of_one = [at for at, (number, _) in enumerate(epochs) if number == "0001"]
    if refusals == 1:
        assert len(of_one) >= 249  # it had saved its first one before it was refused
        assert of_one == list(range(of_one[0], of_one[0] + len(of_one)))  # no other trial had an epoch in between
    else:
        assert (ends[1]["reason"], of_one) == ("out_of_memory", [])
    pairs = {(a, b) for (a, _), (b, _) in itertools.pairwise(epochs) if a != b}
    assert any((b, a) in pairs for a, b in pairs)  # others did take turns: two at once


def test_a_full_disk_stops_the_search_with_the_budget_intact(tmp_path: Path):
    full = searcher(tmp_path, trials=4)
    full.suggest("a")
    full.on_trial_complete("a", {"problem": "disk_full: [Errno 28] No space left on device"})
    assert full.stop.failed
    assert full.folder.trial(0).end() is None
    assert full.suggest("b") == "FINISHED"


def test_a_trial_whose_time_is_up_goes_on_another_time(tmp_path: Path):
    late = searcher(tmp_path, trials=4)
    late.suggest("a")
    late.stop.budget = 0
    late.on_trial_complete("a", {})
    assert late.suggest("b") == "FINISHED"
    assert late.folder.trial(0).end() is None
    again = study_searcher(session_of(late.folder, late.search, StopRequest(budget=60)))
    again.suggest("c")
    assert again.live == {"c": 0}


def test_a_search_begun_with_other_versions_is_refused(tmp_path: Path):
    mlruns = tmp_path / "mlruns"
    config = SearchConfig(name="old", space=SPACE, space_name="digits_smoke", trials=8, epochs=9)
    folder = SearchFolder.create(mlruns, config, load(SPACE.base.data, 0).checksum)
    tree = json.loads((folder.path / "search.json").read_text())
    tree["versions"]["torch"] = "1.0.0"
    (folder.path / "search.json").write_text(json.dumps(tree))
    assert re.search("torch 1.0.0 became.*--force", refused("search", "--resume", "old", home=tmp_path))
    assert json.loads((folder.path / "search.json").read_text()) == tree


def test_a_folder_that_is_no_search_is_left_alone(tmp_path: Path):
    (tmp_path / "mlruns" / "searches" / "mine").mkdir(parents=True)
    (tmp_path / "mlruns" / "searches" / "mine" / "thesis.tex").write_text("")
    assert "is no search" in refused("search", "digits_smoke", "--name", "mine", home=tmp_path)
    assert [path.name for path in (tmp_path / "mlruns" / "searches" / "mine").iterdir()] == ["thesis.tex"]
