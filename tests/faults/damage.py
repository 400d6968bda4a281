"""Damage to the files of a search at rest: what a bad disk, a torn write or a careless hand may leave.

One record of a thing at a time: an ended trial's epochs stand in its history and in its end, and where both were lost
it is trained again.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], str]  # search folder -> what was done; "nothing" where nothing could be


def checkpoint_truncated(folder: Path, draw: random.Random) -> str:
    """The newest of a trial that has not ended, where there is one."""
    files = sorted(folder.glob("trials/*/last.safetensors"), key=lambda file: file.stat().st_mtime)
    open_ = [file for file in files if not (file.parent / "end.json").exists()]
    if not files:
        return "nothing"
    return _cut((open_ or files)[-1], draw.random())


def history_torn(folder: Path, draw: random.Random) -> str:
    """In the middle of the last line."""
    files = _histories(folder)
    return _tear(draw.choice(files), draw) if files else "nothing"


def history_cut_back(folder: Path, draw: random.Random) -> str:
    files = _histories(folder)
    return _cut_back(draw.choice(files), draw, 3) if files else "nothing"


def study_torn(folder: Path, draw: random.Random) -> str:
    return _tear(folder / "study.log", draw)


def study_cut_back(folder: Path, draw: random.Random) -> str:
    return _cut_back(folder / "study.log", draw, 20)


def study_deleted(folder: Path, draw: random.Random) -> str:
    return _delete([folder / "study.log"])


def end_deleted(folder: Path, draw: random.Random) -> str:
    """Of any but the newest: that one the study may not have been told of, and nothing else says how it ended."""
    files = sorted(folder.glob("trials/*/end.json"), key=lambda file: file.stat().st_mtime)[:-1]
    files = [file for file in files if _has_its_history(file)]
    return _delete([draw.choice(files)] if files else [])


def store_deleted(folder: Path, draw: random.Random) -> str:
    return _delete(sorted(folder.parents[1].glob("mlflow.db*")))


def _histories(folder: Path) -> list[Path]:
    """Those that another file can restore."""
    files = [file for file in sorted(folder.glob("trials/*/history.jsonl")) if file.stat().st_size]
    others = ("end.json", "last.safetensors")
    return [file for file in files if any((file.parent / other).exists() for other in others)]


def _has_its_history(end: Path) -> bool:
    try:
        sealed, history = json.loads(end.read_text())["history"], end.with_name("history.jsonl")
        return len(sealed) == (len(history.read_text().splitlines()) if history.exists() else 0)
    except (ValueError, KeyError):
        return False


DAMAGES: dict[str, Damage] = {
    "checkpoint truncated": checkpoint_truncated, "history torn": history_torn, "history cut back": history_cut_back,
    "study torn": study_torn, "study cut back": study_cut_back, "study deleted": study_deleted,
    "end deleted": end_deleted, "MLflow store deleted": store_deleted,
}  # fmt: skip


def _cut(file: Path, share: float) -> str:
    size = file.stat().st_size
    with file.open("r+b") as content:
        content.truncate(int(share * size))
    return f"{_short(file)} has {int(share * size)} of {size} bytes"


def _tear(file: Path, draw: random.Random) -> str:
    if not file.exists() or not (content := file.read_bytes()):
        return "nothing"
    start = content.rfind(b"\n", 0, -1) + 1
    kept = draw.randint(start + 1, len(content) - 1)
    file.write_bytes(content[:kept])
    return f"{_short(file)} ends within its last line, {len(content) - kept} bytes short"


def _cut_back(file: Path, draw: random.Random, most: int) -> str:
    if not file.exists() or not (lines := file.read_bytes().splitlines(keepends=True)):
        return "nothing"
    lost = min(draw.randint(1, most), len(lines))
    file.write_bytes(b"".join(lines[:-lost]))
    return f"{_short(file)} lost {lost} of {len(lines)} lines"


def _delete(files: list[Path]) -> str:
    there = [file for file in files if file.exists()]
    for file in there:
        file.unlink()
    return f"{', '.join(map(_short, there))} deleted" if there else "nothing"


def _short(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
