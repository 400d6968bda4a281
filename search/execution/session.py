"""A running search, or retraining: one object that all its parts share, in the driver's process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search.config import SearchConfig
from search.stop import StopRequest
from search.store.ends import End
from search.store.trials_folder import TrialsFolder

if TYPE_CHECKING:
    from search.cluster.resources import TrialResources
    from search.execution.searcher import FolderSearcher

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrialEvent:
    """An event of a trial: it was handed out, it has an epoch more, it rests, or it has ended."""

    number: int
    epoch: int = 0
    values: tuple[float, ...] = ()  # of what is measured (`search.pareto.goals`), after that epoch
    end: End | None = None
    rests: bool = False  # no process has it, and it may go on later


@dataclass
class Session:
    """A search or retraining in this process: what runs, on what, until when, and who is told.

    Args:
        folder: of the trials, leased.
        config: what they may spend.
        resources: of a trial.
        disk: bytes of disk that running trials need.
        make_searcher: makes what hands out the folder's trials; anew where Ray Tune's loop is begun again.
        say: called with what a person should read.
        own_data: a copy of the data set for other nodes (`search.cluster.doctor.own_data`).
    """

    folder: TrialsFolder
    config: SearchConfig
    resources: "TrialResources"
    disk: int
    make_searcher: "Callable[[Session], FolderSearcher]"
    say: Say
    own_data: str = ""
    stop: StopRequest = field(init=False)
    spent_before: float = field(init=False)  # seconds, of earlier sessions
    stopped: set[int] = field(default_factory=set)  # trials that the scheduler has stopped
    listeners: list[Callable[[TrialEvent], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        budget, self.spent_before = self.config.time_budget, self.folder.spent()
        self.stop = StopRequest(budget * 60 - self.spent_before if budget else None)

    def write_spent(self) -> None:
        """Note in the folder the seconds that it has run, this session's and those before."""
        self.folder.write_spent(self.spent_before + self.stop.seconds)

    def tell(self, event: TrialEvent) -> None:
        for listener in self.listeners:
            listener(event)

    @contextmanager
    def listening(self, listener: Callable[[TrialEvent], None]) -> Iterator[None]:
        """Have a listener told first, for as long as the block."""
        self.listeners.insert(0, listener)
        try:
            yield
        finally:
            self.listeners.remove(listener)

    def ends(self) -> list[End]:
        """Ends of the trials that have ended."""
        return [end for trial in self.folder.trials() if (end := trial.end())]
