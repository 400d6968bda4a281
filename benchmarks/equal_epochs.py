"""Real searches at equal epochs: today's default, with experience and without, the one before, and random search.

The space and the data are those of the recorded surface `mnist` (`benchmarks.surfaces`), so that what is found here
can be held against `ffsnn simulate mnist`; experience is of other data sets alone, as there. Each search is one of
mlruns/ (`equal-PAIR-SEED`, pairs by their number), and goes on where it was stopped; what it found stays in
benchmarks/results/equal_epochs.json, and is not searched for again. Epochs count in the order in which the study was
told of them: at a rung or at a trial's end.

    python -m benchmarks.equal_epochs [--seeds 5] [--budget 200]           # a quarter of an hour on two cores
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=200, help="epochs, over all trials")
    asked = parser.parse_args()
    budgets = [str(asked.budget // 2), str(asked.budget)]
    found: dict[str, dict[str, float]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for seed in range(asked.seeds):
        for number, (pair, settings) in enumerate(PAIRS.items()):
            name = f"{pair}, seed {seed}"
            if not set(budgets) <= found.get(name, {}).keys():
                done = api.run(space("mnist"), name=f"equal-{number}-{seed}", seed=seed, cold=True, **settings)
                told = {it: best_after(done.folder.study_file, int(it), done.config.epochs) for it in budgets}
                found[name] = found.get(name, {}) | {it: round(100 * value, 2) for it, value in told.items()}
                RESULTS.mkdir(exist_ok=True)
                atomic.write(FILE, json.dumps(found, indent=1) + "\n")
    Console().print(table(found, budgets, asked.seeds))


def table(found: dict[str, dict[str, float]], budgets: list[str], seeds: int) -> Table:
    """A row a pair: mean and half of its 95 % interval after each budget, and each seed's after the last."""
    shown = Table(title="Best validation accuracy at full length, %", title_justify="left")
    for column in ("", *(f"after {budget} epochs" for budget in budgets), *map(str, range(seeds))):
        shown.add_column(column, justify="right")
    for pair in PAIRS:
        values = np.array([[found[f"{pair}, seed {seed}"][it] for it in budgets] for seed in range(seeds)])
        cells = [f"{one:.2f} +- {other:.2f}" for one, other in zip(*mean(values), strict=True)]
        shown.add_row(pair, *cells, *(f"{value:.2f}" for value in values[:, -1]))
    return shown


if __name__ == "__main__":
    main()
