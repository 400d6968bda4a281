"""Tune without its detours."""

import subprocess
import sys
import time
import warnings
from pathlib import Path

import psutil
import pytest
import ray
from ray import tune
from ray._private.node import Node
from ray.tune.execution.class_cache import _ActorClassCache

from search.cluster import ray_cluster, ray_private
from search.cluster.ray_private import quick_start
from search.cluster.resources import TrialResources
from search.config import SearchConfig
from spaces.space import Space


class Born(tune.Trainable):
    def step(self):
        return {"born": psutil.Process().create_time(), "done": True}


def test_trials_ask_for_no_environment_of_their_own_but_on_a_cluster():
    def asked(**options):
        with quick_start(**options):
            return _ActorClassCache().get(Born)._default_options.get("runtime_env")

    assert not asked(prestarted=True)
    assert asked(prestarted=False)
    assert _ActorClassCache().get(Born)._default_options["runtime_env"]


def test_a_trial_takes_a_process_that_was_there(tmp_path: Path):
    share = TrialResources(SearchConfig(name="s", space=Space.load("digits_smoke"), trials=1, epochs=1, concurrency=1))
    ray_cluster.start(share)
    try:
        until = time.monotonic() + 60
        while not any("IDLE" in process.name() for process in psutil.Process().children(recursive=True)):
            assert time.monotonic() < until
            time.sleep(0.1)
        commands = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
        assert not [it for it in commands if "dashboard.py" in it or "monitor.py" in it]
        begun = time.time()
        with quick_start(prestarted=True):
            ran = tune.Tuner(Born, run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0)).fit()
        assert ran[0].metrics["born"] < begun
    finally:
        ray_cluster.stop()


def test_a_node_that_lost_a_name_starts_all_the_same(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    ray_private.missing.cache_clear()
    monkeypatch.setattr(warnings, "warn", lambda text, stacklevel=1: said.append(text))
    monkeypatch.delattr(Node, "start_monitor")
    with ray_private.few_processes():
        assert Node.start_log_monitor(None) is None
    assert said == [f"Ray {ray.__version__} has no ray._private.node.Node.start_monitor: Ray starts later"]
    ray_private.missing.cache_clear()


def test_what_a_trial_needs_is_imported_beforehand_and_the_collector_is_on_again():
    code = (
        "import sys, gc, search.execution.preload; print('search.execution.trainable' in sys.modules, gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True True", done.stderr


def test_nothing_that_is_imported_while_ray_forks_loads_a_numerical_library():
    """A fork waits for the threads of BLAS and OpenMP, and for ever where another thread is just loading them."""
    code = """
from importlib import import_module
from pathlib import Path
from search import environment, launch, preflight
environment.prepare()
def loaded():
    files = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    return {Path(it).name for it in files if any(kind in it.lower() for kind in ("blas", "gomp", "iomp", "mkl"))}
import_module("optuna")
preflight.start_numerical_threads()
import_module("search.cluster.ray_cluster")
before = loaded()
import_module("search.execution.trainable")
print(len(before) > 0, loaded() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "True set()", done.stderr


def test_callbacks_are_not_counted():
    code = """
import sys
from ray.air._internal import usage
from ray.tune import Callback
from search.cluster.ray_private import quick_start
with quick_start(prestarted=True):
    usage.tag_callbacks([Callback()])
print("mlflow" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
