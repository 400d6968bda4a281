"""Real searches at equal epochs: today's default, with experience and without, the one before, and random search.

The space and the data are those of the recorded surface `mnist` (`benchmarks.surfaces`), so that what is found here
can be held against `ffsnn simulate mnist`; experience is of other data sets alone, as there. Each search is one of
mlruns/ (`equal-PAIR-SEED`, pairs by their number), and goes on where it was stopped; what it found stays in
benchmarks/results/equal_epochs.json, and is not searched for again. Epochs count in the order in which the study was
told of them: at a rung or at a trial's end.

    python -m benchmarks.equal_epochs [--seeds 5] [--budget 200]           # 40 minutes on two cores beside other work
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.speed import RESULTS
from benchmarks.surfaces import space
from ffsnn import atomic
from search import api
from search.simulation.measures import mean

PAIRS: dict[str, dict[str, Any]] = {  # settings of each; trials for 200 epochs
    "forecast + promotion": {"trials": 50, "experience": "digits,fashion_mnist"},
    "the same without experience": {"trials": 60, "experience": "none"},
    "tpe + asha": {"trials": 70, "sampler": "tpe", "scheduler": "asha"},
    "random + none": {"trials": 8, "sampler": "random", "scheduler": "none"},
}
GOOD = "94.25"  # %: the best 1 % of the surface are as good at full length
FILE = RESULTS / "equal_epochs.json"
REPORTED = 7  # the journal's operation by which a value is reported


def told(journal: Path) -> Iterator[tuple[int, float]]:
    """Epoch and value, in the order in which the study was told."""
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        if entry["op_code"] == REPORTED:
            yield entry["step"], entry["intermediate_value"]


def best_after(journal: Path, budget: int, epochs: int) -> float:
    """The best value at full length within a budget of epochs; of those that came furthest where none did."""
    seen = [it for it, _ in zip(told(journal), range(budget), strict=False)]
    furthest = max(epoch for epoch, _ in seen if epoch <= epochs)
    return max(value for epoch, value in seen if epoch == furthest)


def until(journal: Path, value: float, epochs: int) -> int | None:
    """Epochs until a trial at full length was as good as a value; None: no trial was."""
    for count, (epoch, reached) in enumerate(told(journal), 1):
        if epoch == epochs and reached >= value:
            return count
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=200, help="epochs, over all trials")
    asked = parser.parse_args()
    budgets = [str(asked.budget // 2), str(asked.budget)]
    found: dict[str, dict[str, float | None]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for seed in range(asked.seeds):
        for number, (pair, settings) in enumerate(PAIRS.items()):
            name = f"{pair}, seed {seed}"
            if not {*budgets, GOOD} <= found.get(name, {}).keys():
                done = api.run(space("mnist"), name=f"equal-{number}-{seed}", seed=seed, cold=True, **settings)
                journal, epochs = done.folder.study_file, done.config.epochs
                best = {it: round(100 * best_after(journal, int(it), epochs), 2) for it in budgets}
                found[name] = found.get(name, {}) | best | {GOOD: until(journal, float(GOOD) / 100, epochs)}
                RESULTS.mkdir(exist_ok=True)
                atomic.write(FILE, json.dumps(found, indent=1) + "\n")
    Console().print(table(found, budgets, asked.seeds))


def table(found: dict[str, dict[str, float | None]], budgets: list[str], seeds: int) -> Table:
    """A row a pair: mean and half of its 95 % interval after each budget, each seed's after the last, and epochs until
    a trial was good."""
    shown = Table(title="Best validation accuracy at full length, %", title_justify="left")
    for column in ("", *(f"after {it} epochs" for it in budgets), f"of seeds 0 to {seeds - 1}", f"epochs to {GOOD} %"):
        shown.add_column(column, justify="right")
    for pair in PAIRS:
        each = [found[f"{pair}, seed {seed}"] for seed in range(seeds)]
        values = np.array([[one[it] for it in budgets] for one in each], float)
        cells = [f"{one:.2f} +- {other:.2f}" for one, other in zip(*mean(values), strict=True)]
        last, reached = (f"{value:.2f}" for value in values[:, -1]), (str(one[GOOD] or "never") for one in each)
        shown.add_row(pair, *cells, ", ".join(last), ", ".join(reached))
    return shown


if __name__ == "__main__":
    main()
