"""Optuna under Tune's searcher interface: the study says which trials exist, the folders say what became of them."""

import optuna

from ffsnn.config import RunConfig
from ffsnn.training.run_folder import CONFIG
from ffsnn.validation import ConfigError
from search.execution.searcher import FolderSearcher
from search.execution.session import Session
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.study import optuna_private, samplers, sampling
from search.study.reconcile import reconcile, report_progress, report_to_study
from spaces.parameter import Sample

WITHIN_LIMITS = 10  # times that the sampler is asked for a point that keeps the limits, before chance is
ATTEMPTS = 100  # points for a trial, of which the first that breaks no rule is taken


def study_searcher(session: Session) -> "StudySearcher":
    """The searcher of a search on disk, whose folders and study are brought into step first."""
    folder = session.folder
    assert isinstance(folder, SearchFolder)
    return StudySearcher(session, *reconcile(folder, session.config, session.say))


class StudySearcher(FolderSearcher):
    """Hands out a search's trials: those that have not ended, then new ones that its sampler suggests.

    Args:
        session: that it is of.
        study: of the search.
        unfinished: numbers of its trials that have not ended.
    """

    def __init__(self, session: Session, study: optuna.Study, unfinished: list[int]) -> None:
        self.study = study
        super().__init__(session, unfinished)
        self.base = session.config.base
        self.asked = len(self.study.get_trials(deepcopy=False))
        self.known = {trial.config().id: trial.number for trial in reversed(list(session.folder.trials()))}

    def fresh(self) -> int | None:
        if self.asked >= self.search.trials:
            return None
        self.asked += 1
        return optuna_private.new_trial(self.study)

    def prepared(self, number: int) -> TrialFolder:
        """A trial's folder, with the configuration that the sampler suggests if it has none yet.

        The folder has it before the study does: a driver killed in between asks for the same point again.
        """
        trial = self.folder.trial(number)
        if not (trial.path / CONFIG).exists():
            sample, run = self._new_point(number)
            same = self.known.setdefault(run.id, number)
            twin = self.folder.trial(same)
            end = twin.end()
            if same != number and end and end.is_final:
                trial.take_over(run, twin)
            else:
                trial.create(run)
            if same != number and not end:
                trial.write_end(End("pruned", "duplicate", f"trial {same}, which has not ended, has its configuration"))
            sampling.record(self.search.space, self.study, number, sample)
        return trial

    def _new_point(self, number: int) -> tuple[Sample, RunConfig]:
        """A point that no earlier trial has; where all that were tried are known, the one that was suggested."""
        suggested = self._point(number)
        for attempt in range(ATTEMPTS, 2 * ATTEMPTS):
            sample, run = suggested if attempt == ATTEMPTS else self._point(number, attempt)
            if run.id not in self.known:
                return sample, run
        return suggested

    def _point(self, number: int, first: int = 0) -> tuple[Sample, RunConfig]:
        """Draw a trial's sample and configuration, from the `first` attempt on; one that breaks a rule gives way to
        another.

        Raises:
            ConfigError: all that were tried break one.
        """
        by = "random" if first else self.search.sampler
        for attempt in range(first, first + ATTEMPTS):
            sample = self._suggested(number, attempt, by)
            try:
                run = self.search.space.apply(sample, self.base)
            except ConfigError as error:
                broken, by = str(error), "random"
            else:
                if (over := self.goals.broken(run)) is None:
                    return sample, run
                broken, by = f"the limit {over[1]}", by if attempt + 1 < WITHIN_LIMITS else "random"
                continue
            if attempt == 0:
                self.say(f"trial {number}: what was suggested breaks a rule, and gives way to another point: {broken}")
        raise ConfigError(
            f"each of {ATTEMPTS} points of the space breaks a rule ({broken}): correct the space or the limits, and "
            f"search under another --name"
        )

    def _suggested(self, number: int, attempt: int, by: str) -> Sample:
        if attempt == 0 and number < len(self.search.first):
            return dict(self.search.first[number])
        sampler = samplers.build(by, self.search, number, attempt)
        return sampling.draw(self.search.space, samplers.seen_by(by, self.study), sampler, number)

    def on_trial_rest(self, trial: TrialFolder) -> None:
        report_progress(self.study, trial, self.goals)

    def on_trial_end(self, trial: TrialFolder) -> None:
        report_to_study(self.study, trial, self.goals)
