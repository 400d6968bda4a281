"""How a sampler should be told of a diverged trial: FAIL, which it passes over, or by the worst value.

No network is trained: made-up accuracies over eight parameters of ours, noisy, learned at different speeds, stopped by
ASHA at epochs 1 and 3 of 9. Trials diverge where `lr` and `alpha` are high together, in a given share of the space; the
best point lies just within the edge, or far from it. What counts is the true accuracy of the trial that a search would
choose. A rule's searches and those of FAIL share their seeds, so the test is paired (Wilcoxon).

    python -m benchmarks.diverged [--seeds 40] [--samplers tpe gp] [--processes 2]
"""

import argparse
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table
from scipy.stats import wilcoxon

from search.config import SearchConfig
from search.study import samplers
from search.study.sampling import suggest
from spaces.space import Space

RULES = ("FAIL", "COMPLETE, 0", "PRUNED, 0 at step 1")
BUDGETS = (32, 100)
EPOCHS, RUNGS, FACTOR, NOISE = 9, (1, 3), 3, 0.005
SPACE = Space.parse({
    "parameters": {
        "lr": {"float": [1e-4, 1e-1], "log": True}, "alpha": {"float": [1, 200], "log": True},
        "v_threshold": {"float": [0.2, 1.5]}, "tau": {"float": [1.1, 5]}, "T": {"int": [2, 16], "log": True},
        "surrogate": {"choice": ["atan", "sigmoid"]}, "loss": {"choice": ["threshold", "swish"]},
        "theta": {"float": [0.02, 0.5], "log": True, "when": {"loss": "threshold"}},
    },
})  # fmt: skip


@dataclass(frozen=True)
class Landscape:
    """Where trials diverge, and how far from there the best one lies."""

    diverging: float  # share of the space
    near: bool

    def __str__(self) -> str:
        return f"{self.diverging:.0%} diverges, best {'at its edge' if self.near else 'far from it'}"

    @property
    def edge(self) -> float:
        """lr + alpha, each from 0 to 1 in its logarithm, beyond which trials diverge (share at most one half)."""
        return 2 - math.sqrt(2 * self.diverging)

    def curve(self, sample: dict[str, Any], draw: np.random.Generator) -> tuple[float, list[float]] | None:
        """True accuracy at the end, and the one seen after each epoch; None: it diverges."""
        lr, alpha = math.log(sample["lr"] / 1e-4) / math.log(1e3), math.log(sample["alpha"]) / math.log(200)
        if lr + alpha > self.edge:
            return None
        best = self.edge - (0.06 if self.near else 0.6)
        loss = 0.5 * (lr + alpha - best) ** 2 + 0.15 * (lr - alpha - 0.1) ** 2
        loss += 0.15 * (sample["v_threshold"] - 0.6) ** 2 + 0.01 * (sample["tau"] - 2) ** 2
        loss += 0.02 * (math.log2(sample["T"]) - 3) ** 2 + 0.02 * (sample["surrogate"] == "sigmoid")
        loss += 0.03 * math.log10(sample["theta"] / 0.1) ** 2 + 0.01 if "theta" in sample else 0.02
        final = 0.1 + 0.88 * math.exp(-2 * loss)
        speed = 0.4 + 1.2 * lr
        seen = [final * (1 - 0.5 * math.exp(-speed * epoch)) for epoch in range(1, EPOCHS + 1)]
        return final, [value + NOISE * draw.standard_normal() for value in seen]


def search(sampler: str, landscape: Landscape, rule: str, seed: int) -> list[tuple[float, float, int]]:
    """One search; after each budget the chosen trial's true accuracy, the share that diverged, and epochs trained."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    draw = np.random.default_rng(seed)
    rungs: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    chosen, diverged, epochs, results = (-math.inf, 0.1), 0, 0, []  # chosen: seen at full length, true
    for number in range(max(BUDGETS)):
        study.sampler = samplers.build(sampler, SearchConfig(name="d", space=SPACE, seed=seed), number)
        trial = study.ask()
        path = {path: path.rsplit(".", 1)[-1] for path in SPACE.parameters}
        sample = {path[name]: value for name, value in suggest(SPACE, trial).items()}
        outcome = landscape.curve(sample, draw)
        if outcome is None:
            diverged += 1
            epochs += 1
            tell_diverged(study, trial, rule)
        else:
            final, curve = outcome
            for epoch, value in enumerate(curve, 1):
                trial.report(value, epoch)
                epochs += 1
                if epoch in rungs:
                    rungs[epoch].append(value)
                    if value < np.percentile(rungs[epoch], 100 * (1 - 1 / FACTOR)):
                        study.tell(trial, state=TrialState.PRUNED)
                        break
            else:
                study.tell(trial, curve[-1])
                chosen = max(chosen, (curve[-1], final))
        if number + 1 in BUDGETS:
            results.append((chosen[1], diverged / (number + 1), epochs))
    return results


def tell_diverged(study: optuna.Study, trial: optuna.Trial, rule: str) -> None:
    if rule == "FAIL":
        study.tell(trial, state=TrialState.FAIL)
    elif rule == "COMPLETE, 0":
        study.tell(trial, 0.0)
    else:
        trial.report(0.0, 1)
        study.tell(trial, state=TrialState.PRUNED)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diverged")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--samplers", nargs="+", default=["tpe"])
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    console = Console(highlight=False, width=130)
    landscapes = [Landscape(share, True) for share in (0.1, 0.3, 0.5)] + [Landscape(0.3, False)]
    for sampler in asked.samplers:
        cases = list(product(landscapes, RULES, range(asked.seeds)))
        with ProcessPoolExecutor(asked.processes) as pool:
            found = list(pool.map(search, [sampler] * len(cases), *zip(*cases, strict=True), chunksize=4))
        # landscape, rule, seed, budget, (true accuracy, share diverged, epochs)
        measured = np.array(found).reshape(len(landscapes), len(RULES), asked.seeds, len(BUDGETS), 3)
        table = Table(title=f"{sampler}, {asked.seeds} seeds: true accuracy of the chosen trial, mean ± standard error")
        for column in (
            "landscape",
            "trials",
            "diverged told as",
            "accuracy, %",
            "less FAIL's",
            "p",
            "diverged",
            "epochs",
        ):
            table.add_column(column, justify="left" if column in ("landscape", "diverged told as") else "right")
        for (where, landscape), (when, budget) in product(enumerate(landscapes), enumerate(BUDGETS)):
            for which, rule in enumerate(RULES):
                of_rule, of_fail = measured[where, which, :, when], measured[where, 0, :, when]
                add_row(table, str(landscape), budget, rule, of_rule, of_fail)
            table.add_section()
        for (when, budget), (which, rule) in product(enumerate(BUDGETS), enumerate(RULES)):
            of_rule, of_fail = (measured[:, n, :, when].reshape(-1, 3) for n in (which, 0))
            add_row(table, "all", budget, rule, of_rule, of_fail)
        console.print(table)


def add_row(table: Table, landscape: str, budget: int, rule: str, of_rule: Any, of_fail: Any) -> None:
    values, more = 100 * of_rule[:, 0], 100 * (of_rule[:, 0] - of_fail[:, 0])
    error = values.std(ddof=1) / math.sqrt(len(values))
    against = [f"{more.mean():+.2f}", f"{wilcoxon(more).pvalue:.3f}"] if more.any() else ["", ""]
    table.add_row(
        landscape, str(budget), rule, f"{values.mean():.2f} ± {error:.2f}", *against,
        f"{of_rule[:, 1].mean():.0%}", f"{of_rule[:, 2].mean():.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
