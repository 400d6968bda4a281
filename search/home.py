"""Where everything local lives: one folder, `mlruns/`, with the MLflow store and the searches."""

import os
from pathlib import Path

from ffsnn.config import ConfigError
from search.names import SEARCHES


def find_home(home: str | Path | None = None) -> Path:
    """The `mlruns/` folder: of `home`, else of FFSNN_HOME, else of the nearest folder upwards that has one, else here.

    Raises:
        ConfigError: it cannot be made or written.
    """
    here = Path.cwd()
    if chosen := home or os.environ.get("FFSNN_HOME"):
        root = Path(chosen)
    else:
        root = next((folder for folder in (here, *here.parents) if (folder / "mlruns").is_dir()), here)
    mlruns = root.absolute() / "mlruns"
    try:
        (mlruns / SEARCHES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {mlruns}: {error.strerror}; name another folder with --home") from error
    if not os.access(mlruns / SEARCHES, os.W_OK):
        raise ConfigError(f"cannot write to {mlruns / SEARCHES}: read-only; name another folder with --home")
    return mlruns
