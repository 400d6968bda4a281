"""A trained network by what a person calls it: a folder, a run of `ffsnn train`, a search, a registered model.

A search means its champion, if `ffsnn retrain` has registered one, else its best trial.
"""

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ffsnn.parts import own
from ffsnn.training.run_folder import CONFIG
from ffsnn.validation import ConfigError
from search.names import CHAMPION, RUNS
from search.retrain import registered
from search.retrain.folder import newest_result
from search.settings import LOCAL, elsewhere, setting
from search.store.folder import SearchFolder, all_searches

MODELS = "models:/"  # before a registered model's name


@contextmanager
def network(
    home: Callable[[], Path], named: str | Path, tracking_uri: str | None = None, trust: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Path]:  # fmt: skip
    """The folder (or the file of weights) of a trained network, for as long as it is needed.

    Args:
        home: gives the `mlruns/` folder; asked only where a name has to be looked up.
        named: a path, the name of a run or of a search, or `models:/NAME@champion`.
        tracking_uri: of an MLflow server; None: MLFLOW_TRACKING_URI, else the search's own, else the local store.
        trust: import the copies of own parts that lie with it.
        say: is told which network a search's name stands for.

    Raises:
        ConfigError: there is no such network, or the server does not answer.
    """
    text = str(named)
    if text.startswith(MODELS):
        with registered.downloaded(home(), text, tracking_uri) as path:
            yield _trusted(path, trust)
        return
    if (there := _run(home, named)) is not None:
        yield _trusted(there, trust)
        return
    mlruns, search = home(), _search(home(), text, trust)
    asked = setting("tracking_uri", tracking_uri)
    uri = elsewhere(asked) if asked else search.config.tracking_uri
    if (model := _model(mlruns, search, uri)) is not None:
        say(f"{text}: its champion, {MODELS}{model}@{CHAMPION}")
        with registered.downloaded(mlruns, f"{MODELS}{model}@{CHAMPION}", uri or LOCAL) as path:
            yield _trusted(path, trust)
        return
    yield _best_trial(search, say)


def folder(
    home: Callable[[], Path], named: str | Path, trust: bool = False, say: Callable[[str], None] = lambda _: None
) -> Path:
    """The folder (or the file of weights) of a run, of a trial, or of a search's best trial; arguments as of `network`.

    Raises:
        ConfigError: there is none.
    """
    if (there := _run(home, named)) is not None:
        return _trusted(there, trust)
    return _best_trial(_search(home(), str(named), trust), say)


def _search(home: Path, name: str, trust: bool) -> SearchFolder:
    if not SearchFolder.exists(home, name):
        if any(search.was_called(name) for search in all_searches(home)):
            SearchFolder.open(home, name)  # which says what it is called now
        known = [search.name for search in all_searches(home)] + [path.name for path in (home / RUNS).glob("*")]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        hint = f"did you mean {', '.join(near)}?" if near else "name a run's folder, a search, or models:/NAME@champion"
        raise ConfigError(f"there is no run, search or file {name!r}: {hint}")
    search = SearchFolder.open(home, name)
    if trust:
        search.trust_parts()
    return search


def _model(mlruns: Path, search: SearchFolder, uri: str | None) -> str | None:
    """The name of a search's registered model: a former one, until MLflow follows (`sync`); None: it has none."""
    if newest_result(search) is None:
        return None
    former = (name for name in reversed(search.former_names) if not SearchFolder.exists(mlruns, name))
    return next((name for name in (search.name, *former) if registered.is_registered(mlruns, name, uri)), None)


def _best_trial(search: SearchFolder, say: Callable[[str], None]) -> Path:
    ranked = search.ranked()
    if not ranked:
        raise search.no_result()
    value, trial = ranked[0]
    goal = search.config.goal
    say(f"{search.name}: its best trial, {trial.number} ({goal.title} {goal.show(value)})")
    return trial.path


def _run(home: Callable[[], Path], named: str | Path) -> Path | None:
    """A run's or a trial's folder or file, by its path or by its name in `runs/`; None: there is none."""
    path = Path(named)
    if path.is_file() or (path / CONFIG).is_file():
        return path
    by_name = home() / RUNS / path
    if path.name == str(path) and (by_name / CONFIG).is_file():
        return by_name
    return path if path.exists() and not SearchFolder.exists(home(), str(named)) else None  # which says what it lacks


def _trusted(path: Path, trust: bool) -> Path:
    if trust:
        own.trust(path)
    return path
