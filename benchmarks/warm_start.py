"""What a warm start saves: trials until a search on MNIST has reached an accuracy, with and without the best points of
a search on a slice of it tried first.

The same seeds in both; every search is a real one, in a home of its own that is deleted.

    python -m benchmarks.warm_start [--seeds 3] [--trials 16] [--slice 5000]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

import search
import spaces
from benchmarks.speed import RESULTS, machine
from ffsnn import atomic

LEVELS = (0.95, 0.96, 0.965, 0.97)
EPOCHS = 3


def reached(accuracies: list[float | None], level: float) -> int | None:
    """How many trials it took; None: more than there were."""
    return next((n for n, value in enumerate(accuracies, 1) if value is not None and value >= level), None)


def accuracies(name: str, home: Path, space: Path | str, **settings: Any) -> list[float | None]:
    """Each trial's best validation accuracy, in the order of their numbers."""
    found = search.run(space, name=name, home=home, epochs=EPOCHS, quiet=True, **settings)
    values: list[float | None] = found.table()["best_val_accuracy"].sort_index().tolist()
    return values


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm_start")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16, help="of a search on MNIST")
    parser.add_argument("--slice", type=int, default=5000, help="training images of the search before")
    asked = parser.parse_args()
    console = Console(highlight=False, width=120)
    whole: dict[str, list[list[float | None]]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory(prefix="ffsnn-warm-") as scratch:
        home = Path(scratch)
        (home / "mlruns").mkdir()
        tree = yaml.safe_load((Path(spaces.__file__).parent / "mnist.yaml").read_text())
        tree["base"]["data"]["train_images"] = asked.slice
        (home / "slice.yaml").write_text(yaml.safe_dump(tree))
        for seed in range(asked.seeds):
            accuracies(f"slice-{seed}", home, home / "slice.yaml", trials=24, seed=seed, cold=True)
            for kind, settings in (("without", {}), ("with", {"warm_start": (f"slice-{seed}",)})):
                settings |= {"trials": asked.trials, "seed": seed, "cold": True}
                found = accuracies(f"{kind}-{seed}", home, "mnist", **settings)
                whole[kind].append(found)
                console.print(f"seed {seed} {kind}: {[f'{100 * (value or 0):.1f}' for value in found]}")
    table = Table(title=f"trials (of {asked.trials}) until a search on MNIST reaches an accuracy, a seed each")
    for column in ("validation accuracy", "without", f"with the best 5 of {asked.slice:,} images"):
        table.add_column(column, justify="right")
    for level in LEVELS:
        cells = [[reached(found, level) for found in whole[kind]] for kind in ("without", "with")]
        table.add_row(f"{level:.1%}", *(", ".join("-" if n is None else str(n) for n in counts) for counts in cells))
    console.print(table)
    result = {"machine": machine(torch.device("cpu")), "epochs": EPOCHS, "slice": asked.slice, "accuracies": whole}
    atomic.write(RESULTS / "warm_start.json", json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
