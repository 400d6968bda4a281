"""Whatever ends a search from outside, it stops cleanly: exit code, last lines, and nothing of it goes on or stays."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psutil
import pytest

from search.cluster.ray_session import PREFIX
from search.signals import ENDING
from tests.faults.reader import broken_promises
from tests.search.conftest import FFSNN, ffsnn

MARKS = {signal.SIGHUP: [], signal.SIGTERM: [pytest.mark.slow], signal.SIGUSR1: [pytest.mark.slow]}  # Ray's, Tune's own
SIGNALS = [pytest.param(number, marks=MARKS.get(number, [pytest.mark.faults])) for number in ENDING]


@contextmanager
def running(
    home: Path, output: "int | TextIO", *wrapper: str, epochs: int = 3000
) -> Iterator["subprocess.Popen[bytes]"]:  # fmt: skip
    """A search in a session of its own, as a terminal's job; it has an epoch. It is killed in the end."""
    (home / "mlruns").mkdir()
    (home / "tmp").mkdir()
    command = [*wrapper, FFSNN, "search", "digits_smoke", "--name", "s", "--trials", "4", "--epochs", f"{epochs}"]
    environment = {**os.environ, "FFSNN_HOME": str(home), "RAY_TMPDIR": str(home / "tmp"), "PYTHONUNBUFFERED": "1"}
    driver = subprocess.Popen(
        [*command, "--scheduler", "none"], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    with driver:
        try:
            while not [*home.glob("mlruns/searches/s/trials/*/history.jsonl")]:
                assert driver.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield driver
        finally:
            driver.kill()


def gone(processes: list[psutil.Process]) -> bool:
    return psutil.wait_procs(processes, timeout=15)[1] == []


def of(driver: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    found = psutil.Process(driver.pid).children(recursive=True)
    assert {"raylet", "gcs_server"} <= {process.name() for process in found}
    return found


def folder_of(processes: list[psutil.Process]) -> Path:
    """Ray's, as the arguments of its processes name it; other searches may run on this machine."""
    (raylet,) = [process for process in processes if process.name() == "raylet"]
    found = re.search(rf"/[^ =]*/{PREFIX}\w+", " ".join(raylet.cmdline()))
    assert found
    return Path(found[0])


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_all_of_a_job_is_a_clean_stop(tmp_path: Path, number: signal.Signals):
    """As a terminal or a batch system sends it: Ray's processes are in the same group."""
    with (tmp_path / "log").open("w") as log, running(tmp_path, log) as driver:
        its = of(driver)
        folder = folder_of(its)
        assert folder.is_dir()
        os.killpg(driver.pid, number)
        assert driver.wait(60) == 130, (tmp_path / "log").read_text()
        assert gone(its)
    said = (tmp_path / "log").read_text()
    assert "stopped: interrupted; go on with: ffsnn search --resume s" in said
    assert "failed" not in said
    assert not folder.exists()
    assert [*(tmp_path / "tmp").iterdir()] == []
    goes_on = ffsnn("search", "--resume", "s", "--trials", "2", "--time-budget", "0.3", home=tmp_path)
    assert goes_on.returncode == 0, goes_on.stderr
    wrong = ("lost", "doubled", "configuration", "budget", "unreadable")  # trials that go on are not in step yet
    assert [it for it in broken_promises(tmp_path, "s", trials=2) if it.startswith(wrong)] == []


@pytest.mark.slow
def test_a_killed_driver_takes_all_with_it_and_the_next_one_sweeps_its_folder(tmp_path: Path):
    with (tmp_path / "log").open("w") as log, running(tmp_path, log) as driver:
        its = of(driver)
        driver.kill()
        driver.wait()
        assert gone(its)
    ended = ffsnn("search", "digits_smoke", "--trials", "1", "--epochs", "1", home=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert [*(tmp_path / "tmp").iterdir()] == []


@pytest.mark.slow
def test_a_reader_that_goes_away_stops_it(tmp_path: Path):
    """At the next line that it prints: a trial's end."""
    read, write = os.pipe()
    with running(tmp_path, write, epochs=300) as driver:
        os.close(write)
        its = of(driver)
        os.close(read)
        assert driver.wait(60) == 130
        assert gone(its)
    assert [*tmp_path.glob("mlruns/searches/s/trials/*/end.json")]


@pytest.mark.faults
def test_nohup_is_what_it_says(tmp_path: Path):
    with (tmp_path / "log").open("w") as log, running(tmp_path, log, "nohup") as driver:
        its = of(driver)
        os.killpg(driver.pid, signal.SIGHUP)
        time.sleep(3)
        assert driver.poll() is None
        assert all(process.is_running() for process in its[:2])
        driver.terminate()
        assert driver.wait(60) == 130
