"""`ffsnn report`: a search's results as a page, as Markdown and as CSV, in a folder within the search's own.

It reads the search's folder as it stands, of a running search too, and writes nothing beside its three files.
"""

from collections import Counter
from datetime import datetime
from pathlib import Path

from ffsnn import atomic
from ffsnn.validation import ConfigError
from search.names import REPORT, REPORT_CSV, REPORT_MARKDOWN, REPORT_PAGE
from search.progress import clock
from search.report import at_one_epoch, comparison, front, overview, sections
from search.report.document import Document, markdown
from search.report.page import page
from search.store.folder import SearchFolder
from search.store.results import Results, epochs_of


def report(home: Path, name: str, against: str | None = None) -> list[Path]:
    """Write a search's report; the files.

    Args:
        home: the `mlruns/` folder.
        name: of the search.
        against: another search, to compare it with.

    Raises:
        ConfigError: there is no such search, one cannot be read, both are the same, or the report cannot be written.
    """
    if against == name:
        raise ConfigError(f"--against names another search, but got {name!r} itself")
    results = Results(SearchFolder.open(home, name))
    document = describe(results, Results(SearchFolder.open(home, against)) if against else None)
    folder = results.folder.path / REPORT
    contents = {REPORT_PAGE: page(document), REPORT_MARKDOWN: markdown(document), REPORT_CSV: results.csv()}
    try:
        folder.mkdir(exist_ok=True)
        for file, content in contents.items():
            atomic.write(folder / file, content)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from error
    return [folder / file for file in contents]


def describe(results: Results, other: Results | None = None) -> Document:
    """Compose the report."""
    ranked, goal = results.ranked(), results.config.goal
    key_figures = {
        f"best {goal.title}": goal.show(ranked[0].values[-1] if ranked else None),
        "trials": f"{len(results.trials)} of {results.config.trials}",
        "at full length": str(len(results.of("complete"))),
        "epochs trained": f"{epochs_of(results.trials):,}",
        "ran for": clock(results.spent) if results.spent else "-",
    }
    parts = [
        overview.section(results),
        *front.sections(results),
        sections.best(results),
        sections.history(results),
        sections.rungs(results),
        *at_one_epoch.sections(results),
        sections.curves(results),
        *sections.ends(results),
        sections.time_spent(results),
    ]
    if other:
        parts.append(comparison.section(results, other))
    return Document(f"Search {results.name}", _state(results), key_figures, parts)


def _state(results: Results) -> str:
    """State of the search, in a sentence."""
    counts = Counter(trial.state for trial in results.trials)
    ended = len(results.trials) - counts["unfinished"]
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    state = (
        f"As of {now}: {ended} of {results.config.trials} trials have ended, {counts['complete']} at full length, "
        f"{counts['pruned']} pruned, {counts['failed']} failed."
    )
    if ended < results.config.trials:
        state += f" The search has not ended: {results.folder.how_to_go_on()}"
    return state
