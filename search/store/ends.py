"""Ends of trials, and failures of the processes that train them."""

from dataclasses import dataclass
from typing import Literal

UNTRAINABLE = {"diverged", "dead"}  # reasons that lie in a trial's configuration
State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class End:
    """The end of a trial."""

    state: State
    reason: str  # finished, a scheduler's (promotion), diverged, dead, duplicate, a failure's; once time_budget, too
    detail: str = ""

    @property
    def is_untrainable(self) -> bool:
        """True if no training of its configuration would have come to more."""
        return self.reason in UNTRAINABLE

    @property
    def is_final(self) -> bool:
        """True if another trial of the same configuration would end alike: neither a failure nor the clock ended it."""
        return self.state != "failed" and self.reason != "time_budget"

    @property
    def is_failure(self) -> bool:
        """True for a failure of the machine or the code, not for want of time."""
        return self.state == "failed" and self.reason != "time_budget"


@dataclass(frozen=True)
class Failure:
    """The failure of one of a trial's processes; the trial may go on in another."""

    reason: str  # error, out_of_memory, died, hung, node
    detail: str
    epoch: int  # epochs done by then


def by_reason(ends: list[End]) -> str:
    """`3 died, 1 hung`, the most frequent first."""
    reasons = [end.reason for end in ends]
    counts = sorted({(-reasons.count(reason), reason) for reason in reasons})
    return ", ".join(f"{-count} {reason}" for count, reason in counts)
