"""Short lists of combinations of choices, in which every pair of values occurs."""

import itertools
from typing import Any


def pairwise(choices: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """A short list of combinations in which every pair of values of two fields occurs; greedy, the same every time."""
    names = list(choices)
    wanted = {
        frozenset([(a, u), (b, v)])
        for a, b in itertools.combinations(names, 2)
        for u, v in itertools.product(choices[a], choices[b])
    }
    rows = []
    while wanted:
        row = dict(min(wanted, key=lambda pair: sorted(map(repr, pair))))
        for name in names:
            if name not in row:
                row[name] = max(
                    choices[name],
                    key=lambda value: sum(frozenset([(name, value), other]) in wanted for other in row.items()),
                )
        wanted -= {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}
        rows.append({name: row[name] for name in names})
    return rows


def every_pair_occurs(rows: list[dict[str, Any]], choices: dict[str, list[Any]]) -> bool:
    return all(
        {(row[a], row[b]) for row in rows} == set(itertools.product(choices[a], choices[b]))
        for a, b in itertools.combinations(choices, 2)
    )


def name_of(changes: dict[str, Any]) -> str:
    return "-".join(str(value).replace(" ", "") for value in changes.values())
