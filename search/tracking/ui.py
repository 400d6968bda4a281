"""`ffsnn ui`: MLflow's pages on the local store, or the addresses of a search's on a server that runs already.

The server is two processes, on loopback unless another address is asked for. The process that waits for it imports
nothing heavy: what needs the store is done before, in a process of its own.
"""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
from rich.console import Console

from ffsnn.validation import ConfigError, brief
from search import environment
from search.display.sentences import remark
from search.names import ARTIFACTS
from search.signals import end_with_parent
from search.tracking.store import merge, open_store, store_uri

LOOPBACK, ANYWHERE = "127.0.0.1", "0.0.0.0"
# A browser's name for loopback (RFC 6761). MLflow opens its assistant over the first page of a server that is called
# localhost or 127.0.0.1, and of no other.
QUIET = "ffsnn.localhost"
ENDS_WITHIN_S = 15.0  # seconds that a server has after SIGTERM
Pages = dict[str, str]  # what a page shows -> what comes after the server's address


def ui(home: Path, name: str | None, host: str, port: int, uri: str | None, console: Console) -> None:
    """Name the pages of a search, after starting a server for them, until Ctrl-C or SIGTERM, where none runs yet.

    Args:
        home: the `mlruns/` folder.
        name: of the search; None: the page of all.
        host: that the server listens on.
        port: 0: any free one.
        uri: of a server that runs already; None: the one that the search was written to, else one is started.
        console: where the addresses go.

    Raises:
        ConfigError: there is no such search, a server does not answer or ends by itself, or the port is taken.
    """
    environment.prepare()
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as apart:
        server, pages = apart.submit(_prepared, home, name, uri).result()
    if server is None:
        _serve(home, host, _free(host, port), pages, console)
    else:
        _print(server.rstrip("/"), pages, console)


def _prepared(home: Path, name: str | None, uri: str | None) -> tuple[str | None, Pages]:
    """The server that runs already, if one is meant, and the pages; a search's are prepared."""
    from mlflow.exceptions import MlflowException

    from search.cluster.servers import check_reachable
    from search.settings import elsewhere
    from search.store.folder import SearchFolder
    from search.tracking import landing, orphans
    from search.tracking.view import prepare

    if name is not None and uri is None:
        uri = SearchFolder.open(home, name).config.tracking_uri
    uri = elsewhere(uri)
    if uri is not None:
        if not uri.startswith(("http://", "https://")):
            raise ConfigError(f"the pages need an MLflow server, such as http://host:5000, but got {uri}")
        check_reachable(uri)
    try:
        if name is not None:
            return uri, prepare(home, name, uri)
        if uri is None and (left := orphans.remark(home)):
            remark(left)
        return uri, {"": landing.prepare(*open_store(home, uri))}
    except MlflowException as error:
        raise ConfigError(f"{uri or store_uri(home)} does not answer as MLflow does: {brief(error)}") from None


def _free(host: str, port: int) -> int:
    if not 0 <= port < 2**16:
        raise ConfigError(f"--port must be from 0 (any free one) to {2**16 - 1}, but got {port}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} of {host} is not to be had ({error.strerror}): choose another with --port, or 0 for any"
            ) from error
        free: int = probe.getsockname()[1]
        return free


def _serve(home: Path, host: str, port: int, pages: Pages, console: Console) -> None:
    server = subprocess.Popen(
        [
            sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1",
            "--backend-store-uri", store_uri(home), "--default-artifact-root", (home / ARTIFACTS).as_uri(),
            "--allowed-hosts", ",".join(f"{known}:{port}" for known in _known_as(host)),
            "--cors-allowed-origins", ",".join(f"http://{known}:{port}" for known in _known_as(host)),
        ],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=end_with_parent,
    )  # fmt: skip
    try:
        _wait(server, f"http://{LOOPBACK if host == ANYWHERE else host}:{port}")
        if host != LOOPBACK:
            console.print(f"no password is asked: whoever reaches {host}:{port} can read and change this store")
        named = {LOOPBACK: QUIET, ANYWHERE: socket.gethostname()}.get(host, host)
        _print(f"http://{named}:{port}", pages, console)
        other = f"; where a browser does not find {QUIET}: {LOOPBACK} in its place" if named == QUIET else ""
        console.print(f"(Ctrl-C stops{other})")
        server.wait()
        raise _ended(server)
    except KeyboardInterrupt:
        pass
    finally:
        _end(server)
        merge(home)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End a server and its workers, which may have ended by themselves."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=ENDS_WITHIN_S)
            return


def _ended(server: "subprocess.Popen[bytes]") -> ConfigError:
    return ConfigError(f"the MLflow server ended with code {server.returncode}: try `mlflow server` by hand")


def _known_as(host: str) -> list[str]:
    """The names by which a browser may ask for the server; others are refused, against DNS rebinding."""
    if host == LOOPBACK:
        return [LOOPBACK, "localhost", QUIET]
    if host != ANYWHERE:
        return [host, socket.gethostname(), socket.getfqdn()]
    addresses = [a.address for each in psutil.net_if_addrs().values() for a in each if a.family == socket.AF_INET]
    return ["localhost", socket.gethostname(), socket.getfqdn(), *addresses]


def _print(server: str, pages: Pages, console: Console) -> None:
    width = max(map(len, pages))
    for shows, page in pages.items():
        console.print(f"{shows:{width}}  {server}{page}".strip())


def _wait(server: "subprocess.Popen[bytes]", address: str, seconds: float = 60) -> None:
    for _ in range(int(seconds * 5)):
        if server.poll() is not None:
            raise _ended(server)
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ConfigError(f"the MLflow server did not answer within {seconds:.0f} s")
