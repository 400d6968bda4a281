"""What doctor says of this machine, of nodes that differ, and of servers that answer otherwise than they should."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from search.cluster.doctor import _line, examine, refusal
from search.cluster.node_report import NodeReport, Question, report
from search.cluster.servers import SILENT, database_problem, ray_problem, tracking_problem
from search.config import SearchConfig
from search.settings import redacted
from spaces.space import Space
from tests.search.conftest import ffsnn

CONFIG = SearchConfig(name="s", space=Space.load("digits_smoke"), trials=1, epochs=1)
FINE = NodeReport(
    host="a",
    versions={"python": "3.11.7", "ray": "2.60.0"},
    code="c0de",
    checksum="da7a",
    free={"/tmp": 10**12},
    time=1.0,
)


class Answer(BaseHTTPRequestHandler):
    """Answers each question as its server was told."""

    def do_POST(self) -> None:
        code, kind, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        ((200, "application/json", "{}"), ""),
        ((200, "text/html; charset=utf-8", "<html>Sign in</html>"), "answers with HTML, as MLflow does not"),
        ((401, "text/plain", "You are not authenticated"), "MLFLOW_TRACKING_PASSWORD"),
        ((403, "text/plain", "Invalid Host header"), "403: Invalid Host header.*--allowed-hosts"),
        ((404, "text/html", "not found"), "HTTP 404 .*is it an MLflow server"),
    ],
)
def test_a_tracking_server(server, answer, fragment):
    server.answer = answer
    url = f"http://me:hunter2@127.0.0.1:{server.server_port}"
    said = tracking_problem(url)
    assert "hunter2" not in said
    if fragment:
        assert re.search(fragment, said)
        assert SILENT not in said
    else:
        assert said == ""


def test_servers_that_are_not_there(tmp_path):
    assert SILENT in tracking_problem("http://127.0.0.1:9")
    assert "is not there" in tracking_problem(f"sqlite:///{tmp_path}/none.db")
    assert "Connection refused" in database_problem("postgresql://me@127.0.0.1:9/d")
    assert "nobody answers at 127.0.0.1:9" in ray_problem("127.0.0.1:9")


@pytest.mark.parametrize(
    ("said", "skew", "fragment"),
    [
        ({}, 0.5, ""),
        ({"versions": {"python": "3.12.1", "ray": "2.60.0"}}, 0, "python 3.12.1, here 3.11.7: install the same"),
        ({"code": "0ld"}, 0, "its source of ffsnn is another one"),
        ({"home": "/h is not the folder that the driver sees"}, 0, "/h is not the folder .*: name with --home"),
        ({"data": "cannot fetch mnist", "checksum": ""}, 0, "cannot fetch mnist: fetch it there once"),
        ({"checksum": "07e5"}, 0, "its training images are others"),
        ({}, 90.0, "its clock is 90 s off: let NTP"),
        ({"free": {"/tmp": 3 * 10**6}}, 0, "3 MB are free in /tmp: make room"),
    ],
)
def test_a_node(said, skew, fragment):
    wrong = refusal([_line("10.0.0.2", replace(FINE, **said), FINE, skew)])
    assert re.search(f"^10.0.0.2: .*{fragment}", wrong) if fragment else wrong == ""
    assert wrong.count("\n") == 0


def test_a_home_that_is_another_folder_here(tmp_path: Path):
    (tmp_path / "probe").write_text("another secret")
    asked = Question(str(tmp_path), str(tmp_path / "probe"), "secret", CONFIG.base.yaml())
    assert "is another folder here" in report(asked).home
    assert report(replace(asked, secret="another secret")).home == ""
    assert "is not the folder that the driver sees" in report(replace(asked, probe=str(tmp_path / "none"))).home


def test_this_machine_is_well(tmp_path: Path):
    lines = examine(tmp_path, CONFIG)
    assert refusal(lines) == ""
    assert [line.name for line in lines] == ["this machine"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command(tmp_path: Path):
    said = ffsnn("doctor", "digits_smoke", "--storage", "postgresql://me:hunter2@127.0.0.1:9/d", home=tmp_path)
    assert said.returncode == 1
    assert "this machine" in said.stdout
    assert "study: the study's database postgresql://me@127.0.0.1:9/d cannot be used" in said.stdout
    assert redacted(said.stdout) == said.stdout
    assert ffsnn("doctor", "digits_smoke", home=tmp_path).returncode == 0


def test_the_report_for_an_issue_has_no_secret(monkeypatch, tmp_path, capsys):
    from search.cluster.issue_report import issue_report

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FFSNN_HOME", "/home/somebody/private")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@tracking.example?password=hunter2")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "hunter2")
    monkeypatch.setenv("RAY_TMPDIR", "/home/somebody/private")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    said = issue_report()
    assert not any(secret in said for secret in ("hunter2", "somebody", "tracking.example"))
    assert "tracking_uri is set by environment (https)" in said
    assert "OMP_NUM_THREADS=1" in said
    assert "RAY_AUTH_TOKEN=(set)" in said
    assert re.search(r"- libraries: .*torch \d+\.", said)


def test_the_report_is_asked_for_by_an_option(tmp_path):
    done = ffsnn("doctor", "--report", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("- ffsnn: 0.1.0, source ")
    assert not (tmp_path / "mlruns").exists()
