"""What a search begins with: points that its space names, the shipped presets, the best of earlier searches.

Points are handed on, not their values: an accuracy on other data says nothing on these, but what was good there often
is good here, and the sampler learns from the new trials as from any others.
"""

from collections.abc import Iterator
from pathlib import Path

from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.forecast.experience import LEARNT_FROM, RECORDED
from search.forecast.surface import Surface
from search.store.folder import SearchFolder
from spaces import presets
from spaces.parameter import Sample
from spaces.space import Space

BEST = 5  # points taken from each earlier search


def starts(home: Path, config: SearchConfig) -> tuple[list[Sample], list[str]]:
    """Points that lie in a search's space, each once, and lines that say where they come from.

    Raises:
        ConfigError: it names an earlier search that is not there.
    """
    found: list[Sample] = []
    said: list[str] = []
    if not config.cold:
        if config.space.points:
            took, outside = _taken(_named(config.space), config.space, found)
            dropped = f"; {outside} of them break a rule or lie outside of its ranges, and are left out" * bool(outside)
            said.append(f"tried first: {took} point{'s' * (took != 1)} that the space names{dropped}")
        took, _ = _taken(_presets(config.space), config.space, found)
        if took:
            presets_come = "1 preset that comes" if took == 1 else f"{took} presets that come"
            said.append(f"tried first: {presets_come} with ffsnn (without them: --cold)")
    outside = before = 0
    for name in config.warm_start:
        took, more = _taken(_ranked(home, name, config.space), config.space, found, BEST)
        before, outside = before + took, outside + more
    if config.warm_start:
        dropped = f"; {outside} other points of theirs lie outside this space" if outside else ""
        names = ", ".join(config.warm_start)
        said.append(f"warm start: the best {before} points of {names} are tried first{dropped}")
    if config.experience and any(it.name in RECORDED for it in config.goals.objectives):
        count = sum(min(len(Surface.load(name).samples), LEARNT_FROM) for name in config.experience)
        recorded = f"{count:,} recorded configurations of {', '.join(config.experience)}"
        said.append(f"begins with what {recorded} taught (without it: --experience none)")
    return found, said


def _taken(
    samples: Iterator[Sample | None], space: Space, found: list[Sample], most: int | None = None
) -> tuple[int, int]:
    """Add samples that lie in the space and are new, up to a number; how many, and how many lay outside."""
    took = outside = 0
    for sample in samples:
        if took == most:
            break
        if sample is None or not space.lies_in(sample):
            outside += 1
        elif sample not in found:
            found.append(sample)
            took += 1
    return took, outside


def _named(space: Space) -> Iterator[Sample | None]:
    """Points that the space names; None for one that breaks a rule."""
    for point in space.points:
        if not all(space.parameters[path].contains(value) for path, value in point.items()):
            yield None
            continue
        try:
            yield space.read(space.apply(point))
        except ConfigError:
            yield None


def _presets(space: Space) -> Iterator[Sample]:
    """Presets that are configurations of the space, but for their number of epochs and for being final fits."""
    for name in presets.names():
        preset = presets.load(name)
        sample = space.read(preset)
        try:
            made = space.apply(sample).replaced(
                {
                    "learning.epochs": preset.learning.epochs, "learning.chosen_epoch": preset.learning.chosen_epoch,
                    "data.validation": preset.data.validation,
                }
            )  # fmt: skip
        except ConfigError:
            continue
        if made.id == preset.id:
            yield sample


def _ranked(home: Path, name: str, space: Space) -> Iterator[Sample]:
    """Points of an earlier search, the best first."""
    for _, trial in SearchFolder.open(home, name).ranked():
        yield space.read(trial.config())
