"""What a search costs beyond its trials' training: `make bench-search`; an otherwise idle machine with two CPUs.

1. 40 trials of about 10 s, two at a time with a CPU each, none stopped early: wall time of the whole process x 2 over
   the trials' training time. That is what the same configurations take in a bare loop over the `Trainer`'s epochs, with
   nothing else on the machine; also two at a time, for two processes slow each other down without any search. Beside
   it: `benchmarks.plain_tune`, with its own trials measured in the same way.
2. From the same runs: what the driver spends on a report, and checkpoints' share of the training time.
3. 2,000 trials of no length, for each sampler: time a trial and driver's memory, last hundred against first.

    python -m benchmarks.search [--parts 123] [--trials 40] [--seconds 10] [--many 2000] [--samplers tpe random]
"""

import argparse
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.costs import NO_LENGTH, SLOTS, TEN_SECONDS, epochs_of, growth, overhead, report_cost, run
from benchmarks.speed import RESULTS, machine
from ffsnn import atomic

TARGETS = {"overhead": 1.10, "report_ms": 2.0, "checkpoints": 0.02, "growth": 2.0}


def table_of(title: str, rows: dict[str, list[str]], *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def pairs(found: dict[str, dict[str, Any]], names: dict[str, str]) -> dict[str, list[str]]:
    """A row a figure, a column a search."""
    return {
        title: [form.format(one[name]) if name in one else "" for one in found.values()]
        for name, title_and_form in names.items()
        for title, form in [title_and_form.split("|")]
    }


OVERHEAD_ROWS = {
    "trials": "trials|{}", "trial_s": "a trial alone, mean|{:.2f} s", "spread_s": "its standard deviation|{:.2f} s",
    "training_s": "training of all trials|{:.1f} s", "first_end_s": "first trial's end|{:.1f} s",
    "last_end_s": "last trial's end|{:.1f} s", "wall_s": "wall time|{:.1f} s",
    "overhead": f"wall time x {SLOTS} / training (target {TARGETS['overhead']:.2f})|{{:.3f}}",
    "checkpoints": f"checkpoints / training (target {TARGETS['checkpoints']:.0%})|{{:.2%}}",
}  # fmt: skip


def growth_rows(one: dict[str, Any]) -> dict[str, list[str]]:
    rows = {
        "time a trial, ms": one["trial_ms"], "driver's CPU time a trial, ms": one["cpu_ms"],
        "driver's memory, MiB": one["rss_mib"], **one["calls_ms"],
    }  # fmt: skip
    return {name: [f"{first:.2f}", f"{last:.2f}", f"{last / first:.2f}x"] for name, (first, last) in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search")
    parser.add_argument("--parts", default="123")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=10, help="of a trial of parts 1 and 2")
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--samplers", nargs="+", default=["tpe", "random"])
    asked = parser.parse_args()
    console = Console(highlight=False, width=120)
    stem = re.sub(r"[^a-z0-9]+", "-", machine(torch.device("cpu")).lower()).strip("-")

    def result(part: str) -> Path:
        return RESULTS / f"search-{part}-{stem}.json"

    def before(part: str) -> dict[str, Any]:
        """What an earlier run has measured here."""
        return dict(json.loads(result(part).read_text())) if result(part).exists() else {}

    def keep(part: str, found: dict[str, Any]) -> None:
        RESULTS.mkdir(exist_ok=True)
        file = result(part)
        atomic.write(file, json.dumps(found, indent=2) + "\n")
        console.print(f"written to {os.path.relpath(file)}\n")

    with tempfile.TemporaryDirectory() as scratch:
        if {"1", "2"} & set(asked.parts):
            epochs = epochs_of(TEN_SECONDS, asked.seconds)
            console.print(f"{asked.trials} trials of {epochs} epochs, {SLOTS} at a time")
            space = TEN_SECONDS | {"budget": {"grace_epochs": epochs}}
            options = {"trials": asked.trials, "epochs": epochs}
            costs, found = {}, {}
            for name in ("ours", "plain"):
                ran = run(name, Path(scratch) / name, space, **options)
                costs[name] = report_cost(ran)
                if "1" in asked.parts:  # at once, for the speed of a machine drifts
                    found[name] = overhead(ran)
            if found:
                console.print(table_of("1. A search beside its training", pairs(found, OVERHEAD_ROWS), *found))
                keep("overhead", found)
            title = (
                f"2. Driver, ms for each report of a trial (target {TARGETS['report_ms']:.0f} for a report, all in all)"
            )
            names = {name: f"{name}|{{:.3f}}" for name in sorted(set().union(*costs.values()))}
            console.print(table_of(title, pairs(costs, names), *costs))
            keep("report", costs)
        if "3" in asked.parts:
            found = before("growth")
            for sampler in asked.samplers:
                options = {"trials": asked.many, "epochs": 1, "sampler": sampler, "scheduler": "none"}
                ran = run("ours", Path(scratch) / sampler, NO_LENGTH, **options)
                found[sampler] = one = growth(ran)
                title = (
                    f"3. {sampler}, {one['trials']} trials in {one['wall_s']:.0f} s, {one['after_last_trial_s']:.0f} s "
                    f"of it after the last (target {TARGETS['growth']:.0f}x for time and memory)"
                )
                window = one["window"]
                console.print(table_of(title, growth_rows(one), f"first {window}", f"last {window}", "growth"))
                tenths = "  ".join(f"{ms:.1f}" for ms in one["tenths_ms"])
                console.print(f"ms a trial, by tenths of the search: {tenths}")
            keep("growth", found)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
