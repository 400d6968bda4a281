"""One search in a process of its own, watched where Tune calls it: what its driver spends, and where it grows.

Only Tune's own names are wrapped, so that any searcher, scheduler and callback is seen, ours as well as others'.

    python -m benchmarks.watched ours|plain REQUEST.json     (a SearchConfig, and `home`); writes HOME/watched.json
"""

import functools
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

SEEN = "watched.json"


@dataclass
class Watched:
    """What was seen. `spent`: seconds of each call, in order, by what was called."""

    spent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    at: list[float] = field(default_factory=list)  # when each trial ended, from the process's start, seconds
    rss: list[int] = field(default_factory=list)  # the driver's memory then, bytes
    cpu: list[float] = field(default_factory=list)  # the driver's CPU time so far, seconds, threads included
    samples: list[dict[str, Any]] = field(default_factory=list)  # of a plain search: its trials' parameters
    end: float = 0.0

    def wrap(self, owner: type, method: str, name: str, then: Callable[[], None] = lambda: None) -> None:
        original = getattr(owner, method)
        if hasattr(original, "watched"):
            return

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self.spent[name].append(time.perf_counter() - start)
                then()

        timed.watched = True  # type: ignore[attr-defined]
        setattr(owner, method, timed)

    def trial_ended(self) -> None:
        self.at.append(now())
        self.rss.append(psutil.Process().memory_info().rss)
        self.cpu.append(time.process_time())

    def watch_once_ray_is_up(self) -> None:
        """And not before: Tune takes a second to import, which a driver may spend at another time."""
        import ray

        init = ray.init

        def initialised(*args: Any, **kwargs: Any) -> Any:
            found = init(*args, **kwargs)
            self.watch()
            return found

        ray.init = initialised  # type: ignore[assignment]

    def watch(self) -> None:
        """Wrap whatever is handed to a Tuner from now on."""
        from ray import tune
        from ray.tune.execution.tune_controller import TuneController

        tuner = tune.Tuner.__init__
        self.wrap(TuneController, "_on_training_result", "tune: a report, all in all")

        def init(itself: Any, *args: Any, tune_config: Any, run_config: Any, **kwargs: Any) -> None:
            searcher = type(getattr(tune_config.search_alg, "searcher", tune_config.search_alg))
            self.wrap(searcher, "suggest", "searcher: suggest")
            self.wrap(searcher, "on_trial_result", "searcher: report")
            self.wrap(searcher, "on_trial_complete", "searcher: end", self.trial_ended)
            self.wrap(type(tune_config.scheduler), "on_trial_result", "scheduler: report")
            self.wrap(type(tune_config.scheduler), "on_trial_complete", "scheduler: end")
            for callback in run_config.callbacks or []:
                self.wrap(type(callback), "on_trial_result", "callbacks: report")
                self.wrap(type(callback), "on_trial_complete", "callbacks: end")
                self.wrap(type(callback), "on_step_end", "callbacks: step")
            tuner(itself, *args, tune_config=tune_config, run_config=run_config, **kwargs)

        tune.Tuner.__init__ = init  # type: ignore[method-assign, assignment]


def now() -> float:
    return time.time() - psutil.Process().create_time()


def main() -> None:
    which, file = sys.argv[1:]
    request = json.loads(Path(file).read_text())
    home = Path(request.pop("home"))
    seen = Watched()
    if which == "ours":
        from search.names import ENVIRONMENT

        os.environ |= ENVIRONMENT  # before Ray is imported, as `launch` does it
    # For both: Ray's own 15 would measure what else the machine does.
    os.environ |= {"RAY_worker_niceness": "0"}
    if which == "ours":
        seen.watch_once_ray_is_up()
    else:
        seen.watch()
    from ffsnn.validation import parse
    from search.config import SearchConfig

    config = parse(SearchConfig, request)
    if which == "ours":
        from search.cli import relaxed_gc
        from search.launch import launch

        with relaxed_gc():
            launch(home, config, Console(file=(home / "output.txt").open("w")))
    else:
        from benchmarks import plain_tune

        seen.samples = plain_tune.run(config.space, config.trials, config.epochs, config.concurrency or 2, home)
    seen.end = now()
    (home / SEEN).write_text(json.dumps(vars(seen)))


if __name__ == "__main__":
    main()
