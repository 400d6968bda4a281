"""`ray up examples/cluster/ray-cluster.yaml` and what the documentation does next, on hosts reached by ssh alone.

Each host has its own address, processes, home and Ray; its .venv is linked to this one rather than installed.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.cluster import hosts as namespaces
from tests.cluster.hosts import ROOT, Host, hosts
from tests.faults.reader import broken_promises

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
LAUNCHER = yaml.safe_load((ROOT / "examples" / "cluster" / "ray-cluster.yaml").read_text())
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
RAY = str(Path(sys.executable).with_name("ray"))
OPTIONS = ("PermitRootLogin=yes", "StrictModes=no", "UsePAM=no", "PidFile=none", "MaxSessions=50", "MaxStartups=50")


@dataclass
class Launched:
    """The hosts of a cluster, head first, and its launcher's file."""

    hosts: list[Host]
    file: Path
    key: Path

    def ray(self, what: str) -> "subprocess.CompletedProcess[str]":
        command = [RAY, what, "--yes", *(["--no-config-cache"] if what == "up" else []), str(self.file)]
        token = {"RAY_AUTH_TOKEN_PATH": str(self.file.with_name("token"))}
        return subprocess.run(command, cwd=ROOT, env=os.environ | token, capture_output=True, text=True, timeout=240)

    def on_head(self, command: str) -> "subprocess.CompletedProcess[str]":
        """As one would who has logged in there."""
        trust = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        ssh = ["ssh", "-i", str(self.key), *trust, f"root@{self.hosts[0].address}"]
        there = (
            f". ffsnn/examples/cluster/ray.env; export PATH=~/ffsnn-venv/bin:$PATH; cd ffsnn; PYTHONPATH=. {command}"
        )
        return subprocess.run([*ssh, there], capture_output=True, text=True, timeout=200)

    def running(self, host: Host) -> set[str]:
        return {process.name() for process in host.processes()} & {"raylet", "gcs_server"}


def listen(host: Host, folder: Path) -> "subprocess.Popen[bytes]":
    """Start a host's ssh server, with a home and a folder for Ray that no other host sees."""
    home = folder / host.name
    (home / ".ssh").mkdir(parents=True)
    shutil.copy(folder / "key.pub", home / ".ssh" / "authorized_keys")
    (home / ".bashrc").touch()
    seen = []  # what of this Python lies in the home that is hidden
    for place in {Path(sys.base_prefix), Path(sys.prefix)}:
        if place.is_relative_to(Path.home()):
            own = home / place.relative_to(Path.home())
            own.mkdir(parents=True)
            seen.append(f"mount --bind {place} {own}")
    Path("/tmp/ray").mkdir(exist_ok=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    server = f"exec {SSHD} -D -e -h {folder / 'host'} " + " ".join(f"-o {option}" for option in OPTIONS)
    private = ["mount --make-rprivate /", *seen, f"mount --rbind {home} {Path.home()}", "mount -t tmpfs tmpfs /tmp/ray"]
    isolated = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec"]
    return host.start(*isolated, "; ".join([*private, server]), log=folder / f"{host.name}.log")


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Launched]:
    if reason := namespaces.missing():
        pytest.skip(reason)
    if SSHD is None or not all(map(shutil.which, ("ssh", "ssh-keygen", "rsync", "unshare"))):
        pytest.skip("the launcher needs ssh, sshd, rsync and unshare")
    for name in ("key", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "token").write_text("5e1f" * 16)
    with hosts(3, {}) as there:
        servers = [listen(host, tmp_path) for host in there]
        head, *workers = (host.address for host in there)
        linked = f"ln -sfn {sys.prefix} ~/ffsnn-venv"
        first, *_, last = LAUNCHER["setup_commands"]
        changes = {
            "cluster_name": f"ffsnn-{os.getpid()}",
            "provider": {"type": "local", "head_ip": head, "worker_ips": workers},
            "auth": {"ssh_user": "root", "ssh_private_key": str(tmp_path / "key")},
            "file_mounts": {"~/ffsnn": str(ROOT), "~/.ray/auth_token": str(tmp_path / "token")},
            "setup_commands": [first, linked, last],
        }
        file = tmp_path / "ray-cluster.yaml"
        file.write_text(yaml.safe_dump(LAUNCHER | changes, sort_keys=False))
        yield Launched(there, file, tmp_path / "key")
    for server in servers:
        server.wait()
    for left in Path("/tmp/ray").glob(f"cluster-ffsnn-{os.getpid()}.*"):
        left.unlink()


def test_a_cluster_by_the_launcher(launched: Launched, tmp_path: Path) -> None:
    head, *workers = launched.hosts
    up = launched.ray("up")
    assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-3000:]
    deadline = time.monotonic() + 150
    while not all("raylet" in launched.running(host) for host in workers) and time.monotonic() < deadline:
        time.sleep(1)
    at = f"--address {head.address}:6379 --home {tmp_path / 'home'}"
    while (doctor := launched.on_head(f"ffsnn doctor digits_smoke {at}")).stdout.count("written") < 3:
        assert time.monotonic() < deadline, doctor.stdout + doctor.stderr
    assert doctor.returncode == 0

    search = launched.on_head(f"ffsnn search digits_smoke --trials 4 --name up {at}")
    assert search.returncode == 0, search.stdout[-2000:] + search.stderr[-2000:]
    assert f"on 2 nodes ({', '.join(worker.address for worker in workers)})" in search.stdout
    assert broken_promises(tmp_path / "home", "up", 4) == []

    assert launched.ray("down").returncode == 0
    assert launched.running(head) == set()
    deadline = time.monotonic() + 90  # the workers lose their head, and end themselves
    while any(map(launched.running, workers)):
        assert time.monotonic() < deadline
        time.sleep(1)
