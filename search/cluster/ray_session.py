"""What a Ray of our own has on this machine while a search runs, all of it gone afterwards: a folder and processes.

Ray's default folder, `$TMPDIR/ray`, is open to all users, is never swept, and its sockets fail where the path is long:
the address of a Unix socket has 107 bytes at most, of which Ray's own names take up to 67. And where a driver is
killed, some of Ray's processes stay for a minute; so a guard, which hears no signal, outlives the driver and ends them.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ffsnn.validation import ConfigError
from search.signals import held_back

LONGEST = 107 - 67  # bytes of the folder's path
NEW = 60.0  # seconds
PREFIX, LOCK = "ffsnn-ray-", "lock"
OTHERS = ("/tmp", "/var/tmp", "/dev/shm")
MARK = "FFSNN_RAY_SESSION"  # in the environment of Ray's processes: the folder
# All but the driver, $3. A process that changed its title has lost its environment, but has its logs open; one that is
# just being started has none yet, so that they are looked for twice.
GUARD = """
cat
for pause in 0 0.1; do
    sleep $pause
    {
        grep -lsz "^$1=$2$" /proc/[0-9]*/environ
        find /proc/[0-9]*/fd -maxdepth 1 -lname "$2/*"
    } 2>/dev/null | cut -d/ -f3 | sort -u | grep -vx "$3" | xargs -r kill -9
done
rm -rf "$2"
"""


@contextmanager
def session_folder() -> Iterator[Path]:
    """The folder, for as long as Ray is up; what a killed driver left is swept.

    Raises:
        ConfigError: no folder for temporary files is short enough and can be written.
    """
    places = list(dict.fromkeys(filter(None, (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), *OTHERS))))
    for place in places:
        _sweep(Path(place))
    path = next(filter(None, map(_made, places)), None)
    if path is None:
        raise ConfigError(
            f"Ray's sockets need a folder whose path is short, but none of {', '.join(places)} can be written and has "
            f"{LONGEST - len(PREFIX) - 9} bytes at most: name one with TMPDIR, such as TMPDIR=/tmp"
        )
    try:
        with (path / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it when this process dies
            with _guarded(path):
                yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """End what is started within, at the end of the block or of this process."""
    command = ["/bin/sh", "-c", GUARD, "sh", MARK, str(path), str(os.getpid())]
    with held_back():
        guard = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            env={"PATH": os.defpath}, start_new_session=True,
        )  # fmt: skip
    os.environ[MARK] = str(path)
    try:
        yield
    finally:
        os.environ.pop(MARK, None)
        guard.communicate()  # which closes what it waits for


def _made(place: str) -> Path | None:
    """A new folder there, for its owner alone; None: it would be too long, or cannot be written."""
    with suppress(OSError):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        if len(os.fsencode(path)) <= LONGEST:
            return path
        path.rmdir()
    return None


def _sweep(place: Path) -> None:
    """Delete the folders there whose process has died; one that is new may just be about to be locked."""
    for left in place.glob(f"{PREFIX}*"):
        with suppress(OSError), (left / LOCK).open() as lock:  # one that is another user's cannot be opened
            if time.time() - left.stat().st_mtime < NEW:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
