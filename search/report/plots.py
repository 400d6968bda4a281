"""The report's figures by name, for a notebook: each is drawn as the report draws it, or is refused as it says."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ffsnn.validation import ConfigError
from search.report import at_one_epoch, sections
from search.report.document import Figures, Section, Text
from search.store.results import Results

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Plots:
    """Plotly figures of a search, of its trials at the time that they are asked for.

    Args:
        results: gives the search's trials.
    """

    def __init__(self, results: Callable[[], Results]) -> None:
        self._results = results

    def history(self) -> "Figure":
        """The value of each trial at full length, and the best so far."""
        return _figure(sections.history(self._results()))

    def curves(self) -> "Figure":
        """The objective by epoch, a line a trial."""
        return _figure(sections.curves(self._results()))

    def parallel(self) -> "Figure":
        """Parameters as parallel axes, a line a trial."""
        return self._compared("Parallel coordinates")

    def importance(self) -> "Figure":
        """Which parameters set the best trials apart."""
        return self._compared("Parameter importance")

    def _compared(self, title: str) -> "Figure":
        return _figure(next(it for it in at_one_epoch.sections(self._results()) if it.title == title))


def _figure(section: Section) -> "Figure":
    """The figure of a section.

    Raises:
        ConfigError: it has none; what the report says instead.
    """
    for block in section.blocks:
        if isinstance(block, Figures):
            return block.figures[0]
    raise ConfigError(next(block.text for block in section.blocks if isinstance(block, Text)))
