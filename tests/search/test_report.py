"""The report as a reader gets it: what it says, that it loads nothing, and that odd searches have a page too."""

import csv
import re
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.forecast.surface import Surface
from search.report import at_one_epoch, figures
from search.report.comparison import _numbers, common_epoch
from search.report.document import Code, Document, Section, Table, Text, markdown
from search.report.importance import epoch_of_importance
from search.report.over_parameters import parallel, slices
from search.report.overview import command, space_yaml, without_secrets
from search.report.page import page
from search.report.report import report
from search.report.studies import at_epoch, best_trials, importances
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.results import Results
from spaces.space import Space
from tests.search.conftest import ffsnn
from tests.search.test_results import SPACE, TRIALS, Written, samples, write

LOADING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background"}


class Page(HTMLParser):
    """What a browser would load, the page's words, and the ids of its parts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.words, self.ids, self.links, self.tags = "", set[str](), list[str](), list[str]()
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._inside = tag
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.add(value)
            if tag == "a" and name == "href":
                self.links.append(value)
            elif name in LOADING:
                self.loaded.append(value)

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "style":
            self.loaded += re.findall(r"url\(|@import", data)
        elif self._inside != "script":
            self.words += " ".join(data.split()) + " "


def written(home: Path, name: str = "made", against: str | None = None) -> tuple[Page, str]:
    """The report's page and its Markdown."""
    html, text, _ = report(home, name, against)
    return Page(html.read_text()), text.read_text()


def many(count: int) -> tuple[Written, ...]:
    """A search in which every third trial is complete, the others pruned after one epoch."""
    return tuple(
        Written(tuple(0.01 * number + 0.001 * epoch for epoch in range(9)), End("complete", "finished"))
        if number % 3 == 0 else Written((0.01 * number,), End("pruned", "asha"))
        for number in range(count)
    )  # fmt: skip


def section(text: str, title: str) -> str:
    """A section of the Markdown."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return rows[2:]


@pytest.fixture
def made(tmp_path: Path) -> SearchFolder:
    return write(tmp_path)


def test_three_files_and_nothing_else_is_written(made, tmp_path):
    before = {path: path.read_bytes() for path in made.path.rglob("*") if path.is_file()}
    html, text, rows = report(tmp_path, "made")
    assert {html.parent, text.parent, rows.parent} == {made.path / "report"}
    after = {path: path.read_bytes() for path in made.path.rglob("*") if path.is_file()}
    assert after.keys() - before.keys() == {html, text, rows}
    assert {path: after[path] for path in before} == before
    assert rows.read_text() == Results(made).csv()
    assert len(list(csv.reader(rows.read_text().splitlines()))) == 7


def test_the_page_loads_nothing_and_its_contents_lead_somewhere(made, tmp_path):
    html, _, _ = report(tmp_path, "made")
    shown = Page(html.read_text())
    assert shown.loaded == []
    assert "default-src 'none'" in html.read_text()
    assert html.read_text().count("plotly.js v") == 1
    assert len(shown.links) == 11
    assert {link.removeprefix("#") for link in shown.links} <= shown.ids


def test_what_it_says(made, tmp_path):
    shown, text = written(tmp_path)
    assert "5 of 10 trials have ended, 1 at full length, 3 pruned, 1 failed." in shown.words
    assert "The search has not ended: go on with: ffsnn search --resume made" in shown.words
    best = table(section(text, "Best trials"))
    assert [row[:4] for row in best[:5]] == [
        ["1", "0", "85.00%", "9"], ["2", "2", "95.00%", "3"], ["3", "5", "60.00%", "3"],
        ["4", "1", "20.00%", "1"], ["5", "3", "10.00%", "2"],
    ]  # fmt: skip
    assert f"| 0 | `ffsnn train {made.trial(0).path / 'config.json'}` |" in section(text, "Best trials")
    assert table(section(text, "Rung survival")) == [
        ["epoch 1", "5", "4", "80%", "1", "0", "60.00%", "40.00%"],
        ["epoch 3", "3", "1", "33%", "1", "1", "95.00%", "82.50%"],
        ["epoch 9", "1", "1", "100%", "0", "0", "85.00%", "85.00%"],
    ]
    assert "Counts the 1 of 6 trials at full length (9 epochs)" in section(text, "Optimisation history")
    assert "need 10 trials that reached one epoch, but here are 5" in section(text, "Parameter importance")
    assert "Counts the 3 of 6 trials that reached epoch 3" in section(text, "Slices")
    assert "Counts the 5 of 6 trials that finished an epoch" in section(text, "Learning curves")
    failures = section(text, "Failures")
    assert "1 of 6 trials failed." in failures
    assert "| pruned | diverged | 1 | 2 | 3 | the loss of layer 0 is nan |" in section(text, "Ends")
    assert "diverged" not in failures
    assert "| died | 2 | 4 | killed |" in failures
    assert "| hung | 1 | 4 | silent |" in failures
    assert table(section(text, "Time spent"))[-1] == ["all", "6", "18", "0:36", "100%"]
    assert "trained 18 epochs, 33% of what as many" in section(text, "Time spent")


def test_importances_count_the_common_epoch(tmp_path):
    results = Results(write(tmp_path, many(30)))
    assert results.common_epoch() == 1
    text = section(written(tmp_path)[1], "Parameter importance")
    assert "Counts the 30 of 30 trials that reached epoch 1" in text
    assert "the best 5 of them" in text
    assert "| parameter | epoch 1: 30 trials | epoch 3: 10 trials | epoch 9: 10 trials |" in text
    shares = importances(at_epoch(results, 1))
    assert sum(shares.values()) == pytest.approx(1)
    assert {row[0].replace("\\", "") for row in table(text)} == shares.keys()
    bars = figures.importance_bars(shares).data[0]
    assert dict(zip(bars.y, bars.x, strict=True)) == shares


def test_best_trials_are_a_tenth_or_five():
    assert [best_trials(count) for count in (10, 30, 50, 200)] == [5, 5, 5, 20]


def test_figures_show_the_trials_they_say(tmp_path):
    results = Results(write(tmp_path, many(12)))
    curves = {trace.name: trace for trace in figures.curves(results).data}
    assert curves.keys() == {"pruned", "at full length", "best"}
    assert len([y for y in curves["at full length"].y if y is not None]) == 4 * 9
    assert [y for y in curves["best"].y if y is not None] == list(results.trials[9].values)
    assert whole(figures.curves(results)) == 1
    (slice_,) = slices(results, 3, ["network.tau"])
    reached, lost = ([trial for trial in results.trials if (trial.epochs >= 3) is it] for it in (True, False))
    assert list(slice_.data[0].x) == [trial.sample["network.tau"] for trial in reached]
    assert list(slice_.data[1].x) == [trial.sample["network.tau"] for trial in lost]
    assert set(slice_.data[1].y) == {slice_.data[1].y[0]}
    assert [whole(figures.history(results)), whole(slices(results, 3, ["network.T"])[0])] == [2, 1]
    drawn = parallel(results, 3, ["network.tau", "network.T"])
    assert sum(list(trace.x).count(None) for trace in drawn.data) == len(reached) == 4
    best = figures.best_by_epochs([results]).data[0]
    assert list(best.x)[:4] == [9, 10, 11, 20]
    assert list(best.y)[:4] == pytest.approx([0.008, 0.01, 0.02, 0.038])


def whole(figure) -> float:
    """The distance of the ticks of an axis."""
    return figure.layout.xaxis.dtick


def test_a_logarithmic_slice_has_a_few_ticks_in_full(tmp_path):
    """Plotly's own were 3 4 5 6 7 8 9 0.1 2 3."""
    (drawn,) = slices(Results(write(tmp_path, many(12))), 1, ["learning.theta"])
    axis, low, high = drawn.layout.xaxis, min(drawn.data[0].x), max(drawn.data[0].x)
    assert 2 <= len(axis.tickvals) <= 5
    assert [float(text) for text in axis.ticktext] == list(axis.tickvals)
    assert all(0.9 * low <= value <= 1.1 * high for value in axis.tickvals)


def test_history_shows_the_part_where_trials_differ(tmp_path):
    good = tuple(Written((0.9 + 0.002 * number,) * 9, End("complete", "finished")) for number in range(10))
    far = Written((0.1,) * 9, End("complete", "finished"))
    drawn = figures.history(Results(write(tmp_path, (*good, far, FAILED))))
    low, high = drawn.layout.yaxis.range
    assert 0.85 < low < 0.9
    assert 0.918 < high < 0.93
    at_full, _, below, failed = drawn.data
    assert list(at_full.x) == list(range(11))
    assert (list(below.x), list(failed.x)) == ([10], [11])
    assert low < below.y[0] == failed.y[0] < 0.9
    assert "10.00%" in below.text[0]


def test_the_history_speaks_of_failures_where_there_are_some(tmp_path):
    for name, trials in (("whole", many(12)), ("failing", (*many(12), FAILED))):
        write(tmp_path, trials, name)
        said = section(written(tmp_path, name)[1], "Optimisation history")
        assert ("the 1 that failed" in said, "that failed" in said) == (name == "failing",) * 2


def test_choices_that_died_early_are_drawn_as_lost(tmp_path):
    results = Results(write(tmp_path, (*many(12), *(Written((), End("failed", "died", "killed")),) * 3)))
    (drawn,) = slices(results, 3, ["learning.loss"])
    assert list(drawn.layout.xaxis.categoryarray) == ["threshold", "swish"]
    assert len(drawn.data[1].x) == 8 + 3
    assert "crosses at the edge are the 3 that ended before" in section(written(tmp_path)[1], "Slices")


def test_importances_fall_back_to_an_epoch_that_enough_reached(tmp_path):
    """Six of twelve reach epoch 3, the common one: too few, so all twelve count at the first."""
    trials = tuple(
        Written(tuple(0.01 * number + 0.001 * epoch for epoch in range(3 if number % 2 else 1)), End("pruned", "asha"))
        for number in range(12)
    )
    results = Results(write(tmp_path, trials))
    assert results.common_epoch() == 3
    assert epoch_of_importance(results) == 1
    assert "Counts the 12 of 12 trials that reached epoch 1" in section(written(tmp_path)[1], "Parameter importance")


def test_a_parameter_that_only_running_trials_have_is_left_out(tmp_path):
    """`theta` is on a logarithmic axis, and exists under one loss only."""
    has_theta = ["learning.theta" in sample for sample in samples(SPACE, 20)]
    assert 0 < sum(has_theta) < 20
    write(tmp_path, tuple(Written() if it else Written((0.5 + n / 100,)) for n, it in enumerate(has_theta)))
    assert "theta" not in section(written(tmp_path)[1], "Slices")


def test_importances_are_of_the_rank_by_all_goals(tmp_path):
    """Those that break the limit are the best by accuracy alone."""
    write(tmp_path, many(30), limit=("accuracy<=20%",), scheduler="promotion")
    results = Results(SearchFolder.open(tmp_path, "made"))
    ranked = [it.value for it in at_epoch(results, 1).trials]
    assert sorted(ranked) == list(range(30))
    values = [trial.values[0] for trial in results.trials]
    kept = [value for value in values if value <= 0.2]
    assert [values[ranked.index(place)] for place in range(len(kept))] == sorted(kept, reverse=True)
    assert "by their rank by accuracy, accuracy&lt;=0.2 there" in section(written(tmp_path)[1], "Parameter importance")


def test_parallel_axes_stand_in_the_order_of_importance(tmp_path):
    results = Results(write(tmp_path, many(30)))
    blocks = next(it for it in at_one_epoch.sections(results) if it.title == "Parallel coordinates").blocks
    every, conditional, _ = blocks
    shares = importances(at_epoch(results, 1))
    names = [note.text for note in every.figures[0].layout.annotations if note.y == 1.08]
    assert names == [*sorted(set(shares) - {"theta"}, key=lambda it: -shares[it]), "validation accuracy"]
    assert next(it.text for it in conditional.figures[0].layout.annotations if it.y == 1.08) == "theta"


def test_another_search_beside_it(made, tmp_path):
    other = Results(write(tmp_path, many(12), "other", seed=3))
    assert common_epoch(Results(made), other) == 1
    text = section(written(tmp_path, "made", "other")[1], "Comparison")
    assert "| seed | 0 | 3 |" in text
    rows = {row[0]: row[1:] for row in table(text)}
    assert rows["trials with a result"] == ["5", "12", "-7"]
    assert rows["best at full length"] == ["85.00%", "9.80%", "+75.20 points"]
    assert rows["median at epoch 1"] == ["40.00%", "5.50%", "+34.50 points"]
    assert rows["epochs trained"] == ["18", "44", "-26"]
    assert rows["training"][2] == "-0:52"
    with pytest.raises(ConfigError, match="names another search, but got 'made' itself"):
        report(tmp_path, "made", "made")
    with pytest.raises(ConfigError, match=r"no search 'odder'.*other"):
        report(tmp_path, "made", "odder")


ONE = Space.parse({"base": {"data": {"dataset": "digits"}}, "parameters": {"tau": {"float": [1.1, 5]}}})
FIXED = Space.parse({"base": {"data": {"dataset": "digits"}}, "parameters": {"surrogate": {"choice": ["atan"]}}})
FAILED = Written(end=End("failed", "error", "ValueError: no"), failures=(("error", "ValueError: no"),))
SHORT = tuple(Written((0.01 * number,), End("complete", "finished")) for number in range(12))
SAME = Written((0.1,) * 9, End("complete", "finished"))


@pytest.mark.parametrize(
    ("trials", "settings", "says"),
    [
        ((), {}, "No trial has begun"),
        ((Written(),), {}, "No trial has finished an epoch"),
        (TRIALS[:1], {}, "need 10 trials that reached one epoch, but here are 1"),
        ((FAILED,) * 12, {}, "12 of 12 trials failed"),
        ((Written((0.1, 0.2)),) * 12, {}, "No trial has reached the full length of 9 epochs"),
        (many(12), {"space": ONE}, "One parameter alone"),
        (many(12), {"space": FIXED}, "there is none to compare its importance with"),
        ((SAME,) * 12, {}, "The best trials were no better than the worst"),
        (many(12), {"scheduler": "none"}, "there were no rungs"),
        ((*SHORT, FAILED, Written()), {"epochs": 1}, "Counts the 12 of 14 trials"),
    ],
    ids=[
        "empty",
        "begun",
        "one",
        "all-failed",
        "running",
        "one-parameter",
        "one-value",
        "all-alike",
        "no-rungs",
        "one-epoch",
    ],
)
def test_odd_searches_have_a_page(tmp_path, trials, settings, says):
    write(tmp_path, trials, **settings)
    write(tmp_path, many(12), "other")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for against in (None, "other"):
            shown, text = written(tmp_path, "made", against)
            assert says in shown.words
            assert says in text
            assert len(shown.links) == (11 if against is None else 12)
        written(tmp_path, "other", "made")


def test_what_comes_from_a_search_is_only_text(tmp_path):
    evil = "</script><script>alert(1)</script> & | `x` *b*"
    space = SPACE.model_copy(update={"description": evil})
    write(tmp_path, (Written(end=End("failed", "<b>", evil), failures=(("<i>", evil),)), *many(12)), space=space,
          space_name=evil, tracking_uri=f"http://me:{evil}@host", data_dir="/a b/<u>")  # fmt: skip
    html, text, _ = report(tmp_path, "made")
    shown = Page(html.read_text())
    assert evil in shown.words
    assert shown.tags.count("script") == html.read_text().count("</script>") > 2
    assert not {"b", "i", "u"} & set(shown.tags)
    assert "alert(1)" not in html.read_text().replace("&lt;script&gt;alert(1)&lt;/script&gt;", "")
    outside = re.sub(r"```.*?```", "", text.read_text(), flags=re.DOTALL)
    assert "<script" not in outside
    failures = [row for row in table(section(text.read_text(), "Failures")) if "alert" in row[-1]]
    assert [len(row) for row in failures] == [5, 4]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:secret@host:5000/x", "http://host:5000/x"),
        ("postgresql://u:p@ss/w?rd#@db/name", "postgresql://db/name"),
        ("https://host/path?token=secret", "https://host/path"),
        ("sqlite:////a/mlflow.db", "sqlite:////a/mlflow.db"),
        ("it said http://me:secret@host and went", "it said http://host and went"),
    ],
)
def test_addresses_without_secrets(address, shown):
    assert without_secrets(address) == shown


def test_no_secret_is_in_any_file(tmp_path):
    said = "no answer from http://me:hunter2@host"
    write(tmp_path, (Written(end=End("failed", "error", said), failures=(("error", said),)),),
          tracking_uri="http://me:hunter2@host")  # fmt: skip
    for file in report(tmp_path, "made"):
        assert "hunter2" not in file.read_text()
    assert "http://host" in file.with_name("report.md").read_text()


def test_the_command_and_the_space_search_the_same():
    config = SearchConfig(name="a", space=SPACE, space_name="digits_smoke", trials=3, epochs=2, sampler="gp", seed=4,
                          concurrency=1, data_dir="/a b", tracking_uri="http://x:y@z")  # fmt: skip
    assert command(config) == (
        "ffsnn search digits_smoke --trials 3 --epochs 2 --seed 4 --sampler gp --concurrency 1 --data-dir '/a b'"
    )
    own = config.model_copy(update={"space_name": "mine", "concurrency": None, "data_dir": None, "sampler": "forecast"})
    assert command(own) == "ffsnn search space.yaml --trials 3 --epochs 2 --seed 4 --experience none"
    learnt = own.model_copy(update={"experience": tuple(Surface.shipped())})
    assert command(learnt) == "ffsnn search space.yaml --trials 3 --epochs 2 --seed 4"
    for space in (SPACE, ONE, Space.load("mnist")):
        assert Space.parse(yaml.safe_load(space_yaml(space))) == space


def test_markdown_tables():
    rows = (("a|b", "1.5%", Code("x `y` | z")), ("<i>", "-", Code("w")))
    text = markdown(Document("T", "s", {"k": "v"}, [Section("One *two*", [Table(("n", "v", "c"), rows), Text("a_b")])]))
    assert text == (
        "# T\n\ns\n\n- k: v\n\n## One \\*two\\*\n\n"
        "| n | v | c |\n| --- | ---: | --- |\n| a\\|b | 1.5% | ``x `y` \\| z`` |\n| &lt;i&gt; | - | `w` |\n\na\\_b\n"
    )
    shown = Page(page(Document("T", "s", {"k": "v"}, [Section("One *two*", [Table(("n", "v", "c"), rows)])])))
    assert "a|b 1.5% copy x `y` | z <i> - copy w" in " ".join(shown.words.split())
    assert shown.links == ["#one-two"]


def test_a_place_that_cannot_be_written_is_one_line(made, tmp_path):
    (made.path / "report").write_text("in the way")
    with pytest.raises(ConfigError, match=r"cannot write to .*report: File exists"):
        report(tmp_path, "made")


def test_a_damaged_search_is_one_line(made, tmp_path):
    (made.path / "search.json").write_text("{")
    with pytest.raises(ConfigError, match=r"search\.json cannot be read"):
        report(tmp_path, "made")
    with pytest.raises(ConfigError, match=r"no search 'mad'.*did you mean made"):
        report(tmp_path, "mad")


def test_the_command_and_what_is_imported_before_it(tmp_path):
    (tmp_path / "mlruns").mkdir()
    write(tmp_path / "mlruns")
    done = ffsnn("report", "made", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [Path(line).name for line in done.stdout.splitlines()] == ["report.html", "report.md", "trials.csv"]
    assert done.stderr == ""
    heavy = "{'optuna', 'plotly', 'ray', 'mlflow', 'pandas'} & set(sys.modules)"
    code = f"import sys, search, search.cli, search.api; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_best_so_far_are_those_that_keep_the_limits(tmp_path):
    trials = tuple(Written((value,) * 9, End("complete", "finished")) for value in (0.9, 0.7, 0.8))
    results = Results(write(tmp_path, trials, objective="val_accuracy", limit=["accuracy<=85%"], scheduler="promotion"))
    line = next(it for it in figures.history(results).data if it.name == "best so far")
    assert line.y == (None, 0.7, 0.8)
    assert _numbers(results, 9)["best at full length"][1] == 0.8


def test_the_command_names_the_objective_that_is_not_the_spaces_and_own_parts(tmp_path):
    space = Space.load("mnist_cheap")
    config = SearchConfig(name="a", space=space, space_name="mnist_cheap", trials=1, epochs=1, parts={"p.py": "0"})
    assert "--objective val_accuracy" in command(config)
    assert command(config).endswith("--use p.py")
