"""Tune's searcher interface over a folder of trials: which one is handed out next, and what became of it.

To resume is to start again on the same folder, and so is to retry: a trial that has not ended is handed out under its
own number, and goes on from its own checkpoint. One that had too little memory gets a card for itself.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from ffsnn.parts.own import PARTS
from search import names
from search.cluster import head_monitor, ray_cluster
from search.execution.promotion import PausingScheduler
from search.execution.session import Session, TrialEvent
from search.registries import SCHEDULERS
from search.store.ends import UNTRAINABLE, End, by_reason
from search.store.trial_folder import Holder, TrialFolder
from search.study.reconcile import repair_trial

EXCLUSIVE_TRIES = 1  # tries of a trial that had too little memory, which cost no retry
AT_LEAST = 5  # trials that must have ended before a share of failures means anything


class FolderSearcher(Searcher):
    """Hands out the trials of a session's folder; single-threaded, in the driver.

    Args:
        session: that it is of.
        waiting: numbers of trials that are to be handed out before any fresh one.
    """

    def __init__(self, session: Session, waiting: list[int]) -> None:
        self.objective, self.goals = session.config.goal, session.config.goals
        super().__init__(metric=self.objective.name, mode=self.objective.mode)
        self.session, self.folder, self.search = session, session.folder, session.config
        self.stop, self.say = session.stop, session.say
        self.live: dict[str, int] = {}  # Tune's trial id -> ours
        self.exclusive: set[int] = set()  # live ones that are to have a card for themselves
        self.failures: dict[int, int] = {}  # of a live trial, when it was handed out
        self.before: dict[int, Holder | None] = {}  # who had a live trial before it was handed out
        self.ends = session.ends()
        self.failed = [end for end in self.ends if end.is_failure]
        self.scheduler = SCHEDULERS[self.search.scheduler].build(self.search, self.folder, session.stopped.add)
        self.pausing = self.scheduler if isinstance(self.scheduler, PausingScheduler) else None
        self.resting = {number for number in waiting if self.pausing and self.pausing.rests(number)}
        self.waiting = [number for number in waiting if number not in self.resting]
        # those that were given up before they came to rest, at first by an earlier driver's last results
        self.hopeless: set[int] = {*self.pausing.given_up()} if self.pausing else set()

    @abstractmethod
    def prepared(self, number: int) -> TrialFolder:
        """A trial's folder, with its configuration."""

    def fresh(self) -> int | None:
        """The number of a trial that never ran; None: there is no more."""
        return None

    def on_trial_rest(self, trial: TrialFolder) -> None:
        """A trial rests, and may go on later."""

    def on_trial_end(self, trial: TrialFolder) -> None:
        """A trial has an end."""

    def suggest(self, trial_id: str) -> Any:
        if self.stop.requested:
            return Searcher.FINISHED
        self._end_hopeless()
        if any(self._waits(number) for number in self.exclusive):
            return None  # or others would take the shares that its card is to be made of
        while (number := self._next()) is not None:
            trial = self.prepared(number)
            if (end := trial.end()) is None:
                return self._handed_out(trial_id, trial)
            if self.pausing:
                self.pausing.add(trial)
            self._ended(trial, end)  # it has the record of an earlier one
        if self.live:
            return None  # a live one may have to be handed out again, or let one that rests go on
        if self.pausing and (number := self.pausing.last()) is not None:
            return self._handed_out(trial_id, self._awake(number))
        self._end_resting(list(self.resting))
        return Searcher.FINISHED

    def _handed_out(self, trial_id: str, trial: TrialFolder) -> dict[str, Any]:
        """The answer to Tune for a trial that is to run now."""
        number = trial.number
        failures = trial.failures()
        self.live[trial_id], self.failures[number] = number, len(failures)
        self.before[number] = trial.holder()
        if exclusive := any(failure.reason == names.OUT_OF_MEMORY for failure in failures):
            self.exclusive.add(number)
        self.session.tell(TrialEvent(number))
        return {
            names.NUMBER: number, names.FOLDER: str(Path(trial.path)), names.THREADS: self.session.resources.cpus,
            names.OBJECTIVES: [it.name for it in self.goals.measured], names.RUNGS: self.search.milestones,
            names.ON_CLUSTER: self.search.address is not None, names.EXCLUSIVE: exclusive,
            names.VETO: self.search.veto, names.OWN_DATA: self.session.own_data,
            names.DATA_DIR: self.search.data_dir, names.PARTS: self._parts,
        }  # fmt: skip

    @property
    def _parts(self) -> list[tuple[str, str]]:
        """The copies of one's own parts that a trial's process imports, with the sha256 of each."""
        folder = self.folder.parts_folder / PARTS
        return [(str(folder / name), sha256) for name, sha256 in self.search.parts.items()]

    def _next(self) -> int | None:
        """The number of the trial that is to run: an interrupted one, one that rested, or a fresh one."""
        if self.waiting:
            first = self.waiting.pop(0)
            return first if self.folder.trial(first).reopened_history() is None else self._awake(first).number
        number = self.pausing.next(self.resting) if self.pausing else None
        if number is None:
            return self.fresh()
        return self._awake(number).number

    def _awake(self, number: int) -> TrialFolder:
        """A trial that rested and is to go on."""
        self.resting.discard(number)
        trial = self.folder.trial(number)
        if trial.reopened_history() is not None:
            trial.write_history([])
            trial.wake()
            self.say(f"trial {number} goes on: it is trained anew from its first epoch, to the same bits")
        repair_trial(trial, self.say)  # its checkpoint may have been damaged since
        return trial

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if names.PROBLEM not in result:
            self.session.tell(TrialEvent(self.live[trial_id], result[names.EPOCH], self.goals.told(result)))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial = self.folder.trial(self.live.pop(trial_id))
        self.exclusive.discard(trial.number)
        if not error and self.pausing and (self.pausing.rests(trial.number) or trial.number in self.hopeless):
            self._rest(trial)
            return
        end = self._failed(trial) if error else self._end(trial, (result or {}).get(names.PROBLEM))
        if end is not None:
            self._close(trial, end)

    def _rest(self, trial: TrialFolder) -> None:
        """A trial rests; those that now have no hope left end."""
        assert self.pausing
        self.resting.add(trial.number)
        self.on_trial_rest(trial)
        values = self.goals.values(trial)
        self.session.tell(TrialEvent(trial.number, len(values), values[-1], rests=True))
        self.hopeless.update(self.pausing.given_up())
        self._end_hopeless()

    def _end_hopeless(self) -> None:
        """End those that were given up and rest; another may have come to its rung, and be on its way to its rest."""
        ending = self.hopeless & self.resting
        self.hopeless -= ending
        self._end_resting(list(ending))

    def _end_resting(self, numbers: list[int]) -> None:
        reason = SCHEDULERS[self.search.scheduler].stop_reason
        for number in sorted(numbers):
            self.resting.discard(number)
            self._close(self.folder.trial(number), End("pruned", reason or "stopped"))

    def _close(self, trial: TrialFolder, end: End) -> None:
        trial.write_end(end)
        self._ended(trial, end)

    def _ended(self, trial: TrialFolder, end: End) -> None:
        """Tell all who want to know that a trial has its end."""
        self.on_trial_end(trial)
        self.ends.append(end)
        self.failed += [end] if end.is_failure else []
        values = self.goals.values(trial)
        self.session.tell(TrialEvent(trial.number, len(values), values[-1] if values else (), end))
        ended, failed = len(self.ends), len(self.failed)
        if ended >= AT_LEAST and failed > self.search.max_failed * ended:
            self.stop.ask(f"{failed} of {ended} trials have failed ({by_reason(self.failed)})", failed=True)

    def _end(self, trial: TrialFolder, problem: str | None) -> End | None:
        """End of a trial that was stopped; None: it goes on another time."""
        epochs = len(trial.history())
        if problem:
            reason, _, detail = problem.partition(": ")
            if reason != "disk_full":
                return End("pruned" if reason in UNTRAINABLE else "failed", reason, detail)
            self.stop.ask(f"the disk is full ({detail})", failed=True)
            return None
        if epochs >= self.search.epochs:
            return End("complete", "finished")
        if self.stop.requested:
            return None
        if trial.number in self.session.stopped and (by := SCHEDULERS[self.search.scheduler].stop_reason):
            return End("pruned", by)
        return End("pruned", "stopped", "Ray Tune stopped it without a reason that is known here")

    def _failed(self, trial: TrialFolder) -> End | None:
        """After a process of a trial has failed: its end, or None where it may try again."""
        number = trial.number
        if self.stop.requested:
            return None
        if len(trial.history()) >= self.search.epochs:  # it had nothing left to do
            return End("complete", "finished")
        if self._node_lost(trial):  # not the trial's doing
            self.waiting.append(number)
            return None
        if len(trial.failures()) == self.failures[number]:  # neither the process nor the watch said why
            trial.add_failure("died", "its process was killed, or crashed in native code")
        failures = trial.failures()
        last = failures[-1]
        too_large = sum(failure.reason == names.OUT_OF_MEMORY for failure in failures)
        others = len(failures) - too_large
        if too_large > EXCLUSIVE_TRIES or others > self.search.retries:
            return End("failed", last.reason, last.detail)
        how = (
            "exclusive" if last.reason == names.OUT_OF_MEMORY else f"attempt {others + 1} of {self.search.retries + 1}"
        )
        self.waiting.insert(0, number)
        self.say(f"trial {number}: {last.reason}, {last.detail}; it goes on from epoch {last.epoch} ({how})")
        return None

    def _waits(self, number: int) -> bool:
        """True if a live trial has no process yet."""
        return self.folder.trial(number).holder() == self.before[number]

    def _node_lost(self, trial: TrialFolder) -> bool:
        """True if a trial's process went with its node, or waited in vain for one on a lost node that still runs."""
        holder, name = trial.holder(), f"trial {trial.number}"
        if holder is None or not holder.node:
            return not ray_cluster.alive()
        cut_off = holder != self.before[trial.number] and trial.output(1) == head_monitor.SAID
        if ray_cluster.alive(holder.node) and not cut_off:
            return False
        if holder != self.before[trial.number]:
            epoch = len(trial.history())
            self.say(f"{name}: its node was lost; it goes on from epoch {epoch} on another, at no cost of a retry")
            return True
        if trial.held():
            self.say(f"{name}: a process on a node that was lost still has it; it is tried again")
            return True
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's snapshots, which are never read."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the folder is saved as it changes."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the folder is read at the start."""
