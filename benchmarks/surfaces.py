"""Record the learning curves that `ffsnn simulate` answers from: hours on two cores, and resumable.

    python -m benchmarks.surfaces digits            # 600 configurations, 27 epochs, two seeds
    python -m benchmarks.surfaces mnist
    python -m benchmarks.surfaces fashion_mnist     # 300 configurations

Each seed is a search of its own (`surface-NAME-SEED` in mlruns/) that draws at random and stops nothing; the second
trains the points of the first. The same command goes on where it was stopped. What both have trained to the end is
written to search/simulation/surfaces/NAME.npz.
"""

import argparse
from collections.abc import Iterator

from rich.console import Console

from search import api
from search.simulation.surface import SHIPPED, Surface
from spaces.parameter import Sample
from spaces.space import Space

SEEDS, EPOCHS = (0, 1), 27
DATA = {
    "digits": ({"dataset": "digits", "validation": 0.5}, 32, 600),
    "mnist": ({"dataset": "mnist", "validation": 0.05, "train_images": 5000}, 100, 600),
    "fashion_mnist": ({"dataset": "fashion_mnist", "validation": 0.05, "train_images": 5000}, 100, 300),
}  # data, batch size, configurations


def space(name: str) -> Space:
    """A wide space on one of the data sets."""
    data, batch_size, configurations = DATA[name]
    return Space.parse({
        "description": "A wide space, of which benchmarks.surfaces records learning curves.",
        "base": {"data": data, "network": {"widths": [100, 100]}, "learning": {"batch_size": batch_size}},
        "parameters": {
            "v_threshold": {"float": [0.1, 2], "log": True},
            "tau": {"float": [1.1, 6]},
            "T": {"int": [2, 12], "log": True},
            "widths": {"choice": [[100], [100, 100], [200, 200]]},
            "surrogate": {"choice": ["atan", "sigmoid"]},
            "surrogate_alpha": {"float": [0.5, 8], "log": True},
            "goodness": {"choice": ["mean_square", "mean"]},
            "loss": {"choice": ["threshold", "swish"]},
            "theta": {"float": [0.02, 0.5], "log": True, "when": {"loss": "threshold"}},
            "alpha": {"float": [3, 200], "log": True},
            "lr": {"float": [0.0003, 0.03], "log": True},
            "label_amplitude": {"float": [0.5, 6], "log": True},
        },
        "budget": {"trials": configurations, "epochs": EPOCHS},
    })  # fmt: skip


def _points(search: api.Search) -> Iterator[Sample]:
    return (search.config.space.read(trial.config()) for trial in search.folder.trials())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=DATA)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--write-only", action="store_true", help="of what is there already")
    asked = parser.parse_args()
    console, searches = Console(), []
    for seed in asked.seeds:
        name = f"surface-{asked.name}-{seed}"
        if asked.write_only:
            searches.append(api.load(name))
            continue
        first = tuple(_points(searches[0])) if searches else ()
        settings = {"sampler": "random", "scheduler": "none", "seed": seed, "cold": True, "veto": False}
        searches.append(api.run(space(asked.name), name=name, first=first, max_failed=1.0, **settings))
    surface = Surface.of_searches(asked.name, [search.folder for search in searches])
    file = SHIPPED / f"{asked.name}.npz"
    surface.save(file)
    console.print(f"{file}: {len(surface.samples)} configurations, {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
