"""What one would write without this project: Ray Tune with OptunaSearch, ASHAScheduler and MLflowLoggerCallback, put
together as their documentation shows. It searches the same space with the same Trainer; `benchmarks.search` times it.

    python -m benchmarks.plain_tune SPACE.yaml --trials 40 --epochs 10 --concurrency 2
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.kernels.parallel import use_threads
from ffsnn.training.trainer import Trainer
from spaces.parameter import Float, Int
from spaces.space import Space


def define(trial: optuna.Trial, space: Space) -> None:
    """Optuna's define-by-run form of a space."""
    sample: dict[str, Any] = {}
    for path, parameter in space.parameters.items():
        if not space.active(path, sample):
            continue
        if isinstance(parameter, Float):
            sample[path] = trial.suggest_float(path, *parameter.float, log=parameter.log)
        elif isinstance(parameter, Int):
            sample[path] = trial.suggest_int(path, *parameter.int, log=parameter.log)
        else:
            sample[path] = trial.suggest_categorical(path, parameter.choice)


def train(config: dict[str, Any], base: RunConfig) -> None:
    """A function trainable: reports each epoch, with a checkpoint."""
    use_threads(1)
    run = base.replaced(config)
    trainer = Trainer(run, data.load(run.data, run.seed, run.data_dir))
    for epoch in trainer:
        with tempfile.TemporaryDirectory() as folder:
            torch.save(trainer.state_dict(), Path(folder) / "trainer.pt")
            metrics = {"epoch": epoch.epoch, "val_accuracy": epoch.val_accuracy, "loss": sum(epoch.loss)}
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))


def run(space: Space, trials: int, epochs: int, concurrency: int, home: Path) -> list[dict[str, Any]]:
    """Search; returns every trial's sample."""
    home.mkdir(parents=True, exist_ok=True)
    base = space.base.replaced({"learning.epochs": epochs})
    searcher = OptunaSearch(partial(define, space=space), metric="val_accuracy", mode="max", seed=0)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, base=base), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=ConcurrencyLimiter(searcher, concurrency),
            scheduler=ASHAScheduler(
                time_attr="epoch", metric="val_accuracy", mode="max",
                max_t=epochs, grace_period=space.budget.grace_epochs,
            ),
            num_samples=trials,
        ),
        run_config=tune.RunConfig(
            name="plain", storage_path=str(home), verbose=0,
            callbacks=[MLflowLoggerCallback(f"sqlite:///{home.absolute()}/mlflow.db", experiment_name="plain")],
        ),
    )  # fmt: skip
    results = tuner.fit()
    return [results[trial].config or {} for trial in range(len(results))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_tune")
    parser.add_argument("space")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--home", type=Path, default=Path("mlruns/plain"))
    asked = parser.parse_args()
    run(Space.load(asked.space), asked.trials, asked.epochs, asked.concurrency, asked.home)


if __name__ == "__main__":
    main()
