"""What is wrong with a server that a search is to use, in one line, and how to mend it; nothing, if it answers."""

import json
import os
import socket
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ffsnn.validation import ConfigError
from search.settings import elsewhere, redacted, setting

ANSWER_TIMEOUT_S = 4.0  # seconds
SILENT = "does not answer"
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
# Of Ray's own protocol, an empty question that each of its processes asks first.
FIRST_QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"


def database_problem(url: str) -> str:
    """Problem of a study's database."""
    from search.study.database import check_reachable

    try:
        check_reachable(url)
    except ConfigError as error:
        return str(error)
    return ""


def tracking_problem(uri: str) -> str:
    """Problem of an MLflow server or store: silent, of another kind, a wrong password, a host it does not know.

    Asked in a thread: neither a name server that is slow nor a server that drips keeps a person waiting for longer.
    """
    shown, parts = redacted(uri), urlsplit(uri)
    scheme = parts.scheme.split("+")[0]
    if scheme == "sqlite":
        there = Path(uri.split("://", 1)[1].removeprefix("/")).is_file()  # else SQLite would make an empty one
        return "" if there else f"{uri} is not there: name an MLflow server, or sqlite:////a/path/mlflow.db"
    if scheme not in PORTS or not parts.hostname:
        return f"{shown} is no MLflow address: it should look like http://host:5000"
    said: list[str] = []

    def ask() -> None:
        try:
            if scheme.startswith("http"):
                said.append(_mlflow_problem(uri))
            else:
                socket.create_connection((parts.hostname, parts.port or PORTS[scheme]), ANSWER_TIMEOUT_S).close()
                said.append("")
        except Exception as error:  # of the address, the name server, the connection, the protocol
            reason = redacted(str(getattr(error, "reason", error)))
            said.append(f"{SILENT} ({reason}): is the address right, and is the server up?")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_TIMEOUT_S)
    problem = said[0] if said else f"{SILENT} (nothing came within {ANSWER_TIMEOUT_S:.0f} s): is the server up?"
    return f"the MLflow server {shown} {problem}" if problem else ""


def check_reachable(uri: str) -> None:
    """Make sure that an MLflow server or store is there, and takes us.

    Raises:
        ConfigError: it does not.
    """
    if problem := tracking_problem(uri):
        raise ConfigError(problem)


def tracking_store(asked: str | None) -> str | None:
    """The MLflow address that a person means (`search.settings`); None: the local store.

    Raises:
        ConfigError: it does not answer.
    """
    uri = elsewhere(setting("tracking_uri", asked))
    if uri is not None:
        check_reachable(uri)
    return uri


def _mlflow_problem(uri: str) -> str:
    try:
        with urllib.request.urlopen(_question(uri), timeout=ANSWER_TIMEOUT_S) as answer:
            said, kind = answer.read(), answer.headers.get("Content-Type", "")
    except urllib.error.HTTPError as error:
        return _refused(error)
    try:
        json.loads(said)
    except ValueError:
        what = "HTML" if "html" in kind else kind or "something"
        return f"answers with {what}, as MLflow does not: it is another server, or a login page before it"
    return ""


def _question(uri: str) -> urllib.request.Request:
    """For one experiment, asked as MLflow's client would."""
    parts = urlsplit(uri)
    netloc = parts.netloc.rpartition("@")[2]
    user, password = parts.username, parts.password
    if password is None:
        user, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    headers = {"Content-Type": "application/json"}
    if user is not None and password is not None:
        headers["Authorization"] = "Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    url = f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}/api/2.0/mlflow/experiments/search"
    return urllib.request.Request(url, b'{"max_results": 1}', headers)


def _refused(error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return (
            "asks for a name and a password, or they are wrong: put them into the address, or into "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if error.code == 403:
        said = " ".join(error.read(300).decode(errors="replace").split())
        return (
            f"refuses (403: {said[:120]}): the server must be started with this host and port among its "
            "--allowed-hosts, and the user have the permission"
        )
    return f"answers with HTTP {error.code} {error.reason}: is it an MLflow server?"


def ray_problem(address: str) -> str:
    """Problem of a Ray cluster: silent, another token, or none asked for."""
    target = head_of(address)
    if target is None:
        return "no Ray runs on this host: start it (docs/cluster.md), or name the head with --address HOST:PORT"
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_TIMEOUT_S).close()
    except OSError as error:
        return f"nobody answers at {target} ({error}): is the address right, and has `ray start --head` been run there?"
    from search.cluster import ray_private

    token = ray_private.token()
    if token is None:
        return f"the cluster at {target} needs its token: RAY_AUTH_TOKEN, or the file ~/.ray/auth_token of its head"
    told = _asked(target, token)
    if told == "UNAUTHENTICATED":
        return f"the cluster at {target} has another token: take the one of its head, ~/.ray/auth_token there"
    if told == "OK" and _asked(target, None) == "OK":
        return f"the cluster at {target} takes anybody, without a token: start all its nodes with RAY_AUTH_MODE=token"
    return ""


def head_of(address: str) -> str | None:
    """HOST:PORT of a cluster's head; of `auto`, as Ray finds it on this host; None: it does not."""
    if address != "auto":
        return address
    from search.cluster import ray_private

    return ray_private.address_of_this_host()


def _asked(target: str, token: str | None) -> str:
    """Ask a cluster's head its first question; the answer's code of gRPC."""
    import grpc

    with grpc.insecure_channel(target) as channel:
        ask = channel.unary_unary(FIRST_QUESTION, request_serializer=None, response_deserializer=None)
        try:
            ask(b"", timeout=ANSWER_TIMEOUT_S, metadata=[("authorization", f"Bearer {token}")] if token else [])
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"
