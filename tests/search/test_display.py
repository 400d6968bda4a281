"""A search on the screen: the live table, the notebook's, plain lines; what is kept; the summary."""

import io
import os
import pty
import re
import threading
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from search import progress
from search.display.live_table import LiveDisplay, NotebookConsole, NotebookDisplay, kept, watching
from search.display.summary import best_tables, learned, summary
from search.execution.session import TrialEvent
from search.progress import ProgressDisplay
from search.store.ends import End
from search.store.results import Results
from search.upkeep import listing
from search.upkeep.status import Status
from spaces.space import Space
from tests.search.conftest import FFSNN
from tests.search.test_results import Written, write

COLUMNS = 80


def terminal(width: int = COLUMNS, height: int = 24) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, highlight=False, markup=False,
        soft_wrap=True, color_system=None, _environ={"TERM": "xterm"},
    )  # fmt: skip


def printed(console: Console, *things: object) -> list[str]:
    for thing in things:
        console.print(thing)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue()).splitlines()


# --- while it runs ---


@pytest.fixture
def live(tmp_path: Path) -> LiveDisplay:
    folder = write(tmp_path)
    display = watching(folder, folder.config, terminal())
    assert isinstance(display, LiveDisplay)
    return display


def test_the_table_has_running_trials_with_their_pace_and_the_last_that_ended(live):
    live.on_event(TrialEvent(5))
    for epoch in (4, 5):
        live.on_event(TrialEvent(5, epoch, (0.6 + epoch / 100,)))
    live.begun[5] = (3, live.reported[5] - 1.0)
    live.on_event(TrialEvent(1, 1, (0.2,), End("pruned", "asha")))
    lines = printed(terminal(), live.drawn())
    running = next(line for line in lines if " running " in line)
    assert running.split()[:5] == ["5", "running", "5/9", "65.00%", "0.50"]
    assert any(re.match(r" +1  pruned +1/9 +20\.00% +asha", line) for line in lines)
    assert lines[-1].endswith("left") or "elapsed" in lines[-1]
    assert max(map(len, lines)) <= COLUMNS
    sample = live.about(live.folder.trial(5))
    assert all(word in " ".join(lines) for word in sample.split())


def test_many_running_trials_leave_room_for_what_stands_below(live):
    for number in range(40):
        live.running.add(number)
        live.samples[number] = "tau=2"
    lines = printed(terminal(), live.drawn())
    assert any("and 34 more" in line for line in lines)
    assert len(lines) <= 24
    assert "elapsed" in " ".join(lines[-2:])


def test_a_trial_that_ends_is_a_line_above_the_table(live):
    live.on_event(TrialEvent(5, 6, (0.7,), End("pruned", "asha")))
    said = live.console.file.getvalue()
    assert said.startswith("trial    5  pruned   70.00% after 6 epochs")
    assert "|" not in said


@pytest.mark.parametrize(
    "console",
    [
        Console(file=io.StringIO()),
        Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"}),
        Console(file=io.StringIO(), force_terminal=True, no_color=True),
        Console(file=io.StringIO(), force_terminal=True, quiet=True),
    ],
    ids=["pipe", "dumb", "no color", "quiet"],
)
def test_elsewhere_there_are_plain_lines(tmp_path, console):
    folder = write(tmp_path)
    assert type(watching(folder, folder.config, console)) is ProgressDisplay


def test_plain_lines_say_where_it_stands_when_no_trial_ends_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SILENCE_S", 0.05)
    folder = write(tmp_path)
    display = ProgressDisplay(folder, folder.config, Console(file=io.StringIO(), soft_wrap=True))
    display.start()
    deadline = time.monotonic() + 10
    while display.console.file.getvalue().count("  ...  5/10 trials, ") < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    display.close()
    assert display.console.file.getvalue().count("  ...  5/10 trials, ") >= 2


def test_the_time_left_of_a_budget_counts_earlier_sessions(tmp_path):
    folder = write(tmp_path, time_budget=2)
    folder.write_spent(90)
    display = ProgressDisplay(folder, folder.config, Console(file=io.StringIO()))
    display.started -= 10
    display.on_event(TrialEvent(5, 4, (0.6,)))
    assert re.search(r"0:10 elapsed, about 0:(19|20) left$", display.line())


def test_events_and_drawing_may_come_at_once(live):
    """Two threads: the driver's and the display's."""
    stop, failed = threading.Event(), []

    def draw() -> None:
        try:
            while not stop.is_set():
                live.drawn()
        except Exception as error:
            failed.append(error)

    live.samples |= dict.fromkeys(range(2000), "tau=2")
    thread = threading.Thread(target=draw)
    thread.start()
    for number in range(6, 2000):
        live.on_event(TrialEvent(number, 1, (0.1,)))
    stop.set()
    thread.join()
    assert failed == []


def test_the_notebook_has_one_table(tmp_path):
    folder = write(tmp_path)
    display = watching(folder, folder.config, NotebookConsole(file=io.StringIO()))
    assert isinstance(display, NotebookDisplay)
    display.on_event(TrialEvent(5, 4, (0.65,)))
    display.on_event(TrialEvent(3, 2, (0.1,), End("pruned", "diverged", "the loss of <layer> 0 is nan")))
    cells: list[str] = []
    parser = HTMLParser()
    parser.handle_data = cells.append  # type: ignore[method-assign]
    parser.feed(display.html())
    assert cells[:5] == ["trial", "state", "epoch", "accuracy", "s/epoch"]
    assert {"running", "4/9", "65.00%", "the loss of <layer> 0 is nan"} <= set(cells)
    assert display.console.file.getvalue() == ""


def test_what_was_kept_is_said_on_a_resume(tmp_path):
    folder = write(tmp_path)
    said = kept(ProgressDisplay(folder, folder.config, Console(file=io.StringIO())))
    assert said == (
        "kept from before: 18 epochs; 5 of 10 trials have ended, 1 goes on: 5 (epoch 3), best 85.00% (trial 0)"
    )


@pytest.mark.slow
def test_a_search_in_a_terminal_of_80_columns(tmp_path):
    pid, terminal = pty.fork()
    if pid == 0:
        environment = {**os.environ, "FFSNN_HOME": str(tmp_path), "COLUMNS": "80", "LINES": "30", "TERM": "xterm"}
        environment.pop("NO_COLOR", None)
        os.execve(FFSNN, [FFSNN, "search", "digits_smoke", "--trials", "3", "--epochs", "3"], environment)
    said = b""
    try:
        while read := os.read(terminal, 65536):
            said += read
    except OSError:
        pass  # its end
    assert os.waitpid(pid, 0)[1] == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())
    assert "starting Ray" in text
    assert re.search(r"trial +state +epoch +accuracy +s/epoch", text)
    ended = re.findall(r"trial +\d  (?:complete|pruned) ", text)
    assert len(ended) == 3
    assert "cost: " in text


# --- at its end ---


def wide(tmp_path: Path) -> Results:
    """A search over more parameters than 80 columns hold."""
    space = Space.load("mnist")
    trials = tuple(
        Written(tuple(0.5 + i / 20 + epoch / 100 for epoch in range(3)), End("pruned", "asha")) for i in range(6)
    )
    return Results(write(tmp_path, trials, space=space, space_name="mnist"))


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_best_fit_whatever_the_width(tmp_path, width):
    results = wide(tmp_path)
    best = results.ranked()[:5]
    console = Console(file=io.StringIO(), width=width, soft_wrap=True, highlight=False, markup=False)
    lines = printed(console, *best_tables(results, best, "best", console))
    tables = [line for line in lines if not line.startswith("the same")]
    assert max(map(len, tables)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for path in results.config.space.parameters:
        if any(path in trial.sample for trial in best):
            assert re.search(rf"\b{path.split('.')[-1]}\b", text), path


def test_status_and_list_cut_nothing_in_80_columns(tmp_path):
    results = wide(tmp_path)
    console = Console(file=io.StringIO(), width=COLUMNS, soft_wrap=True, highlight=False, markup=False)
    name = "a-search-with-a-name-of-" + "x" * 60
    listed = listing.ListedSearch(name, "running", 10**9, 0.0, "mnist", "mnist", 5, 10, by="host:123456", since=0.0)
    lines = printed(console, *Status(results.folder).tables(console), *listing.tables([listed], console))
    assert max(map(len, lines)) <= COLUMNS
    assert "…" not in "".join(lines)
    assert all(word in "".join(lines) for word in ("reason", "v_threshold", "asha", "host:123456"))


def test_what_is_the_same_for_all_is_a_line(tmp_path):
    results = wide(tmp_path)
    best = [results.ranked()[0]] * 2
    *_, line = best_tables(results, best, "best", Console(width=80))
    assert isinstance(line, str)
    assert line.startswith("the same for all of these: ")


def test_what_was_learned_is_what_the_report_finds(tmp_path):
    few = Results(write(tmp_path, name="few"))
    assert learned(few) == ""
    trials = tuple(Written((0.1 + 0.05 * i,), End("pruned", "asha")) for i in range(14))
    results = Results(write(tmp_path, trials, name="many"))
    from search.report.importance import importance

    found = importance(results)
    assert found is not None
    assert abs(sum(found.shares.values()) - 1) < 1e-6
    first, second = list(found.shares)[:2]
    assert re.match(
        rf"what mattered most: {first} \(\d+%\) and {second} \(\d+%\), by 14 trials at epoch 1", learned(results)
    )


def test_the_summary_says_what_it_cost(tmp_path):
    folder = write(tmp_path)
    folder.write_spent(75)
    console = Console(file=io.StringIO(), width=100, soft_wrap=True, highlight=False, markup=False)
    summary(folder, console)
    said = console.file.getvalue()
    assert "1 trial failed: 1 died" in said
    assert "made: best 5 of 5 trials" in said
    assert re.search(r"cost: 1:15 in all, 18 epochs; trial 0 fires 0 spikes a sample, [\d,]+ nJ a sample", said)


def test_no_terminal_no_table(searched):
    _, done = searched
    assert "starting Ray\n" in done.stdout
    assert "s/epoch" not in done.stdout
    assert "\x1b" not in done.stdout
