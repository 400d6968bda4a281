"""An MLflow server of a test's own, to be hung and killed: two processes in one group, on loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

LOOPBACK = "127.0.0.1"


class Server:
    """Serves a store in `folder`; keeps its port over its deaths."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://{LOOPBACK}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def group(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> "Server":
        with (self.folder / "output").open("a") as output:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(self.port),
                    "--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/server.db",
                    "--artifacts-destination", str(self.folder / "artifacts"),
                    "--allowed-hosts", f"{LOOPBACK}:{self.port},localhost:{self.port}",
                ],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self._wait()
        return self

    def restore(self) -> None:
        """Let it answer again, whatever was done to it."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.group, signal.SIGCONT)
            self._wait()
        else:
            self.stop()
            self.start()

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.group, signal.SIGKILL)
            self.process.wait()

    def _wait(self, seconds: float = 90) -> None:
        assert self.process is not None
        for _ in range(int(seconds * 5)):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError((self.folder / "output").read_text()[-2000:])
