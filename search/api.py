"""A search from Python: run it, load it, look at its trials."""

import html
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

    from search.report.plots import Plots
    from search.retrain.verdict import RetrainResult
    from search.store.results import Results


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
            raise self.folder.no_result()
        return ranked[0][1].config()

    def table(self) -> "pandas.DataFrame":
        """A row a trial, by its number: how it ended, its accuracies and seconds, spikes and energy (nJ) of a sample in
        its last epoch, its parameters."""
        import pandas

        results = self.results()
        return pandas.DataFrame(results.rows(), columns=results.columns).set_index("trial")

    def results(self) -> "Results":
        """Its trials, read once."""
        from search.store.results import Results

        return Results(self.folder)

    def importance(self) -> "pandas.Series":
        """Shares of the parameters in what sets the best trials apart, the largest first; as `report` draws them.

        Raises:
            ConfigError: too few trials compare, or nothing sets the best ones apart.
        """
        import pandas

        from search.report.importance import AT_LEAST, importance

        if (found := importance(self.results())) is None:
            raise ConfigError(
                f"the trials of {self.name} do not tell which parameters matter: it takes {AT_LEAST} that reached one "
                f"epoch, two parameters, and some that are better than others; {self.folder.how_to_go_on()}"
            )
        return pandas.Series(found.shares, name=f"{found.trials} trials at epoch {found.epoch}")

    def report(self, against: str | None = None) -> Path:
        """Write the report, and give its page: HTML that opens without a network.

        Args:
            against: another search of the same home, to compare it with.

        Raises:
            ConfigError: there is no such search, or the report cannot be written.
        """
        from search.report.report import report

        return report(self._home, self.name, against)[0]

    @property
    def plot(self) -> "Plots":
        """The report's figures: `plot.history()`, `plot.parallel()`, `plot.curves()`, `plot.importance()`."""
        from search.report.plots import Plots

        return Plots(self.results)

    def retrain(
        self, top: int = 5, seeds: int = 5, epochs: int | None = None, *, force: bool = False, quiet: bool = False,
        **settings: Any,
    ) -> "RetrainResult":  # fmt: skip
        """Train the best configurations with several seeds, rank them, test the winner once and register it.

        What is done already stays as it is; after the end the same call gives the same result.

        Args:
            top: configurations, the best ones.
            seeds: of each.
            epochs: of each training [default: the search's at full length].
            force: make the winner the champion even if the present one is better.
            quiet: say nothing.
            settings: of the search, for this alone: concurrency, gpus_per_trial, device, address, tracking_uri.

        Raises:
            ConfigError: a rule is broken; nothing was begun.
            RuntimeError: it was interrupted or failed; the same call goes on.
        """
        from search.display.live_table import console_of_python
        from search.environment import prepared
        from search.retrain import retrain

        asked = retrain.Request(top, seeds, epochs, settings, force)
        with prepared():
            outcome = retrain.retrain(self._home, self.name, asked, console_of_python(quiet))
        result = None if outcome.code else retrain.result(self.folder, asked)
        if result is None:
            raise RuntimeError(f"retraining {self.name} stopped: {outcome.reason}; the same call goes on")
        return result

    def predict(self, images: Any, *, invert: bool = False, quiet: bool = False) -> "pandas.DataFrame":
        """Labels for images, by the search's champion, or by its best trial where it has not been retrained.

        Args:
            images: a file (PNG, JPEG, IDX, .npy), a folder of files, an array (height, width) or (N, height, width),
                or a list of these.
            invert: black becomes white, and white black.
            quiet: say nothing of which network answers, nor of images that look inverted.

        Returns:
            A row an image: name, label, and margin, the best label's score less the second best's.

        Raises:
            ConfigError: there is no network yet, or a file holds no images of the right kind.
        """
        import pandas

        from ffsnn.inspection.show import Prediction, predict
        from search.retrain.named import network

        say = (lambda line: None) if quiet else print
        listed = list(images) if isinstance(images, list | tuple) else [images]
        with network(lambda: self._home, self.name, say=say) as path:
            answers = pandas.DataFrame(list(predict(path, listed, invert, say)), columns=Prediction._fields)
            return answers.drop(columns="steps")  # of an early exit, which is not asked for

    @property
    def _home(self) -> Path:
        return self.folder.path.parent.parent

    def __repr__(self) -> str:
        try:
            return f"<Search {self._said(self.results())}>"
        except ConfigError as error:
            return f"<Search {self.name}: {error}>"

    def _repr_html_(self) -> str:
        """In a notebook: its best five trials."""
        from search.report.overview import standings

        try:
            results = self.results()
        except ConfigError as error:
            return html.escape(f"Search {self.name}: {error}")
        table = standings(results, 5)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in table.head)
        rows = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in table.rows)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        said = html.escape(f"Search {self._said(results)}")
        return f"<p>{said}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _said(self, results: "Results") -> str:
        """`mine: 20 of 20 trials have ended, best validation accuracy 98.05% (trial 13)`"""
        ended, goal = len(results.trials) - len(results.of("unfinished")), results.config.goal
        said = f"{self.name}: {ended} of {results.config.trials} trials have ended"
        if ranked := results.ranked():
            said += f", best {goal.title} {goal.show(ranked[0].values[-1])} (trial {ranked[0].number})"
        return said


def run(
    space: AnySpace | None = None, *, data: Sequence[Any] | None = None, name: str | None = None,
    like: str | None = None, home: str | Path | None = None, quiet: bool = False, use: Iterable[str | Path] = (),
    **settings: Any,
) -> Search:  # fmt: skip
    """Run a search to its end; one of that name that is there goes on.

    Args:
        space: name of a shipped space, a YAML file, a mapping as one holds, or a Space [default: mnist].
        data: arrays or tensors (x, y) or (x, y, x_test, y_test) in place of the space's data set: features (N, F), or
            images (N, height, width) or (N, height, width, channels). They are kept in the data folder, under a name
            that follows from their content.
        name: of the search; if one of this name exists, it continues [default: SPACE-1, or the next free number].
        like: an earlier search, whose space and settings this one has but for what is given here; its best points
            are tried first.
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
    config, goes_on = requested(mlruns, space, name, None, settings | places, like=like)
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
