"""The MLflow server on the local store: two processes, loopback only."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console

from ffsnn.config import ConfigError
from search.names import ARTIFACTS, ENVIRONMENT
from search.store import open_store, store_uri

LOOPBACK = "127.0.0.1"


def serve(home: Path, port: int, console: Console) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        ConfigError: the port is taken, or the server does not come up.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ConfigError(f"port {port} is taken: choose another with --port, or 0 for any") from error
        port = probe.getsockname()[1]
    _, experiment = open_store(home)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    server = subprocess.Popen(
        [
            sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1",
            "--backend-store-uri", store_uri(home), "--default-artifact-root", (home / ARTIFACTS).as_uri(),
            "--allowed-hosts", f"{LOOPBACK}:{port},localhost:{port}",
        ],
        env={**ENVIRONMENT, **os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        address = f"http://{LOOPBACK}:{port}"
        _wait(server, address)
        console.print(f"{address}/#/experiments/{experiment}/runs   (Ctrl-C stops)")
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=15)


def _wait(server: "subprocess.Popen[bytes]", address: str, seconds: float = 60) -> None:
    for _ in range(int(seconds * 5)):
        if server.poll() is not None:
            raise ConfigError(f"the MLflow server ended with code {server.returncode}: try `mlflow server` by hand")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ConfigError(f"the MLflow server did not answer within {seconds:.0f} s")
