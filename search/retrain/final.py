"""`ffsnn retrain --final`: the winner of a retraining, trained on all training images, validation images included.

It follows a retraining, which has chosen configuration and epoch: the seed is the winner's best one, the epoch the
median of its seeds' best ones (`ffsnn.training.final_fit`). It is a run like those of `ffsnn train`, in the folder
`final/` of the retraining, so that the same command goes on with it.
"""

from dataclasses import dataclass
from pathlib import Path

from ffsnn.config import RunConfig
from ffsnn.training import final_fit
from ffsnn.training.run_folder import RunFolder
from ffsnn.validation import ConfigError, brief
from search import names
from search.retrain import champion
from search.retrain.folder import RetrainFolder
from search.retrain.retrain import Request, settings_and_folder
from search.retrain.verdict import RetrainResult
from search.store.folder import SearchFolder
from search.tracking.run_exporter import RunExporter, TrackedRun


@dataclass(frozen=True)
class FinalFit:
    """A final fit as it is to be trained."""

    config: RunConfig
    retraining: RetrainFolder  # that has chosen it
    result: RetrainResult
    tracking_uri: str | None

    @property
    def path(self) -> Path:
        return self.retraining.path / names.FINAL

    def words(self) -> str:
        """The choice that it follows."""
        chosen, result = self.config.learning.chosen_epoch, self.result
        return (
            f"trial {result.winner.trial}, seed {result.best_seed}; epoch {chosen}, the median of the best ones of "
            f"{sum(value is not None for value in result.winner.values)} seeds"
        )


def planned(home: Path, name: str, asked: Request) -> FinalFit:
    """The final fit of a retraining's winner.

    Args:
        home: the `mlruns/` folder.
        name: of the search.
        asked: the retraining.

    Raises:
        ConfigError: the retraining has not come to its end, so that no epoch is chosen yet; or there is no such search.
    """
    config, folder = settings_and_folder(SearchFolder.open(home, name), asked)
    if (result := folder.result()) is None:
        raise ConfigError(
            f"a final fit stops after an epoch that a retraining has chosen, but {folder.path} has no result: run the "
            "same command without --final first"
        )
    winner, plan = result.winner, folder.plan
    histories = [
        folder.trial(folder.number(winner.trial, seed)).history()
        for seed, value in zip(plan.seeds, winner.values, strict=True)
        if value is not None
    ]
    chosen = final_fit.of(plan.of_trial(winner.trial).replaced({"seed": result.best_seed}), histories)
    return FinalFit(chosen, folder, result, config.tracking_uri)


def of_run(path: Path) -> RunConfig:
    """The configuration of the final fit that a run has chosen, by its best epoch.

    Raises:
        ConfigError: it is no run, or has not come to its end.
    """
    run = RunFolder(path if path.is_dir() else path.parent)
    return final_fit.of(run.config(), [run.history()])


def register(home: Path, fit: FinalFit, trained: TrackedRun, force: bool) -> str:
    """Make the network a version of the search's model, once, and its champion; what was done.

    Raises:
        ConfigError: the model of that name is another project's, or the store does not take it.
    """
    try:
        exporter = RunExporter(home, trained, fit.tracking_uri)
        exporter.export_all()
        return champion.register_final(exporter, fit.retraining, fit.result, force)
    except ConfigError:
        raise
    except Exception as error:  # whatever a store may raise
        raise ConfigError(
            f"MLflow does not take the final fit ({brief(error)}): the same command tries again"
        ) from error
