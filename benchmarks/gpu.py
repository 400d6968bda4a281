"""What a GPU makes of the core and of a search: `make bench-gpu`.

    machine     card, driver, torch; bandwidth and the rates of matrix products
    speed       training and prediction at three settings, beside the notes' loop and two floors (`benchmarks.floors`)
    epoch       an epoch of 55,000 images
    target      the preset `mnist`, three seeds: test accuracy, seconds of training
    agreement   `mnist_fast` on the GPU and on the CPU, three seeds
    search      32 trials of 20 epochs, 1, 2 and 4 at once on the card, and their trainings without a search

Figures are written as they come, beside what an earlier run measured on that card; a part that fails is written with
its error, and the others go on.

    python -m benchmarks.gpu [--parts machine speed ...] [--quick] [--device cuda] [--out benchmarks/results]
"""

import argparse
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.gpu_parts import FULL, PARTS, QUICK, Found
from benchmarks.gpu_tables import SHOWN
from benchmarks.speed import RESULTS, machine
from ffsnn import atomic


class Record:
    """The JSON file of a card: what was measured stays when a later part fails or the run is killed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: Found = json.loads(file.read_text()) if file.exists() else {}

    def keep(self, part: str, what: Found) -> None:
        self.found[part] = what
        self.file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(self.file, json.dumps(self.found, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that each part works")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON file")
    asked = parser.parse_args()
    device, console = torch.device(asked.device), Console(highlight=False, width=150)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("a GPU is measured, but none was found: run it where there is one (make bench-gpu says how)")
    size, kind = (QUICK, "gpu-quick") if asked.quick else (FULL, "gpu")
    stem = re.sub(r"[^a-z0-9]+", "-", machine(device).lower()).strip("-")
    record, failed = Record(asked.out / f"{kind}-{stem}.json"), 0
    for part in (part for part in PARTS if part in asked.parts):
        start, found = time.perf_counter(), Found()
        try:
            for found in PARTS[part](device, size, record.found):
                record.keep(part, found)
            for shown in SHOWN[part](found):
                console.print(shown)
        except (Exception, SystemExit) as error:  # the machine may be at hand only once: the other parts go on
            failed += 1
            record.keep(part, found | {"error": f"{type(error).__name__}: {error}"[-2000:]})
            traceback.print_exc()
        console.print(f"{part}: {time.perf_counter() - start:.0f} s, written to {os.path.relpath(record.file)}\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
