"""A trial's folder: one process at a time, its output and its failures kept."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from search.store.ends import End, Failure, by_reason
from search.store.trial_folder import Holder, TrialFolder


def holder(folder: Path, name: str) -> subprocess.Popen:
    """A process that holds a trial, as one of Ray's does if `name` says so."""
    code = (
        "import sys, time; from search.store.trial_folder import TrialFolder\n"
        "with TrialFolder(sys.argv[1]).occupied(): time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), name])
    for _ in range(300):
        if (folder / "trial.lock").exists() and f'"pid": {process.pid}' in (folder / "trial.lock").read_text():
            return process
        time.sleep(0.1)
    raise AssertionError("the process did not come up")


def test_a_newcomer_ends_the_process_that_still_has_the_trial(tmp_path: Path):
    old = holder(tmp_path, "ray::TrialTrainable")
    new = holder(tmp_path, "ray::TrialTrainable")
    try:
        assert old.wait(10) == -9
        assert not TrialFolder(tmp_path).kill(only=Holder(old.pid, socket.gethostname()))  # who asks for that is late
        assert new.poll() is None
        assert TrialFolder(tmp_path).kill()
        assert new.wait(10) == -9
    finally:
        new.kill()
        new.wait()


def test_no_other_process_is_ended(tmp_path: Path):
    """The number in the lock file may belong to a stranger by now."""
    stranger = holder(tmp_path, "not one of Ray's")
    try:
        TrialFolder(tmp_path).kill()
        time.sleep(0.5)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    TrialFolder(tmp_path).kill()  # nobody has it


def test_failures_and_output_are_kept(tmp_path: Path):
    folder = TrialFolder(tmp_path)
    assert folder.failures() == []
    assert folder.output(3) == ""
    folder.add_failure("error", "ValueError: two\nlines")
    with (tmp_path / "failures.jsonl").open("a") as file:
        file.write('{"reason": "tor')
    assert folder.failures() == [Failure("error", "ValueError: two lines", 0)]
    (tmp_path / "output.log").write_bytes(b"a\nb\n\x1b[31mc\x1b[0m\n\xff\n")
    assert folder.output(2) == "c\n\ufffd"


def test_an_ended_trial_keeps_four_files(tmp_path: Path):
    """Users of other systems have met the limit of files at 50,000 trials."""
    folder = TrialFolder(tmp_path)
    for name in ("config.json", "history.jsonl", "best.safetensors", "last.safetensors", "previous.safetensors"):
        (tmp_path / name).touch()
    process = holder(tmp_path, "ray::TrialTrainable")
    (tmp_path / "output.log").touch()
    folder.write_end(End("complete", "finished"))
    assert folder.held()  # the process finds the end when it lets go
    process.kill()
    process.wait()
    folder.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.safetensors", "config.json", "end.json", "history.jsonl"
    ]  # fmt: skip
    trained_by = folder.holder()
    assert trained_by is not None
    assert trained_by.pid == process.pid


def test_what_a_process_printed_is_kept(tmp_path: Path):
    folder = TrialFolder(tmp_path)
    with folder.occupied():
        pass
    (tmp_path / "output.log").write_text("Segmentation fault")
    folder.write_end(End("failed", "died"))
    assert folder.output(1) == "Segmentation fault"


def test_what_counts_as_a_failure():
    ends = [End("failed", "died"), End("failed", "hung"), End("failed", "died"), End("pruned", "diverged")]
    assert [end.is_failure for end in ends] == [True, True, True, False]
    assert by_reason(ends) == "2 died, 1 diverged, 1 hung"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "complete"}'])
def test_a_damaged_end_is_none(tmp_path: Path, content: str):
    (tmp_path / "end.json").write_text(content)
    assert TrialFolder(tmp_path).end() is None
