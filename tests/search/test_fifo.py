"""The next trial to run, beside Ray Tune's own choice among all trials."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from search.execution.fifo import LiveFIFO


@pytest.mark.parametrize("seed", range(8))
def test_the_next_trial_is_the_one_that_tune_chooses_among_all(seed: int) -> None:
    states = [Trial.TERMINATED, Trial.ERROR, Trial.RUNNING, Trial.PAUSED, Trial.PENDING]
    trials = [Trial("named", trial_id=f"a_{number:05d}", stub=True) for number in range(12)]
    for number, trial in enumerate(trials):
        trial.status = states[(seed * 7 + number * number) % len(states[: 3 + seed % 3])]
    live = {trial for trial in trials if not trial.is_finished()}
    controller: Any = SimpleNamespace(get_trials=lambda: trials, get_live_trials=lambda: live)
    assert LiveFIFO().choose_trial_to_run(controller) is FIFOScheduler().choose_trial_to_run(controller)
