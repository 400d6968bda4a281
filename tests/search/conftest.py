"""Runs the commands the way a person would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FFSNN = str(Path(sys.executable).parent / "ffsnn")


def ffsnn(*arguments: str, home: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the command as its user would."""
    environment = {**os.environ, "FFSNN_HOME": str(home)}
    return subprocess.run([FFSNN, *arguments], env=environment, text=True, capture_output=True, timeout=timeout)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A home in which one search of the embedded digits has been run to its end."""
    home = tmp_path_factory.mktemp("home")
    (home / "mlruns").mkdir()
    return home, ffsnn("search", "digits_smoke", "--name", "smoke", home=home)
