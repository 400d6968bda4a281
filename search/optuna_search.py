"""Optuna under Tune's searcher interface: the study says which trials exist, the folders say what became of them."""

from collections.abc import Callable

from ffsnn.run_folder import CONFIG
from search import points, samplers
from search.config import SearchConfig
from search.folder import SearchFolder
from search.halt import Halt
from search.reconcile import reconcile, tell
from search.searcher import FolderSearcher, News
from search.trial_folder import TrialFolder


class StudySearcher(FolderSearcher):
    """Hands out a search's trials: those that have not ended, then new ones that its sampler suggests."""

    folder: SearchFolder

    def __init__(
        self, folder: SearchFolder, config: SearchConfig, threads: int, halt: Halt,
        news: Callable[[News], None], say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.study, unfinished = reconcile(folder, config, say)
        super().__init__(folder, config, threads, halt, news, say, unfinished)
        self.base = config.base
        self.asked = len(self.study.get_trials(deepcopy=False))

    def fresh(self) -> int | None:
        if self.asked >= self.search.trials:
            return None
        self.asked += 1
        return self.study.ask().number

    def prepared(self, number: int) -> TrialFolder:
        """A trial's folder, with the configuration that the sampler suggests if it has none yet.

        The folder has it before the study does: a driver killed in between asks for the same point again.
        """
        trial = self.folder.trial(number)
        if not (trial.path / CONFIG).exists():
            if number < len(self.search.first):
                sample = dict(self.search.first[number])
            else:
                sampler = samplers.build(self.search.sampler, self.search.seed, number)
                seen = samplers.seen_by(self.search.sampler, self.study)
                sample = points.draw(self.search.space, seen, sampler, number)
            trial.create(self.search.space.apply(sample, self.base))
            points.record(self.search.space, self.study, number, sample)
        return trial

    def told(self, trial: TrialFolder) -> None:
        tell(self.study, trial)
