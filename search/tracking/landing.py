"""The page of all searches: each one's own run with what it has come to, and the experiment's description.

Both are written anew from the store's runs whenever a search is written or removed. A description that a person has
written in its place stays.
"""

import math
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from search import names, objectives
from search.objectives import Objective
from search.progress import clock
from search.registries import OBJECTIVES
from search.report.document import Table, Text, markdown_block
from search.store.folder import SearchFolder
from search.store.results import Results, epochs_of
from search.tracking.shared_view import MACHINE_LEARNING, filtered, shared
from search.tracking.store import all_runs

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

KEY = "all searches"  # of the prepared view: no search can have that name
TITLE = "**Searches** with their best, the latest first: the arrow at the right opens the table."
LISTED, LONGEST = 30, 4500  # searches in the description; characters, of the 5,000 that MLflow takes
COLUMNS = (names.TAG_SPACE, names.TAG_DATASET, names.TAG_OBJECTIVE)


def totals(search: SearchFolder) -> dict[str, float]:
    """Metrics of a search's own run: its best value, by the one rule, and what it took."""
    results = Results(search)
    ended = [trial for trial in results.trials if trial.state != "unfinished"]
    values = {names.TRIAL_COUNT: len(ended), names.EPOCHS: epochs_of(results.trials), names.SECONDS: search.spent()}
    if ranked := results.ranked():
        values[names.BEST_PREFIX + search.config.goal.name] = ranked[0].values[-1]
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def prepare(client: "MlflowClient", experiment: str) -> str:
    """Write the view of all searches; what comes after a server's address."""
    searches = all_runs(client, experiment, names.IS_SEARCH)
    best = dict.fromkeys(name for run in searches for name in run.data.metrics if name.startswith(names.BEST_PREFIX))
    columns = [
        *(f"metrics.`{name}`" for name in (*best, names.TRIAL_COUNT, names.EPOCHS, names.SECONDS)),
        *(f"tags.`{name}`" for name in COLUMNS),
    ]
    begun = max((run.info.start_time for run in searches), default=0)
    shared(client, experiment, KEY, filtered(names.IS_SEARCH, "attributes.`Created`", False, columns), begun)
    page = f"/#/experiments/{experiment}/runs?{MACHINE_LEARNING}&viewStateShareKey={quote(KEY)}"
    return f"{page}&compareRunsMode=TABLE"


def describe(client: "MlflowClient", experiment: str) -> None:
    """The experiment's description: a table of the searches, and how to look at one."""
    there = client.get_experiment(experiment).tags.get(names.TAG_NOTE, "")
    if there and not there.startswith(TITLE.split(" ")[0]):
        return
    rows = tuple(_row(run) for run in reversed(all_runs(client, experiment, names.IS_SEARCH)))
    for shown in range(min(LISTED, len(rows)), -1, -1):
        table = Table(("search", "best", "trials", "epochs", "ran for", "space", "begun"), rows[:shown])
        left = f" {len(rows) - shown} older ones: ffsnn list." if shown < len(rows) else ""
        more = Text(f"Charts, table and best trials of one: ffsnn ui NAME. All of its trials: ffsnn report NAME.{left}")
        said = "\n\n".join([TITLE, markdown_block(table), markdown_block(more)])
        if len(said) <= LONGEST:
            break
    if said != there:
        client.set_experiment_tag(experiment, names.TAG_NOTE, said)


def _row(run: "Run") -> tuple[str, ...]:
    tags, metrics = run.data.tags, run.data.metrics
    first = tags.get(names.TAG_OBJECTIVE, objectives.DEFAULT).split(",")[0].split(":")[0]
    with suppress(ValueError):  # one of one's own, that this process does not know
        first = objectives.canonical(first)
    goal: Objective | None = OBJECTIVES.get(first)
    best = metrics.get(names.BEST_PREFIX + first)
    seconds = metrics.get(names.SECONDS)
    return (
        tags.get(names.TAG_SEARCH, ""), goal.show(best) if goal else "-",
        *(f"{metrics[name]:,.0f}" if name in metrics else "-" for name in (names.TRIAL_COUNT, names.EPOCHS)),
        clock(seconds) if seconds else "-", tags.get(names.TAG_SPACE, ""),
        datetime.fromtimestamp(run.info.start_time / 1000).strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip
