"""What a search changes in its process, and gives back; loopback is never asked through a proxy."""

import http.server
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from search import environment
from search.cluster.servers import check_reachable
from search.names import ENVIRONMENT
from search.settings import origins
from tests.search.conftest import refused


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*ENVIRONMENT, *environment.NO_PROXY):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (None, None, "127.0.0.1,localhost,::1"),
        ("intern", None, "intern,127.0.0.1,localhost,::1"),
        (None, "a, localhost", "a,localhost,127.0.0.1,::1"),
        ("a", "b", "a,b,127.0.0.1,localhost,::1"),
    ],
)
def test_loopback_joins_what_is_not_asked_through_a_proxy(bare, lower, upper, expected):
    for name, value in zip(environment.NO_PROXY, (lower, upper), strict=True):
        if value:
            bare.setenv(name, value)
    for _ in range(2):
        environment.prepare()
        assert [os.environ[name] for name in environment.NO_PROXY] == [expected] * 2


def test_all_without_a_proxy_stays_so(bare):
    bare.setenv("no_proxy", "*")
    environment.prepare()
    assert os.environ["no_proxy"] == "*"


def test_a_users_process_has_again_what_it_had(bare):
    bare.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before, interval, mask = dict(os.environ), sys.getswitchinterval(), os.umask(0o027)
    os.umask(0o027)
    with environment.prepared():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["TUNE_DISABLE_SIGINT_HANDLER"] == "1"
        sys.setswitchinterval(0.001)
    assert dict(os.environ) == before
    assert sys.getswitchinterval() == interval
    assert os.umask(mask) == 0o027


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as it:
        threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{it.server_port}"
        it.shutdown()


@pytest.mark.parametrize("proxy", ["http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"])
def test_a_server_on_loopback_answers_where_a_proxy_is_set(bare, server, proxy):
    bare.setenv(proxy, "http://127.0.0.1:9")
    environment.prepare()
    check_reachable(server)


# --- settings that nobody typed ---


def test_what_comes_from_the_environment_is_named_with_what_overrules_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said = refused("best", "nope", home=tmp_path)
    note = r"(tracking_uri comes from MLFLOW_TRACKING_URI: --tracking-uri local, or another, overrules it)"
    assert "does not answer" in said
    assert said.endswith(f"{note}\n")
    assert "no search 'nope'" in refused("best", "nope", "--tracking-uri", "local", home=tmp_path)
    monkeypatch.setenv("FFSNN_ADDRESS", "nonsense")
    said = refused("search", "digits_smoke", home=tmp_path)
    assert "must be auto, HOST:PORT" in said
    assert "address comes from FFSNN_ADDRESS: --address local, or another, overrules it" in said


def test_what_comes_from_a_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FFSNN_DATA", raising=False)
    (tmp_path / "ffsnn.toml").write_text('data_dir = "data"\n')
    note = "data_dir comes from ffsnn.toml: --data-dir FOLDER overrules it"
    assert origins(f"place them in {tmp_path}/data/mnist by hand") == note
    assert origins("place them in /elsewhere") == ""


@pytest.mark.parametrize("uri", ["http://me:hunter2@127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_password_is_not_in_a_note(tmp_path, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    said = refused("best", "nope", home=tmp_path)
    assert "comes from MLFLOW_TRACKING_URI" in said
    assert "hunter2" not in said
