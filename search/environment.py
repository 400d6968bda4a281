"""What a search changes in its process: settings of libraries, the rights of new files, and what it never asks through
a proxy. A process of our own keeps them; from Python they are given back when the search is over."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from search.names import ENVIRONMENT

LOOPBACK = ("127.0.0.1", "localhost", "::1")
NO_PROXY = ("no_proxy", "NO_PROXY")  # some libraries read the one, some the other


def prepare() -> None:
    """Tell Ray, Tune and MLflow what they are to know before they are imported; what a person has set stays."""
    os.environ |= {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    said = ",".join(filter(None, (os.environ.get(name) for name in NO_PROXY)))
    known = dict.fromkeys(part.strip() for part in said.split(",") if part.strip())
    if "*" not in known:
        os.environ |= dict.fromkeys(NO_PROXY, ",".join(known | dict.fromkeys(LOOPBACK)))


@contextmanager
def prepared() -> Iterator[None]:
    """In a user's process: for as long as a search runs, whose files are for their owner alone."""
    names = (*ENVIRONMENT, *NO_PROXY, "RAY_AUTH_MODE")
    before, interval, mask = {name: os.environ.get(name) for name in names}, sys.getswitchinterval(), os.umask(0o077)
    prepare()
    try:
        yield
    finally:
        os.umask(mask)
        sys.setswitchinterval(interval)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
