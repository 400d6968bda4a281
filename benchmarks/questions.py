"""The three questions of the method's notes, answered by measurement: `make questions`.

1. Is what an MSE output layer gains "perhaps only the gain of one back-propagated linear layer"?
2. How many output neurons fire in one time step, before and after the MSE loss?
3. Ten passes, two, or one: accuracy and speed.

All accuracies are on the validation images; mean and standard deviation over three seeds.
"""

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.inspection.trace import trace
from ffsnn.kernels.parallel import use_threads
from ffsnn.network import Network
from ffsnn.training.trainer import Trainer

SEEDS = range(3)
RESULTS = Path(__file__).parent / "results" / "questions.json"
DOCUMENT = Path(__file__).parent.parent / "docs" / "questions.md"
BASE = RunConfig.parse(
    {
        "network": {
            "widths": [500, 10],
            "T": 10,
            "v_threshold": 0.7,
            "tau": 2.7,
            "label_amplitude": 3,
            "prediction": "one_pass",
        },
        "learning": {"output": "mse", "batch_size": 256, "epochs": 5},
    }
)
Case = tuple[dict[str, Any], tuple[int, ...]]  # changes to BASE, frozen layers
Answers = dict[str, list[dict[str, float]]]  # row -> what each seed measured


def trained(changes: dict[str, Any], seed: int, frozen: tuple[int, ...] = ()) -> tuple[Trainer, Network]:
    config = BASE.replaced(changes | {"seed": seed})
    trainer = Trainer(config, data.load(config.data, seed), frozenset(frozen))
    for _ in trainer:
        pass
    return trainer, trainer.network


def gain_of_the_output_layer(seed: int) -> dict[str, dict[str, float]]:
    """The same output layer on three inputs."""
    cases: dict[str, Case] = {
        "MSE layer on the pixels": ({"network.widths": [10]}, ()),
        "MSE layer on a frozen, random hidden layer": ({}, (0,)),
        "MSE layer on a hidden layer trained forward-forward": ({}, ()),
    }
    rows = {}
    for name, (changes, frozen) in cases.items():
        trainer, network = trained(changes, seed, frozen)
        rows[name] = {"accuracy": network.accuracy(trainer.validation.x, trainer.validation.y)}
    return rows


def neurons_firing_at_once(seed: int) -> dict[str, dict[str, float]]:
    """Output spikes a time step, each image under its own label."""
    cases: dict[str, Case] = {
        "before training": ({}, (0, 1)),
        "output layer trained by goodness": ({"learning.output": "goodness", "network.prediction": "largest_rate"}, ()),
        "output layer trained by MSE": ({}, ()),
    }
    rows = {}
    for name, (changes, frozen) in cases.items():
        trainer, network = trained(changes, seed, frozen)
        x, y = trainer.validation.x, trainer.validation.y
        spikes = trace(network, x, y)[-1].spikes.float().sum(-1)
        rows[name] = {"neurons": spikes.mean().item(), "one": (spikes == 1).float().mean().item()}
    return rows


def passes(seed: int) -> dict[str, dict[str, float]]:
    """One network, read in four ways."""
    trainer, network = trained({"network.widths": [500, 500, 10]}, seed)
    x, y = trainer.validation.x, trainer.validation.y
    rows = {}
    for name, prediction in {
        "10 passes, goodness": "goodness",
        "10 passes, largest rate": "largest_rate",
        "2 passes": "two_pass",
        "1 pass": "one_pass",
    }.items():
        start = time.perf_counter()
        accuracy = network.accuracy(x, y, prediction)
        speed = len(x) / (time.perf_counter() - start)
        best, second = torch.cat([network.scores(part, 0, prediction) for part in x.split(400)]).topk(2, 1).values.T
        rows[name] = {
            "accuracy": accuracy, "tied": (best == second).float().mean().item(), "images_per_second": speed
        }  # fmt: skip
    return rows


QUESTIONS = {
    "1. What does the output layer gain?": gain_of_the_output_layer,
    "2. How many output neurons fire in one time step?": neurons_firing_at_once,
    "3. Ten passes, two, or one?": passes,
}
FORMATS = {"accuracy": "{:.2%}", "one": "{:.1%}", "tied": "{:.1%}", "neurons": "{:.2f}", "images_per_second": "{:,.0f}"}
TITLES = {
    "tied": "two best labels tied",
    "one": "steps with exactly one",
    "neurons": "neurons a step",
    "images_per_second": "images/s",
}


def cells(question: str, answers: Answers) -> list[list[str]]:
    """The question's table: a header, then a row a case, mean and standard deviation over the seeds."""
    names = list(next(iter(answers.values()))[0])
    rows = [["", *(TITLES.get(name, name) for name in names)]]
    for row, seeds in answers.items():
        shown = [[FORMATS[name].format(spread([seed[name] for seed in seeds])[n]) for n in (0, 1)] for name in names]
        rows.append([row, *(f"{mean} ± {deviation}" for mean, deviation in shown)])
    return rows


def spread(values: list[float]) -> tuple[float, float]:
    return statistics.mean(values), statistics.stdev(values)


def markdown(answers: dict[str, Answers]) -> str:
    text = f"""# The method notes' three questions

`make questions`: hidden layers of 500 neurons, T={BASE.network.T}, {BASE.learning.epochs} epochs on 54,000 MNIST
images, {BASE.learning.loss} loss in the hidden layers; 6,000 validation images; mean ± standard deviation of three
seeds.
"""
    for question, answer in answers.items():
        header, *rows = cells(question, answer)
        lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
        text += f"\n## {question}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    return text


def kept() -> dict[str, Answers]:
    """What an earlier, interrupted run with the same configuration has answered."""
    try:
        found = json.loads(RESULTS.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    answers: dict[str, Answers] = found["answers"]
    return answers if found["base"] in BASE.ids else {}


def main() -> None:
    use_threads(torch.get_num_threads())
    console = Console(highlight=False, width=120)
    answers = kept()
    for question, measure in QUESTIONS.items():
        if question not in answers:
            measured: Answers = {}
            for seed in SEEDS:
                console.print(f"{question} seed {seed}")
                for row, values in measure(seed).items():
                    measured.setdefault(row, []).append(values)
            answers[question] = measured
            RESULTS.parent.mkdir(exist_ok=True)
            atomic.write(RESULTS, json.dumps({"base": BASE.id, "answers": answers}, indent=2) + "\n")
        header, *rows = cells(question, answers[question])
        table = Table(*header, title=question)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    atomic.write(DOCUMENT, markdown(answers))
    console.print(f"written to {os.path.relpath(DOCUMENT)}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
