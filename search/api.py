"""A search from Python: run it, load it, look at its trials."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.resolve import AnySpace, requested, use_parts, with_data
from search.store.folder import SearchFolder

if TYPE_CHECKING:
    import pandas


class Search:
    """A search that was run, finished or not."""

    def __init__(self, folder: SearchFolder) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def config(self) -> SearchConfig:
        return self.folder.config

    def best(self) -> RunConfig:
        """The best configuration by the objective; those that were trained at full length come first.

        Raises:
            ConfigError: no trial has finished an epoch.
        """
        ranked = self.folder.ranked()
        if not ranked:
            raise ConfigError(f"no trial of {self.name} has finished an epoch yet; {self.folder.how_to_go_on()}")
        return ranked[0][1].config()

    def table(self) -> "pandas.DataFrame":
        """A row a trial, by its number: how it ended, its accuracies and seconds, its parameters."""
        import pandas

        from search.store.results import Results

        results = Results(self.folder)
        return pandas.DataFrame(results.rows(), columns=results.columns).set_index("trial")


def run(
    space: AnySpace | None = None, *, data: Sequence[Any] | None = None, name: str | None = None,
    home: str | Path | None = None, quiet: bool = False, use: Iterable[str | Path] = (), **settings: Any,
) -> Search:  # fmt: skip
    """Run a search to its end; one of that name that is there goes on.

    Args:
        space: name of a shipped space, a YAML file, a mapping as one holds, or a Space [default: mnist].
        data: arrays or tensors (x, y) or (x, y, x_test, y_test) in place of the space's data set: features (N, F), or
            images (N, height, width) or (N, height, width, channels). They are kept in the data folder, under a name
            that follows from their content.
        name: of the search [default: SPACE-1].
        home: folder that holds `mlruns/` [default: `search.settings`].
        quiet: say nothing.
        use: files of one's own parts, which the search takes along as far as it names their parts.
        settings: fields of `SearchConfig`: trials, epochs, concurrency, sampler, seed, ...

    Raises:
        ConfigError: a rule is broken; nothing was begun.
        RuntimeError: the search was interrupted or failed; it can go on.
    """
    from search.display.live_table import console_of_python
    from search.environment import prepared
    from search.launch import launch
    from search.settings import find_home, setting

    mlruns = find_home(home)
    use_parts(use)
    places = {
        place: setting(place, settings.get(place)) for place in ("address", "storage", "tracking_uri", "data_dir")
    }
    if data is not None:
        from ffsnn.datasets.add import keep_arrays

        space = with_data(space, keep_arrays(data, data_dir=places["data_dir"]))
    config, goes_on = requested(mlruns, space, name, None, settings | places)
    with prepared():
        outcome = launch(mlruns, config, console_of_python(quiet), resume=goes_on)
    if outcome.code:
        mend = "" if outcome.code == 2 else "; run it again with its name to go on"
        raise RuntimeError(f"search {config.name} stopped: {outcome.reason}{mend}")
    return load(config.name, home)


def load(name: str, home: str | Path | None = None) -> Search:
    """A search by its name.

    Raises:
        ConfigError: there is none; the nearest names are given.
    """
    from search.settings import find_home

    return Search(SearchFolder.open(find_home(home), name))
