"""Each program of docs/extending.md runs as it stands, in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"
PROGRAMS = dict(re.findall(r"^## (.*?)\n.*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
PRINTS = {
    "A goodness": r"1 \d+\.\d%\n2 (?!10)\d\d\.\d%\n",
    "A data set": r"360 training images, 40 validation images\n",
    "An objective": r"mean firing rate minimize\n",
    "A layer": r"1 \d+\.\d%\n2 (?!10)\d\d\.\d%\n",
    "A scheduler": r"\[1, 3, 9\] are the epochs with a checkpoint\n",
}


@pytest.mark.parametrize("task", PRINTS)
def test_the_program_does_what_it_says(task: str, tmp_path: Path) -> None:
    code = PROGRAMS[task]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(PRINTS[task], done.stdout), done.stdout


def test_every_program_is_run() -> None:
    assert PROGRAMS.keys() == PRINTS.keys()
