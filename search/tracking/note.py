"""A search in words, Markdown, as the description of its run: what was searched, the best five, what to do next."""

from collections import Counter

from search.progress import clock
from search.report.document import Code, Section, Text, section_markdown
from search.report.overview import section, standings
from search.store.folder import SearchFolder
from search.store.results import Results

TOP = 5


def note(search: SearchFolder) -> str:
    """The description; a function of the folder alone."""
    results = Results(search)
    ended = Counter(trial.state for trial in results.trials)
    states = [f"{ended[state]} {state}" for state in ("complete", "pruned", "failed")]
    best = standings(results, TOP) if results.reached(1) else Text("No trial has finished an epoch yet.")
    return "\n\n".join([
        f"{', '.join(states)}, after {clock(search.spent())}.",
        section_markdown(section(results)),
        section_markdown(Section(f"The best {TOP}", [
            best, Code(f"ffsnn best {search.name}\nffsnn retrain {search.name}\nffsnn report {search.name}"),
        ])),
    ])  # fmt: skip
