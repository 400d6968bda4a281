"""PostgreSQL and an MLflow server with basic-auth on a host of a test: started, stopped and started again."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.hosts import Host

PASSWORD = "correct-horse"  # of the database and of MLflow, so that it can be looked for wherever it must not be
DATABASES = ("ffsnn", "mlflow", "mlflow_auth")


def binary(name: str) -> str | None:
    """A program of PostgreSQL; Debian keeps them out of the way."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


def missing() -> str:
    """Why there can be no such servers here; nothing, if there can."""
    if binary("postgres") is None or binary("initdb") is None:
        return "PostgreSQL is not installed (postgres, initdb)"
    try:
        import flask_wtf  # noqa: F401
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"the extra ffsnn[cluster] is not installed ({error.name})"
    return ""


class Postgres:
    """A server of its own in a folder, with the databases of a search and of MLflow; passwords are asked for."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.data, self.log = host, folder / "postgres", folder / "postgres.log"
        self.user = next(user for user in ("postgres", "nobody") if _exists(user))  # it will not run as root
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"postgresql://ffsnn:{password}@{self.host.address}:5432/{database}"

    def create(self) -> None:
        self.data.mkdir(mode=0o700)
        shutil.chown(self.data, self.user)
        secret = self.data.with_name("postgres.password")
        secret.write_text(PASSWORD)
        shutil.chown(secret, self.user)
        initdb = ["-U", "ffsnn", "--auth", "scram-sha-256", "--pwfile", str(secret), "-D", str(self.data)]
        said = self.host.run(*self._as_user(), str(binary("initdb")), *initdb)
        assert said.returncode == 0, said.stderr
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all ffsnn 0.0.0.0/0 scram-sha-256\n")
        self.start()
        psql = ["psql", "-v", "ON_ERROR_STOP=1", self.url("postgres")]
        for database in DATABASES:
            said = self.host.run(*psql, "-c", f"CREATE DATABASE {database}")
            assert said.returncode == 0, said.stderr

    def start(self) -> None:
        options = ["-D", str(self.data), "-c", "listen_addresses=*", "-c", f"unix_socket_directories={self.data}"]
        self.process = self.host.start(*self._as_user(), str(binary("postgres")), *options, log=self.log)
        wait_for(self.host, 5432, self.log)

    def stop(self) -> None:
        """At once, as a crash would; what was committed is there afterwards."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGQUIT)
        self.process.wait(timeout=30)

    def _as_user(self) -> list[str]:
        return ["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}", "--clear-groups"]


class Mlflow:
    """A server that asks for a name and a password, and is known by its address alone; its store is in PostgreSQL."""

    def __init__(self, host: Host, folder: Path, database: Postgres) -> None:
        self.host, self.log, self.database = host, folder / "mlflow.log", database
        self.artifacts, self.settings = folder / "artifacts", folder / "basic_auth.ini"
        self.process: subprocess.Popen[bytes] | None = None
        self.settings.write_text(
            "[mlflow]\ndefault_permission = READ\nauth_cache_ttl_seconds = 60\n"  # 28 ms a call rather than 240
            f"database_uri = {database.url('mlflow_auth')}\nadmin_username = ffsnn\nadmin_password = {PASSWORD}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )

    def url(self, password: str = PASSWORD) -> str:
        return f"http://ffsnn:{password}@{self.host.address}:5000"

    def start(self) -> None:
        environment = {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": self.database.url("mlflow"),
        }  # fmt: skip
        self.process = self.host.start(
            "env", *(f"{name}={value}" for name, value in environment.items()),
            sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1",
            "--host", self.host.address, "--port", "5000", "--allowed-hosts", f"{self.host.address}:5000",
            "--artifacts-destination", str(self.artifacts),
            log=self.log,
        )  # fmt: skip
        wait_for(self.host, 5000, self.log, seconds=120)

    def stop(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)


def wait_for(host: Host, port: int, log: Path, seconds: float = 30) -> None:
    """Until a port of a host takes connections from outside."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection((host.address, port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"port {port} takes no connections: {log.read_text()[-2000:]}")


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
