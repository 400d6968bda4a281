"""A search loop of one's own: `Trainer` is an iterator of epochs, which anything can drive; here plain Optuna.

    python examples/own_loop.py

What `ffsnn search` adds to such a loop: trials in processes of their own, exact resume, unfinished trials that count,
records in MLflow, a report.
"""

import optuna

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.training.dead_layers import DeadLayerError
from ffsnn.training.trainer import DivergedError, Trainer

TRIALS, EPOCHS = 8, 6
BASE = RunConfig.parse({
    "data": {"dataset": "digits"}, "network": {"widths": [64, 64]}, "learning": {"batch_size": 128, "epochs": EPOCHS},
})  # fmt: skip


def objective(trial: optuna.Trial) -> float:
    """Validation accuracy after the last epoch."""
    config = BASE.replaced({
        "network.tau": trial.suggest_float("tau", 1.1, 5),
        "network.T": trial.suggest_int("T", 2, 8, log=True),
        "network.goodness": trial.suggest_categorical("goodness", ["mean_square", "mean"]),
        "learning.lr": trial.suggest_float("lr", 1e-3, 3e-2, log=True),
    })  # fmt: skip
    accuracy = 0.0
    try:
        for epoch in Trainer(config, load(config.data, config.seed)):  # an epoch is trained when it is asked for
            accuracy = epoch.val_accuracy
            trial.report(accuracy, epoch.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
    except (DivergedError, DeadLayerError) as error:
        raise optuna.TrialPruned(str(error)) from error
    return accuracy


def main() -> optuna.Study:
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3),
    )
    study.optimize(objective, n_trials=TRIALS)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(f"trial {best.number}: {best.value:.2%} with {best.params}")
