"""What earlier searches found best is tried first, also where they had another space or data set.

Points are handed on, not their values: an accuracy on other data says nothing on these, but what was good there often
is good here, and the sampler learns from the new trials as from any others.
"""

from pathlib import Path

from optuna.trial import TrialState, create_trial

from search.store.folder import SearchFolder
from search.study.sampling import distribution
from spaces.parameter import Sample
from spaces.space import Space

POINTS = 5  # taken from each search


def points(home: Path, names: tuple[str, ...], space: Space) -> tuple[list[Sample], str]:
    """The best points of earlier searches that lie in a space, search by search, and in words how many do not.

    Raises:
        ConfigError: there is no such search.
    """
    taken: list[Sample] = []
    outside = 0
    for name in names:
        left = POINTS
        for _, trial in SearchFolder.open(home, name).ranked():
            if not left:
                break
            sample = space.read(trial.config())
            if not _lies_in(space, sample):
                outside += 1
            elif sample not in taken:
                taken.append(sample)
                left -= 1
    dropped = f"; {outside} better or equal ones lie outside this space" if outside else ""
    return taken, f"warm start: the best {len(taken)} points of {', '.join(names)} are tried first{dropped}"


def _lies_in(space: Space, sample: Sample) -> bool:
    try:
        allowed = {path: distribution(space.parameters[path]) for path in sample}
        create_trial(state=TrialState.RUNNING, params=dict(sample), distributions=allowed)  # which makes sure of it
    except (ValueError, TypeError):  # out of range, no number, or none of the choices
        return False
    return True
