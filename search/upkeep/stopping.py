"""`ffsnn stop`: the process that runs a search is asked to stop, as by Ctrl-C."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable

import psutil

from ffsnn.validation import ConfigError
from search import names
from search.store.folder import SearchFolder
from search.store.trials_folder import TrialsFolder

LOOK_S = 0.2  # seconds between two looks


def running(search: SearchFolder) -> list[TrialsFolder]:
    """All that runs of a search now: itself, its retrainings."""
    folders = [search, *(TrialsFolder(path) for path in sorted((search.path / names.RETRAIN).glob("*")))]
    return [folder for folder in folders if folder.runner() is not None]


def refuse_running(search: SearchFolder, then: str) -> None:
    """Make sure that nothing of a search runs.

    Raises:
        ConfigError: something does.
    """
    for folder in running(search):
        raise ConfigError(f"search {search.name!r} is being run by {folder.runner()}: stop it, then {then}")


def stop(search: SearchFolder, say: Callable[[str], None]) -> list[TrialsFolder]:
    """Ask what runs of a search to stop, and wait until it has: running trials finish their epoch. What it was.

    Raises:
        ConfigError: nothing runs, or not on this machine, or it is another user's.
    """
    folders = running(search)
    if not folders:
        raise ConfigError(f"search {search.name!r} is not being run: there is nothing to stop")
    for folder in folders:
        runner = folder.runner()
        if runner is None:
            continue
        os_process = _process(folder, runner)
        try:
            os_process.send_signal(signal.SIGINT)
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied as error:
            raise ConfigError(f"{runner} belongs to another user: let its owner stop it") from error
        say(f"{runner} is asked to stop: running trials finish their epoch")
        while folder.runner() == runner:
            time.sleep(LOOK_S)
    return folders


def _process(folder: TrialsFolder, runner: str) -> psutil.Process:
    """The process that holds a folder's lease, and no other one that has its number."""
    found = re.fullmatch(r"process (\d+) on (.+)", runner)
    if found is None:
        raise ConfigError(f"{folder.path / names.LEASE_FILE} does not say which process holds it: stop it by hand")
    if found[2] != socket.gethostname():
        raise ConfigError(f"{runner} runs search {folder.name!r}: stop it there, this is {socket.gethostname()}")
    try:
        process = psutil.Process(int(found[1]))
        held = [os.path.realpath(file.path) for file in process.open_files()]
    except psutil.AccessDenied as error:
        raise ConfigError(f"{runner} belongs to another user: let its owner stop it") from error
    except psutil.NoSuchProcess:
        held = []
    if os.path.realpath(folder.path / names.LEASE_FILE) not in held:
        raise ConfigError(f"{runner} is said to run search {folder.name!r}, but is not seen from here: stop it there")
    return process
