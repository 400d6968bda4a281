"""Hosts of a test's own: network namespaces with addresses of their own on one bridge, on one machine.

They share its files and its processes, but a packet between them goes over a link that a test can cut.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
FFSNN = [sys.executable, "-c", "from search.cli import main; main()"]
# What the documentation has every node's Ray started with.
RAY = dict(re.findall(r"^export (\w+)=(\S+)", (ROOT / "examples" / "cluster" / "ray.env").read_text(), re.MULTILINE))


def missing() -> str:
    """Why there can be no such hosts here; nothing, if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2 (the command ip)"
    if subprocess.run(["ip", "netns", "list"], capture_output=True).returncode:
        return "this kernel has no network namespaces"
    return ""


@dataclass
class Host:
    """One namespace; what is started there is ended with it."""

    name: str
    address: str
    link: str  # its end on the bridge
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*command), env=os.environ | self.environment, text=True, capture_output=True, timeout=timeout
        )

    def start(self, *command: str, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("a") as output:
            return subprocess.Popen(
                self.command(*command), env=os.environ | self.environment, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def cut(self) -> None:
        """Its link, and no process."""
        _ip("link", "set", self.link, "down")

    def repair(self) -> None:
        _ip("link", "set", self.link, "up")

    def processes(self) -> list[psutil.Process]:
        listed = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True).stdout
        return [psutil.Process(int(pid)) for pid in listed.split() if psutil.pid_exists(int(pid))]

    def raylet(self) -> psutil.Process:
        return next(process for process in self.processes() if process.name() == "raylet")


@contextlib.contextmanager
def hosts(count: int, environment: dict[str, str]) -> Iterator[list[Host]]:
    """So many hosts, whose processes inherit an environment."""
    mark = f"{os.getpid() % 100000:x}"
    bridge, net = f"ffb{mark}", f"10.{100 + os.getpid() // 200 % 100}.{os.getpid() % 200}"
    there = [Host(f"ffsnn-{mark}-{n}", f"{net}.{n}", f"ffv{mark}-{n}", environment) for n in range(1, count + 1)]
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{net}.254/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for host in there:
            _ip("netns", "add", host.name)
            _ip("link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", host.name)
            _ip("link", "set", host.link, "master", bridge, "up")
            for command in (
                ("addr", "add", f"{host.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"), ("route", "add", "default", "via", f"{net}.254"),
            ):  # fmt: skip
                _ip("-n", host.name, *command)
        yield there
    finally:
        for host in there:
            end(host.processes())
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True)
            subprocess.run(["ip", "link", "delete", host.link], capture_output=True)
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True)


def end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=10)


def ray_head(host: Host, folder: Path, cpus: int = 0) -> str:
    """Start Ray's head; the address of the cluster."""
    said = host.run(*_ray(host, folder, cpus), "--head", "--port", "6379", "--include-dashboard=false")
    assert said.returncode == 0, said.stdout + said.stderr
    return f"{host.address}:6379"


def ray_worker(host: Host, address: str, folder: Path, cpus: int = 1, within: Sequence[str] = ()) -> None:
    said = host.run(*within, *_ray(host, folder, cpus), "--address", address)
    assert said.returncode == 0, said.stdout + said.stderr


def _ray(host: Host, folder: Path, cpus: int) -> list[str]:
    script = "import os; os.umask(0o077); from ray.scripts.scripts import main; main()"
    return [
        sys.executable, "-c", script, "start", "--node-ip-address", host.address, "--num-cpus", str(cpus),
        "--temp-dir", str(folder), "--object-store-memory", str(100 * 2**20), "--disable-usage-stats",
    ]  # fmt: skip


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


if __name__ == "__main__":  # a cluster to try things on: python -m tests.cluster.hosts FOLDER
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    token = {"RAY_AUTH_TOKEN": "a" * 64, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | RAY
    with hosts(4, token) as (first, *others):
        at = ray_head(first, place / "r1")
        for number, other in enumerate(others[:2], 2):
            ray_worker(other, at, place / f"r{number}")
        print(at, *(host.name for host in (first, *others)), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while not (place / "stop").exists():
                time.sleep(1)
