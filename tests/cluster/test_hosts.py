"""A search across hosts with addresses of their own: a head, two workers, PostgreSQL and MLflow with passwords.

All that can be lost is lost in one life; then the independent reader compares folder, study and MLflow.
"""

import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from search.store.trial_folder import TrialFolder
from tests.cluster import hosts as namespaces
from tests.cluster import servers
from tests.cluster.hosts import FFSNN, RAY, ROOT, Host, hosts, ray_head, ray_worker
from tests.cluster.servers import PASSWORD, Mlflow, Postgres
from tests.faults.reader import broken_promises

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]
TOKEN = "5e1f" * 16
SPACE = """
base: {data: {dataset: digits}, network: {widths: [512, 512], T: 8}, learning: {batch_size: 64}}
parameters: {v_threshold: {float: [0.3, 1.5]}, tau: {float: [1.1, 5]}}
"""
TRIALS, EPOCHS = 10, 80


@dataclass
class Lab:
    """The hosts and what runs on them."""

    folder: Path
    head: Host
    workers: list[Host]
    address: str
    database: Postgres
    mlflow: Mlflow
    name: str = "far"  # of the search that is looked at
    started: int = 0
    drivers: list[psutil.Popen] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def output(self) -> str:
        return (self.folder / "search.log").read_text()

    def trial(self, number: int) -> Path:
        return self.home / "mlruns" / "searches" / self.name / "trials" / f"{number:04d}"

    def work(self, worker: Host) -> None:
        """Ray on a worker, with what of it may be left over ended first."""
        namespaces.end([process for process in worker.processes() if process.pid not in self._drivers()])
        self.started += 1
        ray_worker(worker, self.address, self.folder / f"r{self.started}")

    def _drivers(self) -> set[int]:
        return {process.pid for driver in self.drivers if driver.is_running() for process in _tree(driver.pid)}

    def search(self, host: Host, *options: str, **environment: str) -> psutil.Popen:
        command = ["env", *(f"{name}={value}" for name, value in environment.items()), *FFSNN, "search", *options]
        with (self.folder / "search.log").open("a") as log:
            driver = psutil.Popen(
                host.command(*command), env=os.environ | host.environment, start_new_session=True,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.drivers.append(driver)
        return driver

    def until(self, what: str, holds: Callable[[], object], seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if self.drivers[-1].poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{what} did not happen:\n{self.output[-4000:]}")
            time.sleep(0.1)

    def said(self, text: str, times: int = 1) -> None:
        self.until(f"{text!r} being said", lambda: len(re.findall(text, self.output)) >= times)

    def loses(self, worker: Host, blow: Callable[[], object]) -> int:
        """Strike a worker that trains a trial; the process that trained it, once the driver has noticed."""
        number = self.trained_on(worker)
        trainer = json.loads((self.trial(number) / "trial.lock").read_text())["pid"]
        lost = f"trial {number}: its node was lost"
        before, struck_at = self.output.count(lost), time.monotonic()
        blow()
        self.said(lost, before + 1)
        noticed = time.monotonic() - struck_at
        print(f"{worker.address} noticed as lost after {noticed:.1f} s")
        assert noticed < 10
        return int(trainer)

    def trained_on(self, worker: Host) -> int:
        """A trial that a host trains, once it is under way there."""
        found: list[int] = []

        epochs = EPOCHS if self.name == "far" else 40

        def under_way() -> list[int]:
            pids = {process.pid for process in worker.processes()}
            for number in range(TRIALS):
                trial = self.trial(number)
                holder = TrialFolder(trial).holder()
                if (trial / "end.json").exists() or holder is None:
                    continue
                before = self.counts.setdefault((number, holder.pid), _epochs(trial))
                if holder.pid in pids and before + 2 <= _epochs(trial) < 0.8 * epochs:
                    found.append(number)
            return found

        self.counts: dict[tuple[int, int], int] = {}
        self.until(f"a trial on {worker.address}", under_way)
        return found[0]


def _epochs(trial: Path) -> int:
    file = trial / "history.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if reason := namespaces.missing() or servers.missing():
        pytest.skip(reason)
    environment = {"RAY_AUTH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **RAY}
    with (
        tempfile.TemporaryDirectory(prefix="ffc-") as scratch,  # short: Ray's sockets lie in it
        hosts(4, environment) as (head, *workers, server),
    ):
        folder = Path(scratch)
        folder.chmod(0o755)  # PostgreSQL runs as another user
        (folder / "space.yaml").write_text(SPACE)
        (folder / "home" / "mlruns").mkdir(parents=True)
        database = Postgres(server, folder)
        database.create()
        mlflow = Mlflow(server, folder, database)
        mlflow.start()
        lab = Lab(folder, head, workers, ray_head(head, folder / "r0"), database, mlflow)
        for worker in workers:
            lab.work(worker)
        try:
            yield lab
        finally:
            namespaces.end([process for driver in lab.drivers if driver.is_running() for process in _tree(driver.pid)])
            for driver in lab.drivers:
                driver.wait()
            mlflow.stop()
            database.stop()


def test_a_search_loses_nothing_on_a_cluster(lab: Lab) -> None:
    first, second = lab.workers
    options = ["--address", lab.address, "--home", str(lab.home), "--trials", str(TRIALS)]
    options += ["--epochs", str(EPOCHS), "--scheduler", "none", "--name", "far"]
    places = {"FFSNN_STORAGE": lab.database.url("ffsnn"), "MLFLOW_TRACKING_URI": lab.mlflow.url()}
    driver = lab.search(lab.head, str(lab.folder / "space.yaml"), *options, **places)

    lab.loses(first, lambda: first.raylet().kill())
    lab.work(first)

    trainer = lab.loses(second, second.cut)
    lab.until("the end of a process that is cut off", lambda: not psutil.pid_exists(trainer), 20)
    second.repair()
    lab.work(second)

    frozen: list[psutil.Process] = []

    def freeze() -> None:
        frozen.extend(first.processes())
        for process in frozen:
            process.suspend()

    trainer = lab.loses(first, freeze)
    for process in frozen:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    lab.until("the end of a process that was frozen", lambda: not psutil.pid_exists(trainer), 20)
    lab.work(first)

    lab.mlflow.stop()
    lab.trained_on(first)
    lab.database.stop()
    lab.said("waiting for it, 10 minutes at most")
    lab.database.start()
    lab.said("database answers again")
    lab.mlflow.start()

    lab.trained_on(first)
    driver.kill()
    driver.wait()
    names = {"MLFLOW_TRACKING_USERNAME": "ffsnn", "MLFLOW_TRACKING_PASSWORD": PASSWORD, "PGPASSWORD": PASSWORD}
    again = lab.search(second, "--resume", "far", "--home", str(lab.home), **names)
    assert again.wait(timeout=600) == 0, lab.output[-4000:]

    told = broken_promises(lab.home, "far", TRIALS, lab.mlflow.url(), lab.database.url("ffsnn"))
    assert [line[:300] for line in told] == []
    assert list(lab.home.rglob("failures.jsonl")) == []  # nothing of this was a trial's doing
    kept = [*lab.home.rglob("*"), *lab.folder.glob("r*/session_*/logs/*"), lab.folder / "search.log"]
    assert [file for file in kept if file.is_file() and PASSWORD.encode() in file.read_bytes()] == []
    readable = [file for file in lab.home.joinpath("mlruns", "searches").rglob("*") if file.stat().st_mode & 0o077]
    assert [file for file in readable if file.is_file()] == []


def test_what_is_wrong_is_said_before_a_search_begins(lab: Lab) -> None:
    """Each in one line, with exit code 2, and nothing begun."""
    options = ["digits_smoke", "--address", lab.address, "--home", str(lab.home), "--trials", "2", "--epochs", "1"]

    def refused(host: Host, *more: str, **environment: str) -> str:
        command = ["env", *(f"{name}={value}" for name, value in environment.items()), *FFSNN, "search", *options]
        said = host.run(*command, *more)
        assert said.returncode == 2, said.stdout + said.stderr
        assert said.stderr.startswith("ffsnn: ")
        assert said.stderr.count("\n") == 1
        assert PASSWORD not in said.stderr + said.stdout
        assert "wrong-one" not in said.stderr + said.stdout
        return said.stderr

    nobody = {"HOME": str(lab.folder / "nobody"), "RAY_AUTH_TOKEN": ""}
    assert "needs its token" in refused(lab.head, **nobody)
    assert "has another token" in refused(lab.head, RAY_AUTH_TOKEN="wrong")
    assert "password authentication failed" in refused(lab.head, "--storage", lab.database.url("ffsnn", "wrong-one"))
    assert "a name and a password" in refused(lab.head, "--tracking-uri", lab.mlflow.url("wrong-one"))

    lonely = lab.workers[0]  # sees an empty folder where the others see the home
    namespaces.end(lonely.processes())
    hidden = ["sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(lab.home)]
    ray_worker(lonely, lab.address, lab.folder / "r9", within=hidden)
    said = refused(lab.head)
    assert f"{lonely.address}: {lab.home}/mlruns is not the folder that the driver sees: name with --home" in said
    assert "digits_smoke-1" not in [path.name for path in (lab.home / "mlruns" / "searches").iterdir()]
