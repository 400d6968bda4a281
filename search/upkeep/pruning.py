"""`ffsnn prune-disk`: what ended trials and stopped searches no longer need is deleted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from search import names
from search.store.folder import SearchFolder
from search.store.trials_folder import TrialsFolder
from search.upkeep.listing import size_of
from search.upkeep.stopping import running


def prune(search: SearchFolder) -> tuple[int, int]:
    """Delete the checkpoints of trials that have ended, their locks and empty output, and Tune's own folder; the number
    of trials that had any, and the bytes. Nothing of what runs: its driver does so itself."""
    active = {folder.path for folder in running(search)}
    trials = freed = 0
    for folder in _folders(search):
        if folder.path in active:
            continue
        with folder.lease():
            scratch = folder.path / names.SCRATCH
            freed += size_of(scratch)
            shutil.rmtree(scratch, ignore_errors=True)
            for trial in folder.trials():
                if trial.end() is None:
                    continue
                before = set(trial.path.iterdir()), size_of(trial.path)
                trial.drop_checkpoints()
                trial.tidy()
                output = trial.path / names.OUTPUT_FILE
                if not trial.held() and output.exists() and not output.stat().st_size:
                    output.unlink()
                trials += before[0] != set(trial.path.iterdir())
                freed += before[1] - size_of(trial.path)
    return trials, freed


def _folders(search: SearchFolder) -> Iterator[TrialsFolder]:
    yield search
    for path in sorted((search.path / names.RETRAIN).glob("*")):
        if _is_retraining(path):
            yield TrialsFolder(path)


def _is_retraining(path: Path) -> bool:
    return (path / names.PLAN_FILE).is_file()
