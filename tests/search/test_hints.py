"""Commands that a person is told to type: they work where they are pasted."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from search import hints
from search.cli import app
from search.retrain.champion import uses
from tests.search.conftest import FFSNN
from tests.search.test_best import finished

ROOT = Path(__file__).parents[2]


def test_the_program_is_named_as_it_was_typed(monkeypatch, tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "ffsnn").symlink_to(FFSNN)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ffsnn").touch(0o755)
    monkeypatch.chdir(tmp_path)
    with hints.typed([".venv/bin/ffsnn", "best"]):
        assert hints.command("best", "a") == "ffsnn best a"  # the tests' PATH has it
        monkeypatch.setenv("PATH", str(tmp_path / "other"))
        assert hints.command("best", "a") == ".venv/bin/ffsnn best a"
        monkeypatch.setenv("PATH", "")
        assert hints.command("best", "a") == ".venv/bin/ffsnn best a"
    with hints.typed([str(ROOT / "search" / "cli" / "__main__.py"), "best"]):
        assert hints.command("best", "a") == f"{sys.orig_argv[0]} -m search.cli best a"
    assert hints.command("best", "a") == f"{FFSNN} best a"  # asked from Python


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--home", "my home"], "ffsnn best a --home 'my home'"),
        (["--home=there"], "ffsnn best a --home=there"),
        (["--", "--home"], "ffsnn best a"),
        ([], "ffsnn best a"),
    ],
)
def test_the_home_is_repeated_as_it_was_given(arguments, said):
    with hints.typed([FFSNN, "search", *arguments]):
        assert hints.command("best", "a") == said


@pytest.mark.parametrize(
    ("typed", "asked", "said"),
    [
        (["search", "--use", "my parts.py", "--use=b.py"], ["best", "a"], "best a --use 'my parts.py' --use=b.py"),
        (["train", "--trust", "--out", "r"], ["show", "r"], "show r --trust"),
        (["best", "a", "--trust"], ["train", "best.yaml", "--use", "p.py"], "train best.yaml --use p.py"),
        (["search", "--use", "p.py"], ["spaces"], "spaces"),
        (["ui", "a", "--tracking-uri", "http://me:x@h:1"], ["sync", "a"], "sync a --tracking-uri http://me@h:1"),
        (
            ["train", "--tracking-uri=http://h:1"],
            ["train", "r/config.json"],
            "train r/config.json --tracking-uri=http://h:1",
        ),
        (["train", "--tracking-uri", "http://h:1"], ["show", "r"], "show r"),
    ],
)
def test_parts_and_the_address_go_with_it_where_the_command_takes_them(typed, asked, said):
    with hints.typed([FFSNN, *typed]):
        assert hints.command(*asked) == f"ffsnn {said}"


def test_the_commands_that_take_what_is_carried():
    commands = typer.main.get_command(app).commands
    options = {name: {option for it in command.params for option in it.opts} for name, command in commands.items()}
    del options["seed-table"]  # a hidden name of another one
    for option, takes in hints.CARRIED.items():
        given = {name for name in options if takes(name)}
        assert given <= (takers := {name for name, its in options.items() if option in its})
        assert given == takers or option == "--tracking-uri"


def test_where_a_champion_is_used(monkeypatch):
    with hints.typed([FFSNN, "retrain", "a", "--home", "h"]):
        local = uses("a", "sqlite:////h/mlruns/mlflow.db", None)
        server = uses("a", "http://me:secret@host:5000", "http://me:secret@host:5000")
    assert "ffsnn predict models:/a@champion image.png --home h\n" in local
    assert "mlflow.set_tracking_uri('sqlite:////h/mlruns/mlflow.db')\n" in local
    assert "image.png --tracking-uri http://me@host:5000 --home h\n" in server
    assert "secret" not in server


def test_what_is_said_works_in_the_folder_where_it_was_said(tmp_path):
    """Without an activated environment, and with a home of its own."""
    finished(tmp_path / "a home" / "mlruns")
    environment = {name: value for name, value in os.environ.items() if name != "FFSNN_HOME"} | {
        "PATH": "/usr/bin:/bin"
    }
    where = {"cwd": tmp_path, "env": environment, "text": True, "capture_output": True, "timeout": 240}
    said = subprocess.run([FFSNN, "best", "done", "--home", "a home"], **where).stderr
    line, other = said.partition("next: ")[2].splitlines()
    assert line.endswith("--home 'a home'")
    assert other.endswith("ffsnn retrain done --home 'a home'")
    trained = subprocess.run(["sh", "-c", f"{line} --epochs 1"], **where)
    assert trained.returncode == 0, trained.stderr
    assert len(list((tmp_path / "a home" / "mlruns" / "runs").iterdir())) == 1


def test_one_function_makes_all_of_them():
    """No message of the program writes a command of it by hand, but for pages of help and of reports kept elsewhere."""
    commands = ("search", "best", "train", "retrain", "sync", "ui", "report", "predict", "simulate", "delete", "list")
    free = {"note.py", "landing.py"}  # a description in MLflow says the same wherever it is written
    found = []
    for file in (ROOT / "search").rglob("*.py"):
        tree = ast.parse(file.read_text())
        docs = {id(node.body[0].value) for node in ast.walk(tree)
                if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
                and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in docs else None
            if isinstance(text, str) and file.name not in free and any(f"ffsnn {name} " in text for name in commands):
                found.append(f"{file.relative_to(ROOT)}: {text}")
    assert not found
