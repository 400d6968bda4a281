"""Folders -> study: what a fault left torn or lost is made whole, from whichever record has it.

A trial's folder is the truth about the trial, sealed when it ends; the study says which trials exist. So a study that
lost its end, or all of it, is rebuilt from the folders, and a folder that lost its end has it again from the study.
Each step can be repeated; each mend is said.
"""

import math

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from ffsnn.training.epoch_metrics import SINGLE_PRECISION
from ffsnn.training.run_folder import CONFIG, HISTORY
from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.forecast.told import told_values, write_values
from search.pareto.goals import Goals, Values
from search.registries import SCHEDULERS
from search.store.ends import End, State
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.study import optuna_private
from search.study.sampling import distribution, record
from search.study.study_store import Say, StudyStore, Unreadable, study_store
from spaces.space import Space

OPTUNA_STATE: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def reconcile(folder: SearchFolder, config: SearchConfig, say: Say) -> tuple[optuna.Study, list[int]]:
    """Bring folders and study into step; the study, and the numbers of the trials that have not ended.

    Only for the process that holds the search's lease.
    """
    store = study_store(folder, config.storage)
    try:
        study = store.opened(say)
        _repair_all(folder, study.get_trials(deepcopy=False), config, say)
        _record_lost(folder, config.space, study)
        damage = _contradiction(folder, config, study)
    except Unreadable as error:
        _repair_all(folder, [], config, say)
        damage = str(error)

    def fill(study: optuna.Study) -> None:
        _add_lost(folder, config.space, study, store, say)
        _report_all(folder, study, config)

    if damage:
        study = store.replaced(damage, fill, say)
    else:
        fill(study)
    unfinished = [trial.number for trial in study.get_trials(deepcopy=False) if not trial.state.is_finished()]
    return study, unfinished


def _report_all(folder: SearchFolder, study: optuna.Study, config: SearchConfig) -> None:
    """Tell a study of the trials that have ended, or have come to a rung where they rest, without its knowing."""
    rungs = config.milestones if SCHEDULERS[config.scheduler].rests else []
    for frozen in study.get_trials(deepcopy=False):
        if frozen.state.is_finished():
            continue
        trial = folder.trial(frozen.number)
        if trial.end():
            report_to_study(study, trial, config.goals)
        elif passed := [epoch for epoch in rungs if epoch <= len(trial.history())]:
            report_progress(study, trial, config.goals, passed[-1])


def report_to_study(study: optuna.Study, trial: TrialFolder, goals: Goals) -> None:
    """Report a trial that has ended, each epoch's value at its epoch; nothing where the study knows already."""
    end = trial.end()
    assert end is not None
    frozen = optuna_private.trial_of(study, trial.number)
    if frozen.state.is_finished():
        return
    values = study_values(trial, end, goals)
    live = _tell(study, frozen, values, goals)
    live.set_user_attr("stop_reason", end.reason)
    if values:
        for limit, excess in zip(goals.limits, goals.excesses(values[max(values)]), strict=True):
            live.set_constraint(str(limit), excess)
    final = values[max(values)][: len(goals.objectives)] if end.state == "complete" else None
    study.tell(trial.number, final, OPTUNA_STATE[end.state])


def report_progress(study: optuna.Study, trial: TrialFolder, goals: Goals, epochs: int | None = None) -> None:
    """Report the values of a trial that goes on, of its first epochs or of all: samplers learn from these too."""
    values = dict(enumerate(goals.values(trial)[:epochs], 1))
    _tell(study, optuna_private.trial_of(study, trial.number), values, goals)


def _tell(study: optuna.Study, frozen: FrozenTrial, values: dict[int, Values], goals: Goals) -> optuna.trial.Trial:
    """Report the values that the study lacks, by their epochs."""
    live = optuna_private.live_trial(study, frozen)
    if len(goals.objectives) == 1:  # Optuna takes no reports of several
        for epoch, (value, *_) in values.items():
            if epoch not in frozen.intermediate_values:
                live.report(value, epoch)
    if not goals.is_plain and values != told_values(frozen):
        write_values(live, values)
    return live


def study_values(trial: TrialFolder, end: End, goals: Goals) -> dict[int, Values]:
    """Values of a trial for the study, epoch by epoch; for the epoch in which it diverged or was dead, the worst.

    A sampler that is told the worst value keeps away from where trials diverge; told of a failure, it learns nothing:
    half as many diverged, and after 32 trials the best one was better (`benchmarks/diverged.py`).
    """
    values = dict(enumerate(goals.values(trial), 1))
    return values | {len(values) + 1: goals.worst} if end.is_untrainable else values


def _repair_all(folder: SearchFolder, known: list[FrozenTrial], config: SearchConfig, say: Say) -> None:
    """Make the trials' folders whole, with what the study knows of them."""
    for frozen in known:
        trial = folder.trial(frozen.number)
        if (trial.path / HISTORY).exists() and not (trial.path / CONFIG).exists() and _is_whole(frozen, config.space):
            trial.rewrite_config(config.space.apply(frozen.params, config.base))
            say(f"trial {trial.number}: its config.json was lost, and is written anew from the study")
    for trial in folder.trials():
        _repair(trial, known[trial.number] if trial.number < len(known) else None, config, say)


def _repair(trial: TrialFolder, frozen: FrozenTrial | None, config: SearchConfig, say: Say) -> None:
    """Make one trial's folder whole."""
    try:
        trial.config()
    except ConfigError:
        if frozen is None or not _is_whole(frozen, config.space):
            raise
        trial.rewrite_config(config.space.apply(frozen.params, config.base))
        say(f"trial {trial.number}: its config.json was damaged, and is written anew from the study")
    lost = trial.end() is None and trial.reopened_history() is None
    if lost and frozen and frozen.state.is_finished() and (end := _end_of(frozen, trial, config.goals)):
        trial.write_end(end)
        say(f"trial {trial.number}: its end.json was lost, and is written anew from the study")
    else:
        repair_trial(trial, say)


def repair_trial(trial: TrialFolder, say: Say) -> None:
    """Bring a trial's history into step: with its end, or with the checkpoint that it goes on from."""
    if trial.end() is None:
        if (rested := trial.reopened_history()) is not None:
            trial.write_history(rested)
            return
        for remark in trial.repair():
            say(f"trial {trial.number}: {remark}; it goes on from epoch {len(trial.history())}")
        return
    sealed = trial.sealed_history()
    if sealed is not None and trial.write_history(sealed):
        say(f"trial {trial.number}: its history.jsonl was damaged, and is written anew from end.json")
    trial.drop_checkpoints()


def _end_of(frozen: FrozenTrial, trial: TrialFolder, goals: Goals) -> End | None:
    """End of a trial by the study; None where it knows more epochs than the folder."""
    state = next(state for state, told in OPTUNA_STATE.items() if told == frozen.state)
    end = End(state, frozen.user_attrs.get("stop_reason", state))
    return end if _agree(study_values(trial, end, goals), told_values(frozen)) else None


def _agree(values: dict[int, Values], known: dict[int, Values]) -> bool:
    """True if a trial's values are those that the study has, but for single precision, to which earlier versions
    rounded accuracies: a trial that they began and that began anew has them exactly."""
    return values.keys() == known.keys() and all(
        math.isclose(value, before, rel_tol=SINGLE_PRECISION)
        for epoch, told in values.items()
        for value, before in zip(told, known[epoch], strict=True)
    )


def _is_whole(frozen: FrozenTrial, space: Space) -> bool:
    """True if the study has all of a trial's parameters: it may have been stopped while it was asked for."""
    return all(path in frozen.params for path in space.parameters if space.active(path, frozen.params))


def _record_lost(folder: SearchFolder, space: Space, study: optuna.Study) -> None:
    """Give the study the parameters of trials whose driver was killed before it recorded them all."""
    for frozen in study.get_trials(deepcopy=False):
        trial = folder.trial(frozen.number)
        if not frozen.state.is_finished() and (trial.path / CONFIG).exists():
            sample = space.read(trial.config())
            if frozen.params.items() < sample.items():
                record(space, study, frozen.number, sample)


def _contradiction(folder: SearchFolder, config: SearchConfig, study: optuna.Study) -> str:
    """Reason why the study cannot stay: it says anything of a trial that its folder does not. It might lack what the
    folder has: then this is empty."""
    known, differ, go_on = study.get_trials(deepcopy=False), "its trials differ from their folders", 0
    there = {trial.number for trial in folder.trials()}
    if any(frozen.state.is_finished() and frozen.number not in there for frozen in known):
        return differ
    for trial in folder.trials():
        if trial.number >= len(known):
            continue
        frozen, end = known[trial.number], trial.end()
        if frozen.params != config.space.read(trial.config()):
            return differ
        if not frozen.state.is_finished():
            continue
        if end is None and trial.reopened_history() is not None:  # as it was asked for: more trials, or epochs
            go_on += 1
        elif (
            end is None
            or OPTUNA_STATE[end.state] != frozen.state
            or not _agree(study_values(trial, end, config.goals), told_values(frozen))
        ):
            return differ
    return f"{go_on} of its trials had ended and may go on" if go_on else ""


def _add_lost(folder: SearchFolder, space: Space, study: optuna.Study, store: StudyStore, say: Say) -> None:
    """Give the study the trials that it lacks: always the last ones, for it numbers them as they come."""
    lost = 0
    for trial in folder.trials():
        known = len(study.get_trials(deepcopy=False))
        for _ in range(known, trial.number):
            optuna_private.new_trial(study)  # one that has no folder yet
        if trial.number >= known:
            sample = space.read(trial.config())
            distributions = {path: distribution(space.parameters[path]) for path in sample}
            try:
                lost_one = create_trial(state=TrialState.RUNNING, params=sample, distributions=distributions)
            except ValueError as error:
                raise ConfigError(
                    f"trial {trial.number} is outside of the search's space ({error}): its {CONFIG} is another one's, "
                    f"or was changed by hand; move {trial.path} away"
                ) from error
            study.add_trial(lost_one)
            lost += 1
    if lost:
        say(f"{store.name}: it lacked {lost} trials, which are added from their folders")
