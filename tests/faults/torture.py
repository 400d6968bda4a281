"""`python -m tests.faults.torture --number 100 --seed 0`: faults at random over phases, victims and files, until that
many have struck; what they cost, counted.

Each search is hit one to four times in its life before it may finish. A broken promise does not end the torture: that
search's home is kept, and said. The draw is seeded; where in a second each fault lands is the machine's.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.damage import DAMAGES
from tests.faults.harness import PHASES, STOPS, Fault, Life, small_disk
from tests.faults.reader import broken_promises
from tests.faults.server import Server

KILLED = ("driver", "driver", "driver", "trial", "trial", "raylet")
STOPPED = ("driver by SIGTERM", "driver by SIGINT", "Ctrl-C", "Ctrl-C twice")
SERVED = ("server", "server hung", "driver")
COSTS = {
    "trials lost": "lost", "trials doubled": "doubled", "left running": "running", "wrong state": "state",
    "wrong configuration": "configuration", "wrong history": "history", "work done twice or lost": "work",
    "budget missed": "budget", "unreadable": "unreadable", "not finished": "unfinished", "wrong exit code": "exit",
}  # fmt: skip


class Torture:
    """The lives so far, and what broke in them."""

    def __init__(self, number: int, seed: int, homes: Path, server: Server) -> None:
        self.number, self.draw, self.homes, self.server = number, random.Random(seed), homes, server
        self.struck: Counter[str] = Counter()  # by "victim in phase", or damage
        self.costs: Counter[str] = Counter()
        self.missed = self.lives = 0
        self.broken: list[dict[str, object]] = []  # of each life that broke a promise: its faults, what broke, its home

    def run(self) -> None:
        while self.struck.total() < self.number:
            self.lives += 1
            draw, home = self.draw, self.homes / f"{self.lives:03d}"
            served = self.server if draw.random() < 0.4 else None
            options = ("--epochs", "4", "--seed", str(self.lives), *draw.choice([(), ("--concurrency", "1")]))
            life = Life(home, f"life-{self.lives}", options, served)
            if draw.random() < 0.2:
                try:
                    with small_disk(home):
                        self.live(life, ("disk",))
                except PermissionError as error:
                    self.say(life, f"no disk is filled: {error}")
            else:
                self.live(life, draw.choice([KILLED, STOPPED, SERVED if served else KILLED]))

    def live(self, life: Life, victims: tuple[str, ...]) -> None:
        """One search, hit and resumed, then held against the promise."""
        faults: list[str] = []
        broken: list[str] = []
        trials = 3
        for _ in range(self.draw.randint(1, 4)):
            if self.struck.total() == self.number:
                break
            if life.runs and self.draw.random() < 0.4:
                kind, what = self.damage(life)
            else:
                kind, what = self.strike(life, victims, trials, broken)
                trials += 2  # so that the next run has work to be hit in, even if this one finished
            if kind:
                self.struck[kind] += 1
                faults.append(what)
            else:
                self.missed += 1
            self.say(life, what)
        last = life.finish(trials)
        broken += [f"unfinished: {last}"] if last.code else []
        broken += life.broken + broken_promises(life.home, life.name, trials, life.store)
        self.say(life, f"{last}: " + ("; ".join(broken) or f"all {trials} trials, promise kept"))
        self.account(life, faults, broken)

    def damage(self, life: Life) -> tuple[str, str]:
        what = self.draw.choice([name for name in DAMAGES if name != "MLflow store deleted" or not life.server])
        done = life.damage(what, self.draw)
        return ("" if done == "nothing" else what), f"{what}: {done}"

    def strike(self, life: Life, victims: tuple[str, ...], trials: int, broken: list[str]) -> tuple[str, str]:
        impossible = {"resume"} if not life.runs else {"MLflow store"}
        impossible |= {"MLflow store"} if life.server else set()
        phases = [phase for phase in PHASES if phase not in impossible]
        fault = Fault.drawn(self.draw.choice(phases), self.draw.choice(victims), self.draw)
        run = life.run(trials, fault)
        life.repair()
        if not run.struck[0]:
            return "", str(run)
        stopped = STOPS.get(fault.victim, 0)
        if run.code is None:
            broken.append(f"unfinished: {run}")
        elif run.code not in (stopped, 0):  # 0 where it was hit at its very end
            broken.append(f"exit: {run}, but {stopped} was to be")
        return f"{fault.victim} in {fault.phase}", str(run)

    def account(self, life: Life, faults: list[str], broken: list[str]) -> None:
        self.costs.update(line.split(":")[0] for line in broken)
        runs = life.home.with_name(f"{life.home.name}-runs")
        if broken:
            kept = shutil.copytree(life.home, f"{life.home}-kept")  # for its disk may be about to go
            self.broken.append({"home": str(kept), "runs": str(runs), "faults": faults, "broken": broken})
        else:
            shutil.rmtree(runs)
        for content in life.home.iterdir():
            shutil.rmtree(content, ignore_errors=True)

    def say(self, life: Life, what: str) -> None:
        print(f"{self.struck.total():4}/{self.number}  {life.name}: {what}", flush=True)

    def counts(self) -> dict[str, int]:
        """What all the faults together cost."""
        return {
            "faults": self.struck.total(), "searches": self.lives, "drawn, but found no moment": self.missed,
            "searches with a broken promise": len(self.broken),
            **{name: self.costs[kind] for name, kind in COSTS.items()},
        }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.torture", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--number", type=int, default=100, help="faults that must strike [default: 100]")
    parser.add_argument("--seed", type=int, default=0, help="of the draw [default: 0]")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/faults.json"), help="where the counts go")
    asked = parser.parse_args()
    homes = Path(tempfile.mkdtemp(prefix="ffsnn-torture-"))
    server = Server(homes / "server").start()
    torture, start = Torture(asked.number, asked.seed, homes, server), time.monotonic()
    try:
        torture.run()
    finally:
        server.stop()
        minutes = round((time.monotonic() - start) / 60)
        result = {"seed": asked.seed, "minutes": minutes, "counts": torture.counts()}
        result |= {"struck": dict(sorted(torture.struck.items())), "broken": torture.broken}
        asked.out.write_text(json.dumps(result, indent=2) + "\n")
        for name, count in [*sorted(torture.struck.items()), *torture.counts().items()]:
            print(f"{name:44} {count:5}")
        print(f"{minutes} minutes; counts in {asked.out}; searches that broke a promise in {homes}")
    return 1 if torture.broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
