"""Whether a search is to stop, and why: asked by everything in the driver, decided in one place."""

import time
from dataclasses import dataclass, field

GRACE = 20.0  # seconds for running trials to finish their epoch


@dataclass
class StopRequest:
    """The first reason to stop stays; the time budget is one by itself.

    Args:
        budget: seconds left of the time budget; None: there is none.
    """

    budget: float | None = None
    reason: str = ""
    failed: bool = False  # rather than interrupted
    for_good: bool = False  # a rule is broken, which going on would meet again
    asked_at: float | None = None
    ending: bool = False  # Tune's loop is over; what is left must not be interrupted
    started: float = field(default_factory=time.monotonic)

    def ask(self, reason: str, failed: bool = False, for_good: bool = False) -> None:
        """Stop: running trials at their next epoch, or after `GRACE` seconds."""
        if not self.asked:
            self.reason, self.failed, self.for_good = reason, failed, for_good
            self.asked_at = time.monotonic()

    @property
    def asked(self) -> bool:
        return self.asked_at is not None

    @property
    def out_of_time(self) -> bool:
        return self.budget is not None and self.seconds >= self.budget

    @property
    def requested(self) -> bool:
        """True once the search is to stop."""
        return self.asked or self.out_of_time

    @property
    def overdue(self) -> bool:
        """True once running trials have had their time to stop."""
        late = self.asked_at is not None and time.monotonic() > self.asked_at + GRACE
        return late or (self.budget is not None and self.seconds > self.budget + GRACE)

    @property
    def seconds(self) -> float:
        """That this driver has run."""
        return time.monotonic() - self.started
