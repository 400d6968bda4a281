"""Which parameters set the best trials apart, at the one epoch where enough trials compare."""

from dataclasses import dataclass

from search.store.results import Results

AT_LEAST = 10  # trials


@dataclass(frozen=True)
class Importance:
    """Shares of one, by the short names of parameters, the largest first."""

    shares: dict[str, float]
    trials: int  # that were compared
    epoch: int  # at which


def epoch_of_importance(results: Results) -> int | None:
    """The common epoch; where too few trials reached it, the last rung that enough did, or the first epoch; None: too
    few trials have a result."""
    common = results.common_epoch() or 0
    epochs = [epoch for epoch in (1, *results.milestones, common) if epoch <= common]
    return max((epoch for epoch in epochs if len(results.reached(epoch)) >= AT_LEAST), default=None)


def importance(results: Results) -> Importance | None:
    """As the report draws it; None where the data do not tell."""
    if (epoch := epoch_of_importance(results)) is None:
        return None
    from search.report.studies import at_epoch, importances

    shares = sorted(importances(at_epoch(results, epoch)).items(), key=lambda it: -it[1])
    return Importance(dict(shares), len(results.reached(epoch)), epoch) if len(shares) > 1 else None
