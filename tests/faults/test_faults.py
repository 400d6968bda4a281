"""The promise of a search that loses nothing, in its short form: nine faults; `make faults` strikes the others.

Each life is a search whose one command is run, hit, and run again until it ends; then the independent reader compares
folder, study and MLflow. `python -m tests.faults.torture` is the long form.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.harness import STOPS, Fault, Life, small_disk
from tests.faults.reader import broken_promises, read
from tests.faults.server import Server


class Act(NamedTuple):
    """One run: what strikes in it, what is damaged before. The budget grows from act to act, to leave work to hit."""

    faults: tuple[Fault, ...] = ()
    damages: tuple[str, ...] = ()


KILLS = (
    Act((Fault("checkpoint write", "trial", 6), Fault("history write", "driver", 5))),
    Act((Fault("resume", "driver", 5),), damages=("study torn", "checkpoint truncated")),
    Act((Fault("train", "driver by SIGTERM", 2),), damages=("history torn",)),
)
OTHERS = {
    "raylet killed": (Act((Fault("train", "raylet", 3),)),),
    "trial killed in an epoch": (Act((Fault("train", "trial", 2),)),),
    "trial killed after its checkpoint": (Act((Fault("history write", "trial", 3),)),),
    "trial killed while the next is drawn": (Act((Fault("suggest", "trial", 18),)),),
    "driver killed as it writes to MLflow": (Act((Fault("MLflow write", "driver", 12),)),),
    "driver killed as MLflow's store is made": (Act((Fault("MLflow store", "driver", 30),)),),
    "SIGINT, then Ctrl-C to all": (Act((Fault("train", "driver by SIGINT", 2),)), Act((Fault("tell", "Ctrl-C", 3),))),
    "study cut back": (Act((Fault("tell", "driver", 8),)), Act(damages=("study cut back",))),
    "study deleted": (Act((Fault("tell", "driver", 8),)), Act(damages=("study deleted",))),
    "history cut back": (Act((Fault("tell", "driver", 8),)), Act(damages=("history cut back",))),
    "store deleted": (Act((Fault("tell", "driver", 8),)), Act(damages=("MLflow store deleted",))),
    "end deleted": (Act((Fault("suggest", "driver", 25),)), Act(damages=("end deleted",))),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def small_home(tmp_path: Path) -> Iterator[Path]:
    try:
        with small_disk(tmp_path / "home"):
            yield tmp_path / "home"
    except PermissionError as error:
        pytest.skip(str(error))


def lived(life: Life, acts: tuple[Act, ...], trials: int = 4) -> None:
    """Live through the acts, finish, and hold the promise against what is there."""
    draw = random.Random(0)
    for act in acts:
        for damage in act.damages:
            print(f"{damage}: {life.damage(damage, draw)}")
        run = life.run(trials, *act.faults)
        print(run)
        for hit in run.struck:
            assert hit, f"a fault found no moment to strike:\n{run.output[-3000:]}"
            if (expected := STOPS.get(hit["victim"])) is not None:
                assert run.code == expected, run.output[-3000:]
        trials += 2
    run = life.finish(trials - 2)
    print(run)
    assert run.code == 0, run.output[-3000:]
    assert life.broken + broken_promises(life.home, life.name, trials - 2, life.store) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_and_torn_files(tmp_path: Path) -> None:
    """A trial's process, the driver and the resume killed, three files damaged, SIGTERM: seven faults in one life."""
    lived(Life(tmp_path / "home"), KILLS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_that_hangs_and_dies(tmp_path: Path, server: Server) -> None:
    """The search goes on without it, and what it missed is there after the next start."""
    life = Life(tmp_path / "home", server=server)
    hung = life.run(4, Fault("MLflow write", "server hung", 4))
    print(hung)
    assert hung.struck[0]
    assert hung.code == 0, hung.output[-3000:]
    server.restore()
    lived(life, (Act((Fault("MLflow write", "server", 3),)),), trials=6)


@pytest.mark.faults
@pytest.mark.parametrize("acts", OTHERS.values(), ids=OTHERS)
def test_other_faults(tmp_path: Path, acts: tuple[Act, ...]) -> None:
    lived(Life(tmp_path / "home"), acts)


@pytest.mark.faults
@pytest.mark.parametrize("phase", ["suggest", "checkpoint write", "history write", "tell", "MLflow write"])
def test_a_full_disk(small_home: Path, phase: str) -> None:
    """The search stops, and goes on with its budget intact once there is room."""
    trials = 60 if phase == "MLflow write" else 4  # MLflow is told from the seventh second of trials on
    lived(Life(small_home), (Act((Fault(phase, "disk", 4),)),), trials)


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param("forecast", marks=pytest.mark.slow),
        *(pytest.param(name, marks=pytest.mark.faults) for name in ("random", "tpe", "gp")),
    ],
)
def test_killed_and_resumed_a_search_asks_for_the_same_points(tmp_path: Path, sampler: str) -> None:
    """One trial at a time and a fixed seed: all places say the same of a search killed twice as of one left alone."""
    options = ("--epochs", "4", "--concurrency", "1", "--sampler", sampler)
    options += ("--scheduler", {"random": "none", "tpe": "asha"}.get(sampler, "promotion"))
    whole, hurt = (Life(tmp_path / name, options=options) for name in ("whole", "hurt"))
    assert whole.run(5).code == 0
    for fault in (Fault("suggest", "driver", 10), Fault("tell", "driver", 5)):
        run = hurt.run(5, fault)
        print(run)
        assert run.struck[0]
    assert hurt.finish(5).code == 0
    assert hurt.broken == []
    seen = [read(life.home, life.name) for life in (whole, hurt)]
    for life in (whole, hurt):
        assert broken_promises(life.home, life.name, 5) == []
    assert seen[0].folder == seen[1].folder
    assert (seen[0].study, seen[0].mlflow) == (seen[1].study, seen[1].mlflow)
