"""Ray's folder: short, closed to others, gone afterwards with all that was started in it."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from ffsnn.validation import ConfigError
from search.cluster import ray_session
from search.cluster.ray_session import LONGEST, MARK, PREFIX, session_folder


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder for temporary files, and a short one."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        monkeypatch.setattr(ray_session, "OTHERS", ())
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_it_is_closed_to_others_and_goes(place):
    with session_folder() as path:
        assert path.parent == place
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert os.environ[MARK] == str(path)
    assert [*place.iterdir()] == []
    assert MARK not in os.environ


@pytest.mark.parametrize("titled", [False, True], ids=["environment", "open file"])
def test_what_was_started_within_is_ended(place, titled):
    """A process that changed its title has lost its environment in /proc, but has a file open there."""
    with session_folder() as path, (path / "a log").open("w") as log:
        environment = {**os.environ, MARK: ""} if titled else os.environ
        process = subprocess.Popen(["sleep", "100"], env=environment, stdout=log if titled else None)
    assert process.wait(timeout=10) == -9


def test_a_driver_that_is_killed_takes_them_with_it(place):
    script = """
import os, subprocess, signal
from search.cluster.ray_session import session_folder
with session_folder() as path:
    print(subprocess.Popen(["sleep", "100"], start_new_session=True).pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    said = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert said.returncode == -9
    left = psutil.Process(int(said.stdout)) if psutil.pid_exists(int(said.stdout)) else None
    assert left is None or psutil.wait_procs([left], timeout=10)[1] == []


def test_what_is_left_all_the_same_is_swept_and_what_is_in_use_stays(place):
    for name in (f"{PREFIX}dead", "another"):
        (place / name).mkdir()
        (place / name / "lock").touch()
        os.utime(place / name, (0, 0))
    (place / f"{PREFIX}just made").mkdir()
    (place / f"{PREFIX}just made" / "lock").touch()
    with session_folder() as first, session_folder() as second:
        here = {path.name for path in place.iterdir()}
        assert here == {first.name, second.name, "another", f"{PREFIX}just made"}
    assert {path.name for path in place.iterdir()} == {"another", f"{PREFIX}just made"}


def test_a_long_folder_for_temporary_files_gives_way_to_a_short_one(place, monkeypatch):
    long = place / ("x" * LONGEST)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    with session_folder() as path:
        assert path.parent == place
    assert [*long.iterdir()] == []


def test_where_there_is_no_short_one_it_is_said(place, monkeypatch):
    long = place / ("x" * LONGEST)
    long.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(long))
    monkeypatch.setattr(tempfile, "tempdir", str(place / "missing"))
    said = r"none of .*xxx, .*missing can be written and has 21 bytes at most: name one with TMPDIR"
    with pytest.raises(ConfigError, match=said), session_folder():
        pass
