"""A search on a small cluster of this machine's own: a head, two nodes, one of them lost in mid-search."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ray._common.utils import get_default_ray_temp_dir
from ray.cluster_utils import Cluster

from search.cluster.servers import ray_problem
from tests.cluster.hosts import FFSNN, RAY, ROOT
from tests.faults.reader import broken_promises

TOKEN = "5e1f" * 16


@pytest.fixture(scope="module")
def token() -> Iterator[None]:
    from ray._raylet import AuthenticationTokenLoader, Config

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**RAY, "RAY_AUTH_TOKEN": TOKEN}.items():
            patch.setenv(name, value)
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
        yield
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@pytest.fixture(scope="module")
def cluster(token: None) -> Iterator[Cluster]:
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    Path(get_default_ray_temp_dir()).mkdir(exist_ok=True)  # Cluster notes its address there, and does not make it
    with tempfile.TemporaryDirectory(prefix="ffc-") as folder:  # short: Ray's sockets lie in it
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": folder, **small})
        try:
            for number in range(2):
                data = {"FFSNN_DATA": f"{folder}/data-{number}"}  # no node sees the driver's, nor the other's
                cluster.add_node(num_cpus=1, wait=False, env_vars=data, **small)
            cluster.wait_for_nodes()
            yield cluster
        finally:
            cluster.shutdown()


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "FFSNN_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def test_a_node_is_lost_and_nothing_with_it(cluster: Cluster, tmp_path: Path) -> None:
    command = [*FFSNN, "search", "digits_smoke", "--address", cluster.address, "--name", "far", "--trials", "3"]
    command += ["--epochs", "100", "--scheduler", "none", "--retries", "0"]
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(command, env=environment(tmp_path), stdout=log, stderr=log)
    try:
        lost, number = _under_way(driver, tmp_path)
        cluster.remove_node(next(n for n in cluster.worker_nodes if n.node_id == lost), allow_graceful=False)
        assert driver.wait(timeout=200) == 0, (tmp_path / "log").read_text()
    finally:
        driver.kill()
        driver.wait()
    said = (tmp_path / "log").read_text()
    assert "doctor: 3 nodes, all is well" in said
    assert "2 at once with 1 CPU each on 2 nodes" in said
    assert re.search(f"trial {number}: its node was lost; it goes on from epoch [0-9]+ on another", said)
    assert [line[:300] for line in broken_promises(tmp_path, "far", 3)] == []
    assert list(tmp_path.rglob("failures.jsonl")) == []
    holders = {json.loads(end.read_text())["trained_by"]["node"] for end in tmp_path.rglob("end.json")}
    assert lost not in holders


def _under_way(driver: "subprocess.Popen[bytes]", home: Path) -> tuple[str, int]:
    """The node that trains a trial, and the trial, once some of it is done."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and driver.poll() is None:
        for lock in home.rglob("trial.lock"):
            history = lock.with_name("history.jsonl")
            if history.exists() and 5 < history.read_bytes().count(b"\n") < 70:
                return json.loads(lock.read_text())["node"], int(lock.parent.name)
        time.sleep(0.02)
    raise AssertionError((home / "log").read_text())


@pytest.mark.slow
def test_ones_own_data_reach_every_node(cluster: Cluster, tmp_path: Path) -> None:
    """From the shared copy in the home, once a node; and the doctor looks whether they do."""
    x, y = np.random.default_rng(0).integers(0, 256, (120, 6, 6), np.uint8), np.arange(120) % 3
    np.savez(tmp_path / "toy.npz", x=x, y=y)
    (tmp_path / "home" / "mlruns").mkdir(parents=True)
    driver = environment(tmp_path / "home", XDG_CACHE_HOME=str(tmp_path / "data"))  # no FFSNN_DATA, which nodes get too
    subprocess.run([*FFSNN, "data", "add", "toy", str(tmp_path / "toy.npz")], env=driver, check=True)
    command = [*FFSNN, "search", "digits_smoke", "--set", "dataset=toy", "--set", "batch_size=32"]
    command += ["--address", cluster.address, "--name", "toy", "--trials", "6", "--scheduler", "none"]
    command += ["--epochs", "200"]  # so that the first node is not through with all before the second has begun
    done = subprocess.run(command, env=driver, text=True, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    ends = [json.loads(end.read_text()) for end in tmp_path.rglob("end.json")]
    assert [end["state"] for end in ends] == ["complete"] * 6
    trained = {end["trained_by"]["node"] for end in ends}
    assert len(trained) == 2
    (own,) = (tmp_path / "data").rglob("own/toy.safetensors")
    folders = sorted(Path(node._ray_params.env_vars["FFSNN_DATA"]) for node in cluster.worker_nodes)
    copies = [copy.read_bytes() for folder in folders for copy in folder.rglob("own/toy.safetensors")]
    assert copies == 2 * [own.read_bytes()]


def test_a_stranger_without_the_token_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    assert ray_problem(cluster.address) == ""
    command = [*FFSNN, "search", "digits_smoke", "--address", cluster.address]
    for token, fragment in (("", "needs its token"), ("wrong", "has another token")):
        stranger = environment(tmp_path, HOME=str(tmp_path), RAY_AUTH_TOKEN=token)
        said = subprocess.run(command, env=stranger, text=True, capture_output=True, timeout=60)
        assert said.returncode == 2, said.stderr
        assert re.fullmatch(f"ffsnn: the cluster at .* {fragment}.*\n", said.stderr)
    script = f"import ray; ray.init({cluster.address!r})"  # by Ray's own client, whatever the search does
    naked = {**environment(tmp_path, HOME=str(tmp_path), RAY_AUTH_MODE="disabled"), "RAY_AUTH_TOKEN": ""}
    process = subprocess.Popen([sys.executable, "-c", script], env=naked, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any("InvalidAuthToken" in line for line in process.stderr)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_trials_process_is_ended_on_its_own_node(cluster: Cluster, tmp_path: Path) -> None:
    """Also one that hangs; from another node it is not even tried."""
    import ray

    from search.cluster import ray_cluster as clusters
    from search.store.trial_folder import TrialFolder

    trial = TrialFolder(tmp_path / "0000")
    trial.path.mkdir()
    with clusters.joined(cluster.address):

        @ray.remote(num_cpus=1)
        class Process:
            def hold(self, path: Path) -> None:
                self.right = TrialFolder(path).occupied(clusters.here())
                self.right.__enter__()

        process = Process.remote()
        ray.get(process.hold.remote(trial.path))
        holder = trial.holder()
        assert holder is not None
        os.kill(holder.pid, signal.SIGSTOP)
        assert not trial.kill("another node")
        assert trial.held()
        assert clusters.alive(holder.node)
        assert clusters.end(trial)
        deadline = time.monotonic() + 10
        while trial.held() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not trial.held()
        assert not clusters.alive("no node")
