"""Record the learning curves that `ffsnn simulate` answers from: hours on two cores, and resumable.

    python -m benchmarks.surfaces digits            # 600 configurations, 27 epochs, two seeds
    python -m benchmarks.surfaces mnist
    python -m benchmarks.surfaces fashion_mnist     # 300 configurations

Each seed is a search of its own (`surface-NAME-SEED` in mlruns/) that draws at random and stops nothing; the second
trains the points of the first. The same command goes on where it was stopped; a seed that
search/forecast/surfaces/NAME.npz has is not trained again.
"""

import argparse
import sys

from search import api
from search.forecast.surface import SHIPPED, Surface
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=DATA)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    asked = parser.parse_args()
    file = SHIPPED / f"{asked.name}.npz"
    surface = Surface.load(file) if file.exists() else None
    for seed in asked.seeds:
        if surface and seed in surface.seeds:
            continue
        search = api.run(
            space(asked.name), name=f"surface-{asked.name}-{seed}", sampler="random", scheduler="none", seed=seed,
            cold=True, veto=False, first=tuple(surface.samples) if surface else (), max_failed=1.0,
        )  # fmt: skip
        recorded = Surface.of_searches(asked.name, [search.folder])
        if len(recorded.samples) < search.config.trials:
            sys.exit(f"{len(recorded.samples)} of {search.config.trials} are recorded: the same command goes on")
        surface = surface.joined(recorded) if surface else recorded
        surface.save(file)
    if surface:
        print(f"{file}: {len(surface.samples)} configurations, {len(surface.seeds)} seeds")


if __name__ == "__main__":
    main()
