"""Files of a user's that hide the modules `search` and `spaces`."""

import subprocess
import sys
from pathlib import Path

import pytest

import ffsnn

SEARCH = """
import ffsnn_search as search
if __name__ == "__main__":
    found = search.run("digits_smoke", trials=2, epochs=1, home=".", quiet=True)
    import search as plain
    print(repr(found), plain.load is search.load)
"""


def run(folder: Path, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("search", "spaces"):
        (tmp_path / f"{name}.py").write_text("mine = True\n")
    return tmp_path


@pytest.mark.slow
def test_a_search_runs_beside_them(folder):
    done = run(folder, SEARCH, 240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<Search digits_smoke-1: 2 of 2 trials have ended, best validation accuracy ")
    assert done.stdout.endswith("True\n")


def test_one_that_was_imported_before_is_named(folder):
    done = run(folder, "import search\nassert search.mine\nimport ffsnn_search")
    assert f"ImportError: the module 'search' of this process is {folder}/search.py, not ffsnn's" in done.stderr
    assert "import ffsnn_search before it" in done.stderr


def test_a_hidden_spaces_is_named(folder):
    (folder / "search.py").unlink()
    done = run(folder, "import search\nsearch.run('digits_smoke')")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: the module 'spaces' of this process is {folder}/spaces.py, not ffsnn's")
    assert "import ffsnn_search as search" in last


def test_ffsnn_has_no_search_and_says_where_it_is():
    with pytest.raises(AttributeError, match=r"import search, or import ffsnn_search as search"):
        ffsnn.search  # noqa: B018
