"""Runs the commands the way a person would."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, TextIO

import pytest

from search.config import SearchConfig
from search.execution.session import Session
from search.stop import StopRequest
from search.store.folder import SearchFolder

if TYPE_CHECKING:
    import optuna

FFSNN = str(Path(sys.executable).parent / "ffsnn")


def ffsnn(*arguments: str, home: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the command as its user would."""
    environment = {**os.environ, "FFSNN_HOME": str(home), "RAY_ADDRESS": "127.0.0.1:1"}  # nobody asks for that cluster
    return subprocess.run([FFSNN, *arguments], env=environment, text=True, capture_output=True, timeout=timeout)


def within(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, for seconds add up: one that reads, and leaves nothing behind in memory."""
    from search.cli import main

    out, err, code, mask = io.StringIO(), io.StringIO(), 0, os.umask(0o022)  # a command sets its process's own
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["ffsnn", *arguments])
        patch.setenv("FFSNN_HOME", str(home))
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        finally:
            os.umask(mask)
    return subprocess.CompletedProcess(["ffsnn", *arguments], code, out.getvalue(), err.getvalue())


def refused(*arguments: str, home: Path) -> str:
    """What the command says when it is refused: one line and exit code 2."""
    done = within(*arguments, home=home)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("ffsnn: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@contextmanager
def started(*arguments: str, home: Path) -> Iterator[tuple[subprocess.Popen[str], TextIO]]:
    """A command that goes on, and its output, line by line; it is killed in the end, if it has not ended by itself."""
    environment = {**os.environ, "FFSNN_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [FFSNN, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    with process:
        try:
            yield process, process.stdout
        finally:
            process.kill()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A home in which one search of the embedded digits has been run to its end."""
    home = tmp_path_factory.mktemp("home")
    (home / "mlruns").mkdir()
    return home, ffsnn("search", "digits_smoke", "--name", "smoke", home=home)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished search that trained nothing, and its runs in MLflow; to be copied."""
    from search.tracking import search_exporter
    from tests.search.test_best import finished

    home = tmp_path_factory.mktemp("made") / "home"
    search_exporter.export_search(home / "mlruns", finished(home / "mlruns"))
    return home


def session_of(
    folder: SearchFolder, config: SearchConfig, stop: StopRequest | None = None, say: Callable[[str], None] = print
) -> Session:
    """A session in this process, with a CPU a trial, and without a Ray."""
    from search.execution.study_searcher import study_searcher

    session = Session(folder, config, SimpleNamespace(cpus=1), 0, study_searcher, say)
    session.stop = stop or StopRequest()
    return session


def open_study(folder: SearchFolder) -> "optuna.Study":
    """The study of a search, in its folder."""
    from search.study.study_store import study_store

    return study_store(folder, None).opened(print)
