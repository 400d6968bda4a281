"""`ffsnn simulate`, as its user would run it."""

from pathlib import Path

import pytest

from search.simulation.measures import median, ratio
from tests.search.conftest import ffsnn, refused, within


def test_it_prints_a_table_and_writes_a_page(home: Path, tmp_path: Path) -> None:
    page, kept = tmp_path / "page.html", tmp_path / "kept.npz"
    done = ffsnn(
        "simulate", "--scheduler", "promotion", "--seeds", "2", "--trials", "12", "--slots", "4",
        "--write", str(page), "--keep", str(kept), home=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "simulating forecast + promotion" in done.stdout  # the defaults are among what is simulated
    assert f"written: {page}" in done.stdout
    assert "<h1>Simulated searches on digits</h1>" in page.read_text()
    again = within(
        "simulate", str(kept), "--sampler", "random", "--scheduler", "none,asha", "--seeds", "1", "--trials", "9",
        "--objective", "accuracy,spikes", "--spend", "20", "--write", str(tmp_path / "page.md"), home=home,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "left out, for they do not take several objectives: asha" in again.stdout
    assert "hypervolume after 20" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonesuch",), "there is no surface or search 'nonesuch'"),
        (("digits", "--sampler", "smac"), "but got 'smac': parts of your own come with --use FILE"),
        (("digits", "--scheduler", "hyperband"), "scheduler: must be"),
        (("digits", "--experience", "cifar"), "experience must be none, or of digits, fashion_mnist, mnist, but got"),
        (("digits", "--seeds", "0"), "--seeds must be at least 1"),
    ],
)
def test_what_is_wrong_is_refused(arguments: tuple[str, ...], said: str, home: Path) -> None:
    assert said in refused("simulate", *arguments, home=home)


def test_medians_and_ratios_hold_where_some_never_came_to_it() -> None:
    values = [float(value) for value in range(1, 20)] + [float("inf")]
    assert (median(values).value, median(values).low, median(values).high) == (10.5, 6.0, 15.0)
    assert ratio([2.0] * 5, [4.0] * 5).value == 0.5
    lost = ratio([2.0] * 5, [float("inf")] * 5)
    assert lost.value != lost.value  # nothing to compare with
    often = ratio([70.0] * 20, [100.0] * 11 + [float("inf")] * 9)
    assert (often.value, often.low, often.high) == (0.7, 0.0, 0.7)  # in some draws the other was not seen: far better
