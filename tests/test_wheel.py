"""A wheel has all that a command needs, and works where nothing else of this project is."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_architecture import ROOT, project_files


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content; built from a copy, for a build leaves folders behind."""
    source, built, there = (tmp_path_factory.mktemp(name) for name in ("source", "built", "unpacked"))
    for path in project_files():
        if path.parts[0] in ("ffsnn", "spaces", "search") or len(path.parts) == 1:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, source / path)
    pip = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q", "-w", str(built)]
    done = subprocess.run(pip, cwd=source, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (wheel,) = built.glob("ffsnn-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(there)
    return there


def run(unpacked: Path, tmp_path: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "FFSNN_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_has_every_file_of_the_packages(unpacked):
    packages = [path for path in project_files() if path.parts[0] in ("ffsnn", "spaces", "search")]
    assert len(packages) > 150
    assert [str(path) for path in packages if not (unpacked / path).is_file()] == []


def test_it_says_its_licence_and_command(unpacked):
    (info,) = unpacked.glob("ffsnn-*.dist-info")
    assert "License-Expression: Apache-2.0" in (info / "METADATA").read_text()
    assert "Apache License" in (info / "licenses" / "LICENSE").read_text()
    assert "ffsnn = search.cli:main" in (info / "entry_points.txt").read_text()


def test_its_commands_work_from_it_alone(unpacked, tmp_path):
    where = run(unpacked, tmp_path, "-c", "import ffsnn, spaces, search; print(*[m.__file__ for m in (ffsnn, search)])")
    assert where.count(str(unpacked)) == 2
    assert run(unpacked, tmp_path, "-c", "import ffsnn_search as s; print(s.run.__module__)") == "search.api\n"
    assert run(unpacked, tmp_path, "-m", "search.cli", "--version") == "ffsnn 0.1.0\n"
    spaces = run(unpacked, tmp_path, "-m", "search.cli", "spaces")
    assert all(path.stem in spaces for path in (ROOT / "spaces").glob("*.yaml"))
    assert "mnist_fast" in run(unpacked, tmp_path, "-m", "search.cli", "presets")
