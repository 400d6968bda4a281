"""A database that studies are in: opened, asked whether it answers, waited for; what goes wrong with it is one line."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import RDBStorage

from ffsnn.validation import ConfigError
from search.settings import Unreachable, redacted, without_password

if TYPE_CHECKING:
    from search.stop import StopRequest

DATABASE_TIMEOUT_S, RETRY_INTERVAL_S = 600.0, 2.0  # seconds for a database to come back; between two questions
# A server that is cut off is noticed by the kernel; libpq alone would wait for it for hours.
POSTGRESQL = {
    "connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}  # fmt: skip


def opened(url: str) -> RDBStorage:
    """Optuna's tables at an address; of several searches that come to an empty database, one makes them."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgresql"):
        options["connect_args"] = POSTGRESQL
    for attempt in (1, 2, 3):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except (IntegrityError, ProgrammingError):
            if attempt == 3:
                raise
            time.sleep(1)
    raise AssertionError


def check_reachable(url: str) -> None:
    """Make sure that a database answers, with Optuna's tables.

    Raises:
        ConfigError: it does not, with the reason in one line.
    """
    with translated(url):
        opened(url).engine.dispose()


def wait_for(url: str, stop: "StopRequest", say: Callable[[str], None]) -> bool:
    """Wait until a database answers, `DATABASE_TIMEOUT_S` seconds at most; whether there was anything to wait for."""
    said, until = "", time.monotonic() + DATABASE_TIMEOUT_S
    while not stop.requested:
        try:
            check_reachable(url)
            break
        except ConfigError as error:
            if not said:
                said = str(error)
                say(f"{said}; waiting for it, {DATABASE_TIMEOUT_S / 60:.0f} minutes at most")
        if time.monotonic() > until:
            stop.ask(said, failed=True)
        time.sleep(RETRY_INTERVAL_S)
    if said and not stop.requested:
        say("the study's database answers again")
    return bool(said)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what goes wrong with a database into one line without a password."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{without_password(url)} needs {error.name}: pip install 'ffsnn[cluster]'") from None
    except (SQLAlchemyError, RuntimeError, optuna.exceptions.StorageInternalError) as error:
        reason = redacted(" ".join(str(error.__cause__ or error).split()))[:200]
        raise Unreachable(
            f"the study's database {without_password(url)} cannot be used ({reason}): "
            f"is --storage right, and its password?"
        ) from None
