"""What people ask of the method, answered by small trainings with three seeds: `python -m benchmarks.answers`.

Every case is a configuration with a few fields changed; compared is the accuracy on 6,000 validation images after the
last epoch, seed by seed. Each training is kept when it is done, so the same command goes on where it was stopped.
docs/answers.md is what it writes.
"""

import json
import os
import statistics
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

import ffsnn
from benchmarks.speed import RESULTS
from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.inspection import energy
from ffsnn.kernels.parallel import use_threads
from ffsnn.training.trainer import Trainer
from search.simulation.measures import mean
from spaces import presets

SEEDS = (0, 1, 2)
ROOT = Path(__file__).parent.parent
CLASS_HEAD, DOCUMENT, FILE = ROOT / "examples" / "class_head.py", ROOT / "docs" / "answers.md", RESULTS / "answers.json"
SHORT = RunConfig.load(Path(__file__).with_suffix(".yaml")).replaced(
    {"data.train_images": 10_000, "learning.epochs": 12}
)
LONG = presets.load("mnist_best").replaced({"network.widths": [500], "learning.epochs": 20})
AS_IT_IS = "as it is"
ALL_LABELS = {"learning.loss": "softmax", "learning.negatives_per_image": 9}

Changes = Mapping[str, Any]
Measured = dict[str, float]


def steps(encoder: str, *numbers: int) -> dict[str, Changes]:
    return {f"{encoder}, T={T}": {"network.encoder": encoder, "network.T": T} for T in numbers}


def thresholds(*numbers: float) -> dict[str, Changes]:
    return {f"loss `threshold`, theta {it}": {"learning.loss": "threshold", "learning.theta": it} for it in numbers}


def sharpness(goodness: str, *numbers: float) -> dict[str, Changes]:
    return {
        f"`{goodness}`, alpha {it:g}": {"network.goodness": goodness, "learning.alpha": it} for it in numbers
    }  # fmt: skip


SHORT_QUESTIONS: dict[str, dict[str, Changes]] = {
    "Poisson or direct, at equal cost?": steps("direct", 2, 4, 8) | steps("poisson", 4, 8, 16, 32),
    "Does theta matter once the loss compares?": {"loss `swish`, no theta": {}} | thresholds(0.02, 0.05, 0.1, 0.2, 0.4),
    "Which goodness?": sharpness("mean_square", 50, 150, 450) | sharpness("mean", 20, 60, 180),
    "How small may T be?": steps("direct", 1, 2, 3, 4, 6, 8, 12),
    "What does another layer bring?": {
        "-".join(map(str, widths)): {"network.widths": widths}
        for widths in ([500], [500, 500], [500, 500, 500], [1000], [1000, 1000])
    },
    "What does each ingredient bring?": {
        AS_IT_IS: {},
        "without shifted images": {"learning.shift": 0},
        "wrong labels drawn evenly": {"learning.negatives": "uniform"},
        "a constant learning rate": {"learning.schedule": "constant"},
        "loss `symba`": {"learning.loss": "symba"},
        "label amplitude 1": {"network.label_amplitude": 1.0},
        "all labels at once (`softmax`, 9 negatives)": ALL_LABELS,
        "bent images (`elastic` 1)": {"learning.elastic": 1.0},
        "dropout 0.1": {"learning.dropout": 0.1},
        "weights averaged over 3 epochs": {"learning.average": 3},
        "the last four together": ALL_LABELS | {
            "learning.elastic": 1.0, "learning.dropout": 0.1, "learning.average": 3
        },
        "control, not forward-forward: a classifier on each layer's rates": {"network.layer": "class_head"},
    },
}  # fmt: skip
LONG_QUESTIONS: dict[str, dict[str, Changes]] = {
    "What does each ingredient of the best preset bring?": {
        AS_IT_IS: {},
        "images not bent": {"learning.elastic": 0.0},
        "images not shifted": {"learning.shift": 0},
        "images neither bent nor shifted": {"learning.elastic": 0.0, "learning.shift": 0},
        "three wrong labels in place of nine": {"learning.negatives_per_image": 3},
        "one wrong label": {"learning.negatives_per_image": 1},
        "no penalty on firing": {"learning.rate_penalty": 0.0},
        "label amplitude 1": {"network.label_amplitude": 1.0},
        "a constant learning rate": {"learning.schedule": "constant"},
        "a second layer": {"network.widths": [500, 500]},
        "label smoothing 0.1": {"learning.label_smoothing": 0.1},
        "images less their mean (`centred`)": {"network.encoder": "centred"},
        "edges as inputs besides": {"network.features": "edges"},
        "edges, and label smoothing 0.1": {"network.features": "edges", "learning.label_smoothing": 0.1},
    },
}
BASES = ((SHORT, SHORT_QUESTIONS), (LONG, LONG_QUESTIONS))


def measured(config: RunConfig) -> Measured:
    """One training: its last accuracy, seconds of an epoch's steps on one thread, nanojoules of a sample."""
    use_threads(1)
    trainer = Trainer(config, data.load(config.data, config.seed))
    epochs = list(trainer)
    return {
        "accuracy": 100 * epochs[-1].val_accuracy,
        "seconds": statistics.median(config.data.trained_on / it.images_per_second for it in epochs),
        "nanojoules": energy.measure(trainer.network, trainer.validation).nanojoules,
    }


def key(config: RunConfig) -> str:
    return f"{config.id}-{config.seed}"


def configs(base: RunConfig, changes: Changes) -> list[RunConfig]:
    return [base.replaced(dict(changes) | {"seed": seed}) for seed in SEEDS]


def markdown(found: Mapping[str, Measured]) -> str:
    """A table a question: each case's mean, and its difference to the question's first case, seed by seed."""
    images, epochs = f"{SHORT.data.train_images:,}", SHORT.learning.epochs
    text = f"""# What people ask

    python -m benchmarks.answers

`benchmarks/answers.yaml` (784-500-500, T=8) on {images} training images of MNIST, {epochs} epochs, with fields changed
as the tables say; the last table is of the preset `mnist_best` with one layer, on all training images,
{LONG.learning.epochs} epochs. 6,000 validation images after the last epoch, mean of {len(SEEDS)} seeds.
Difference: to a table's first row, seed by seed, with its 95 % interval (t). Seconds: of an epoch's training on one
thread, another training beside it. Energy: of a sample, by the 45 nm estimate.
"""
    for base, questions in BASES:
        for question, cases in questions.items():
            text += f"\n## {question}\n\n{table(base, cases, found)}"
    return text


def table(base: RunConfig, cases: Mapping[str, Changes], found: Mapping[str, Measured]) -> str:
    """Markdown, a row a case."""
    rows = {name: [found[key(it)] for it in configs(base, changes)] for name, changes in cases.items()}
    first = next(iter(rows.values()))
    text = "| | accuracy | difference | s an epoch | nJ |\n|---|---:|---:|---:|---:|\n"
    for name, seeds in rows.items():
        accuracy, seconds, cost = (
            statistics.mean(it[what] for it in seeds) for what in ("accuracy", "seconds", "nanojoules")
        )
        pairs = [[it["accuracy"] - other["accuracy"]] for it, other in zip(seeds, first, strict=True)]
        center, half = mean(np.array(pairs))
        difference = "" if seeds is first else f"{center[0]:+.2f} ± {half[0]:.2f}"
        text += f"| {name} | {accuracy:.2f} % | {difference} | {seconds:.2f} | {cost:,.0f} |\n"
    return text


def main() -> None:
    ffsnn.use(CLASS_HEAD)
    found: dict[str, Measured] = json.loads(FILE.read_text()) if FILE.exists() else {}
    wanted = {
        key(it): it
        for base, questions in BASES
        for cases in questions.values()
        for changes in cases.values()
        for it in configs(base, changes)
    }
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), initializer=ffsnn.use, initargs=(CLASS_HEAD,)) as pool:
        asked = {pool.submit(measured, config): name for name, config in wanted.items() if name not in found}
        for number, done in enumerate(as_completed(asked), 1):
            found[asked[done]] = done.result()
            RESULTS.mkdir(exist_ok=True)
            atomic.write(FILE, json.dumps({name: found[name] for name in wanted if name in found}, indent=1) + "\n")
            print(f"{number} of {len(asked)}: {found[asked[done]]['accuracy']:.2f} %", flush=True)
    atomic.write(DOCUMENT, markdown(found))
    print(f"written to {os.path.relpath(DOCUMENT)}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
