"""Every private name of Optuna that the project uses, each guarded: where one is missing, the public way is taken."""

import warnings
from functools import cache

import optuna
from optuna.trial import FrozenTrial

NAMES = (
    "optuna.trial.FrozenTrial._trial_id", "optuna.Study._get_trials", "optuna.Study._storage", "optuna.Study._study_id",
)  # fmt: skip
READS_TRIALS = "_get_trials"  # the method by which Optuna's samplers read a study


def live_trial(study: optuna.Study, frozen: FrozenTrial) -> optuna.trial.Trial:
    """A trial of the study that can be given parameters and values; by its number, Optuna gives none."""
    identity: int | None = getattr(frozen, "_trial_id", None)
    if identity is None:
        storage = study._storage
        of = storage.get_study_id_from_name(study.study_name)
        identity = storage.get_trial_id_from_study_id_trial_number(of, frozen.number)
    return optuna.trial.Trial(study, identity)


def trial_of(study: optuna.Study, number: int) -> FrozenTrial:
    """One trial by its number, not to be changed. The public way reads all, so that a long search slows down."""
    if (of := getattr(study, "_study_id", None)) is None:
        missing("_study_id", "one trial is read with all others, and a long search slows down")
        return study.get_trials(deepcopy=False)[number]
    storage = study._storage
    return storage.get_trial(storage.get_trial_id_from_study_id_trial_number(of, number))


def new_trial(study: optuna.Study) -> int:
    """The number of a new trial without parameters. The public way looks for one that waits among all trials."""
    if (of := getattr(study, "_study_id", None)) is None:
        return study.ask().number
    storage = study._storage
    return storage.get_trial_number_from_id(storage.create_new_trial(of))


def can_be_narrowed(study: optuna.Study) -> bool:
    """True if a sampler can be shown a part of a study alone; if not, says once what that costs."""
    if hasattr(study, READS_TRIALS):
        return True
    missing(READS_TRIALS, "samplers look at all trials, and are slower late in a long search")
    return False


@cache
def missing(name: str, cost: str) -> None:
    warnings.warn(f"Optuna {optuna.__version__} has no {name}: {cost}", stacklevel=3)
