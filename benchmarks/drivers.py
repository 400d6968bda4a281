"""Several drivers on one study in a database: what a trial costs each of them.

A search has one driver and refuses a second, so this is the study alone: a point is drawn by `random` and recorded, an
epoch is reported, the trial is told its end.

    python -m benchmarks.drivers [--drivers 1 4 16] [--trials 160]      # writes benchmarks/results/drivers.json
"""

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler

from benchmarks.speed import RESULTS
from ffsnn import atomic
from search.study import database, optuna_private, sampling
from spaces.space import Space

NAME, SPACE = "drivers", "mnist"


def drive(url: str, driver: int, trials: int, start: float) -> list[float]:
    """Seconds of each of a driver's trials, from a common start on."""
    space, study = Space.load(SPACE), optuna.load_study(study_name=NAME, storage=database.opened(url))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    time.sleep(max(0.0, start - time.time()))
    found = []
    for seed in range(trials):
        before = time.perf_counter()
        number = optuna_private.new_trial(study)
        sample = sampling.draw(space, study, RandomSampler(seed=1000 * driver + seed), number)
        sampling.record(space, study, number, sample)
        optuna_private.live_trial(study, optuna_private.trial_of(study, number)).report(0.5, 1)
        study.tell(number, 0.5)
        found.append(time.perf_counter() - before)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drivers")
    parser.add_argument("--drivers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--trials", type=int, default=160, help="of all drivers together")
    asked = parser.parse_args()
    rows = {}
    for drivers in asked.drivers:
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(drivers) as pool:
            url = f"sqlite:///{Path(folder) / 'study.db'}"
            optuna.create_study(study_name=NAME, storage=database.opened(url), direction="maximize")
            each, start = asked.trials // drivers, time.time() + 2 + 2 * drivers  # all have imported by then
            told = [pool.submit(drive, url, driver, each, start) for driver in range(drivers)]
            seconds = [second for it in told for second in it.result()]
            wall = time.time() - start
            trials = optuna.load_study(study_name=NAME, storage=database.opened(url)).get_trials(deepcopy=False)
        assert sorted(trial.number for trial in trials) == list(range(drivers * each)), "a trial was lost or doubled"
        rows[str(drivers)] = {"trial_ms": 1000 * statistics.median(seconds), "trials_a_second": len(seconds) / wall}
        print(f"{drivers} drivers: {rows[str(drivers)]}", flush=True)
    atomic.write(RESULTS / "drivers.json", json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
