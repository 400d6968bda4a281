"""Which parameters set the best trials apart, at the one epoch where enough trials compare."""

from dataclasses import dataclass

from search.report.sections import AT_LEAST
from search.report.studies import at_epoch, counted
from search.store.results import Results


@dataclass(frozen=True)
class Importance:
    """Shares of one, by the short names of parameters, the largest first."""

    shares: dict[str, float]
    trials: int  # that were compared
    epoch: int  # at which


def importance(results: Results) -> Importance | None:
    """As the report draws it; None where the data do not tell."""
    if (epoch := results.common_epoch()) is None or len(results.reached(epoch)) < AT_LEAST:
        return None
    from search.report import figures

    study = at_epoch(results, epoch)
    shares = sorted(figures.importances(study).items(), key=lambda it: -it[1])
    return Importance(dict(shares), counted(study), epoch) if len(shares) > 1 else None
