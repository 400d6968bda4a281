"""MLflow's pages on a search and its report in a real browser: what is drawn is what the store has, of every trial."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from search.config import SearchConfig
from search.report.report import report
from search.tracking import search_exporter
from spaces.space import Space
from tests.search.browser import Browser, needs_browser
from tests.search.conftest import started
from tests.search.test_best import finished

pytestmark = [needs_browser, pytest.mark.slow]

SPACE = Space.load("digits_smoke")
TRIALS = 24  # more than the ten that MLflow shows by default, and the twenty that are compared
CONFIG = SearchConfig(name="seen", space=SPACE, space_name="digits_smoke", trials=TRIALS, epochs=2, device="cpu")
AXES = ["v_threshold", "tau", "T", "surrogate", "loss"]
# What MLflow's own pages say of themselves: they ask for a user where no login is set up, and draw axes before they
# know their size, or sizes once more than the browser has time for.
OWN = re.compile(r"users/current .*404|attribute (transform|d|height|x|y|width)\b|ResizeObserver loop")

# Each drawing of parallel coordinates, as the page was told to draw it: a row a trial.
PARALLEL = """
return [...document.querySelectorAll('.parcoords')].map(drawing => {
  let node = drawing[Object.keys(drawing).find(key => key.startsWith('__reactFiber'))];
  while (!(node.memoizedProps && Array.isArray(node.memoizedProps.data))) node = node.return;
  return {rows: node.memoizedProps.data, 
    axes: [...drawing.querySelectorAll('.dimension .label')].map(label => label.textContent)};
})
"""
PLOTS = """
return [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
  title: plot.layout.yaxis && plot.layout.yaxis.title && plot.layout.yaxis.title.text,
  traces: plot.data.map(trace => ({type: trace.type, name: trace.name, x: trace.x && [...trace.x],
    y: trace.y && [...trace.y], text: trace.text,
    axes: (trace.dimensions || []).map(axis => ({label: axis.label, values: [...axis.values], names: axis.ticktext}))}))
}))
"""
ASSISTANT = "return document.querySelectorAll('[data-component-id^=\"mlflow.assistant\"], [data-assistant-ui]').length"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    search_exporter.export_search(home / "mlruns", finished(home / "mlruns", CONFIG))
    return home


@pytest.fixture(scope="module")
def pages(home: Path) -> Iterator[dict[str, str]]:
    """The addresses that `ffsnn ui` names, by what they show."""
    with started("ui", "seen", "--port", "0", home=home) as (process, lines):
        named = {}
        for line in lines:
            if "Ctrl-C" in line:
                break
            shows, address = line.rsplit(maxsplit=1)
            named[shows.strip()] = address
        server = psutil.Process(process.pid).children(recursive=True)
        assert len(server) == 2
        assert sum(it.memory_full_info().pss for it in server) < 500e6  # what they share counted once
        yield named
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert not any(it.is_running() for it in server)


@pytest.fixture(scope="module")
def store(home: Path) -> dict[str, dict]:
    """What the store says of each trial, by its run's name."""
    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    return {
        run.info.run_name: {
            "params": run.data.params, "metrics": run.data.metrics, "id": run.info.run_id,
            "history": [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "val_accuracy")],
        }
        for run in client.search_runs(["1"], "tags.`ffsnn.kind` = 'trial'", max_results=1000)
    }  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path, height=2000) as browser:  # what lies below the window is not drawn
        yield browser
        assert [error for error in browser.errors() if not OWN.search(error)] == []


def opened(browser: Browser, address: str) -> None:
    """Open a page as on a first visit, on which MLflow's assistant would come."""
    browser.open(address)
    browser.wait("return document.body.innerText.includes('Model training')")


def test_the_prepared_charts_show_every_trial(browser, pages, store, tmp_path):
    opened(browser, pages["charts"])
    browser.wait("return document.querySelectorAll('.parcoords .dimension .label').length > 10")
    browser.wait("return document.querySelectorAll('.js-plotly-plot').length > 1")
    browser.screenshot(tmp_path / "charts.png")
    assert browser.script(ASSISTANT) == 0
    text = browser.script("return document.body.innerText")
    assert [name for name in store if name not in text] == []
    every, conditional = browser.script(PARALLEL)
    assert every["axes"] == [*AXES, "val_accuracy"]
    compare(every["rows"], {run["id"]: run for run in store.values()}, AXES)
    assert conditional["axes"] == [*AXES, "theta_log10", "val_accuracy"]
    with_theta = {run["id"]: run for run in store.values() if "theta" in run["params"]}
    assert 0 < len(with_theta) < TRIALS
    compare(conditional["rows"], with_theta, [*AXES, "theta_log10"])
    curves = {}
    for trace in browser.script(PLOTS)[0]["traces"]:
        if trace["x"]:
            curves[trace["name"]] = [(x, y) for x, y in zip(trace["x"], trace["y"], strict=True) if y is not None]
    assert curves == {name: run["history"] for name, run in store.items()}


def compare(rows: list[dict], runs: dict[str, dict], axes: list[str]) -> None:
    """What a drawing was given is what the store has."""
    assert {row["uuid"] for row in rows} == runs.keys()
    for row in rows:
        run = runs[row["uuid"]]
        assert row["val_accuracy"] == pytest.approx(run["metrics"]["val_accuracy"])
        assert {name: str(row[name]) for name in axes} == {name: run["params"][name] for name in axes}


def test_the_prepared_table_is_sorted_by_the_objective(browser, pages, store, tmp_path):
    opened(browser, pages["table"])
    cells = "[...document.querySelectorAll('.ag-center-cols-container [col-id=\"metrics.`val_accuracy`\"]')]"
    browser.wait(f"return {cells}.length > 10")
    browser.screenshot(tmp_path / "table.png")
    shown = browser.script(
        f"return {cells}.sort((a, b) => a.closest('[row-index]').getAttribute('row-index') -"
        " b.closest('[row-index]').getAttribute('row-index')).map(cell => parseFloat(cell.textContent))"
    )
    values = sorted((run["metrics"]["val_accuracy"] for run in store.values()), reverse=True)
    assert shown == pytest.approx(values[: len(shown)], abs=1e-6)
    head = browser.script(
        "return [...document.querySelectorAll('.ag-header-cell')].sort((a, b) => a.getBoundingClientRect().left -"
        " b.getBoundingClientRect().left).map(cell => cell.getAttribute('col-id'))"
    )
    assert head[3:] == ["metrics.`val_accuracy`", "metrics.`epochs`",
                        *(f"params.`{name}`" for name in ("v_threshold", "tau", "T", "surrogate", "loss", "theta")),
                        *head[11:]]  # fmt: skip


def test_the_best_are_side_by_side(browser, pages, store, tmp_path):
    opened(browser, pages["best 20"])
    browser.wait("return document.querySelectorAll('.parcoords .dimension .label').length > 10")
    browser.screenshot(tmp_path / "best.png")
    full = max(run["metrics"]["epochs"] for run in store.values())
    order = sorted(store, key=lambda name: (
        store[name]["metrics"]["epochs"] < full, -store[name]["metrics"]["val_accuracy"], name
    ))  # fmt: skip
    every, _ = browser.script(PARALLEL)
    compare(every["rows"], {store[name]["id"]: store[name] for name in order[:20]}, every["axes"][:-1])


def test_all_searches_with_their_best(browser, home, store, tmp_path):
    with started("ui", "--port", "0", home=home) as (process, lines):
        opened(browser, next(lines).strip())
        cell = "document.querySelector('.ag-center-cols-container [col-id=\"metrics.`best_val_accuracy`\"]')"
        shown = browser.wait(f"return {cell} && {cell}.textContent")
        browser.screenshot(tmp_path / "all.png")
        full = [run for run in store.values() if run["metrics"]["epochs"] == CONFIG.epochs]
        best = max(run["metrics"]["val_accuracy"] for run in full)
        assert float(shown) == pytest.approx(best, abs=1e-6)
        assert browser.script(ASSISTANT) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_the_report_draws_what_the_store_has(browser, home, store, tmp_path):
    page, *_ = report(home / "mlruns", "seen")
    browser.open(page.as_uri())
    browser.wait("return document.querySelectorAll('.js-plotly-plot .main-svg').length > 5")
    browser.screenshot(tmp_path / "report.png")
    assert browser.script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    cut = """
    return [...document.querySelectorAll('.command code')].filter(code =>
      code.getBoundingClientRect().right > code.closest('.table').getBoundingClientRect().right).length
    """
    assert browser.script(cut) == 0
    drawn = browser.script(
        "return Object.fromEntries([...document.querySelectorAll('#learning-curves, #optimisation-history')].map("
        "section => [section.id, section.querySelector('.js-plotly-plot')._fullData.map("
        "trace => ({of: trace.customdata, x: [...trace.x], y: [...trace.y]}))]))"
    )
    curves: dict[str, set[tuple[int, float]]] = {}
    for trace in drawn["learning-curves"]:
        for of, x, y in zip(trace["of"], trace["x"], trace["y"], strict=True):
            if x is not None:
                curves.setdefault(f"seen/{int(of.split()[1]):04d}", set()).add((x, y))
    assert curves == {name: set(run["history"]) for name, run in store.items()}
    whole = [run["metrics"]["val_accuracy"] for run in store.values() if run["metrics"]["epochs"] == CONFIG.epochs]
    assert sorted(drawn["optimisation-history"][0]["y"]) == sorted(whole)
