"""Simulated searches are real ones: they ask for the same points and stop the same trials."""

from pathlib import Path

import numpy as np
import optuna
import pytest

from ffsnn.validation import ConfigError
from search import api
from search.forecast.surface import Surface, ensure_same_space
from search.pareto.goals import Goals
from search.registries import SAMPLERS, SCHEDULERS
from search.simulation.experiment import Plan, config_of, run
from search.simulation.recorded import Answers
from search.simulation.virtual import simulate
from search.store.folder import SearchFolder
from spaces.space import Space

SPACE = {
    "base": {"data": {"dataset": "digits"}, "network": {"widths": [16]}, "learning": {"batch_size": 256}},
    "parameters": {
        "v_threshold": {"float": [0.2, 1.5]},
        "T": {"int": [2, 4]},
        "loss": {"choice": ["threshold", "swish"]},
        "theta": {"float": [0.02, 0.4], "log": True, "when": {"loss": "threshold"}},
    },
    "budget": {"trials": 14, "epochs": 9},
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Surface]:
    """A home with a search that ran every trial to its end, and the surface it makes."""
    home = tmp_path_factory.mktemp("home")
    api.run(SPACE, name="all", home=home, quiet=True, sampler="random", scheduler="none", seed=3, concurrency=1)
    return home, Surface.of_searches("all", [api.load("all", home).folder])


@pytest.mark.parametrize(
    ("sampler", "scheduler", "objective"),
    [
        ("random", "promotion", "val_accuracy"), ("random", "asha", "val_accuracy"), ("tpe", "none", "val_accuracy"),
        ("random", "promotion", "accuracy,spikes"),
    ],
)  # fmt: skip
def test_a_real_search_and_a_simulated_one_do_the_same(
    sampler: str, scheduler: str, objective: str, recorded: tuple[Path, Surface]
) -> None:
    """Of `tpe` the first ten points are random ones, which are those of the table; it is compared as far as these."""
    home, surface = recorded
    name = f"{sampler}-{scheduler}-{len(objective)}"
    real = api.run(
        SPACE, name=name, home=home, quiet=True, sampler=sampler, scheduler=scheduler, seed=3, concurrency=1,
        objective=objective, trials=10 if sampler == "tpe" else 14,
    )  # fmt: skip
    config = real.config.model_copy(update={"seed": 3})
    answers = Answers(surface, config.goals)
    steps = simulate(answers, config)
    trained = {trial.number: (surface.space.read(trial.config()), config.goals.values(trial))
               for trial in real.folder.trials()}  # fmt: skip
    assert {step.trial for step in steps} == {number for number, (_, values) in trained.items() if values}
    for number, (sample, values) in trained.items():
        if not values:  # dead in its first epoch, in both
            assert real.folder.trial(number).end().reason == "dead"
            continue
        mine = [step for step in steps if step.trial == number]
        assert surface.samples[mine[0].index] == sample
        assert [step.epoch for step in mine] == list(range(1, len(values) + 1))
        told = [found[mine[0].index, 0, : len(mine)] for found in answers.by_objective.values()]
        assert np.allclose(np.transpose(told), values)


def test_a_surface_is_kept_in_a_file_and_read_again(recorded: tuple[Path, Surface], tmp_path: Path) -> None:
    _, surface = recorded
    surface.save(tmp_path / "kept.npz")
    again = Surface.load(tmp_path / "kept.npz")
    assert again.samples == surface.samples
    assert again.space == surface.space
    assert np.array_equal(again.curves, surface.curves, equal_nan=True)
    trial = next(iter(SearchFolder.open(recorded[0] / "mlruns", "all").trials()))
    told, kept = trial.history(), again.history(0, 0)
    assert [epoch.epoch for epoch in told] == [epoch.epoch for epoch in kept]
    for name in ("val_accuracy", "seconds", "loss", "firing_rate", "goodness_neg"):
        assert np.allclose([getattr(e, name) for e in told], [getattr(e, name) for e in kept], rtol=1e-6)


def test_slots_share_a_virtual_clock(recorded: tuple[Path, Surface]) -> None:
    answers = Answers(recorded[1], Goals.parse("val_accuracy"))
    config = config_of(recorded[1], ("random", "none"), Plan("val_accuracy", trials=14), seed=0)
    alone, four = simulate(answers, config), simulate(answers, config, slots=4)
    assert len(alone) == len(four) == answers.lengths[:, 0].sum() > 100
    total = sum(answers.seconds[step.index, 0, step.epoch - 1] for step in alone)
    assert alone[-1].seconds == pytest.approx(total)
    assert total / 4 <= four[-1].seconds < total
    assert [step.seconds for step in four] == sorted(step.seconds for step in four)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_pair_can_be_simulated_and_gives_the_same_each_time(
    sampler: str, scheduler: str, recorded: tuple[Path, Surface]
) -> None:
    plan, said = Plan("val_accuracy", trials=14), list[tuple[str, int]]()
    pairs = [
        run(recorded[1], [(sampler, scheduler)], plan, 2, lambda *it: said.append(it), processes=1)[0] for _ in range(2)
    ]
    assert said == [(f"{sampler} + {scheduler}", 1), (f"{sampler} + {scheduler}", 2)] * 2
    for once, again in zip(pairs[0].courses, pairs[1].courses, strict=True):
        assert np.array_equal(once.value, again.value)
        assert np.array_equal(once.seconds, again.seconds)


def test_a_surface_of_another_space_is_refused_with_what_differs() -> None:
    mine = Space.parse(SPACE)
    others = SPACE["parameters"] | {"T": {"int": [2, 6]}, "tau": {"float": [1.1, 2]}}
    other = Space.parse(SPACE | {"parameters": others})
    with pytest.raises(ConfigError, match="digits is of another space: T, tau differ"):
        ensure_same_space("digits", mine, [other])


@pytest.mark.parametrize("content", [b"", b"no surface", b"PK\x03\x04"])
def test_a_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "it.npz").write_bytes(content)
    with pytest.raises(ConfigError, match=r"it\.npz is no recorded surface"):
        Surface.load(tmp_path / "it.npz")
    with pytest.raises(ConfigError, match="there is no surface or search 'nonesuch': give a file"):
        Surface.load("nonesuch")


def test_recordings_of_the_same_points_are_joined(recorded: tuple[Path, Surface]) -> None:
    """By configuration: the second recording has its own order, and may lack some."""
    _, surface = recorded
    order = [3, 0, 5]
    samples = [surface.samples[index] for index in order]
    again = Surface("again", surface.space, samples, [8], surface.curves[order] + 1, {"searches": ["again"]})
    joined = surface.joined(again)
    assert joined.samples == [surface.samples[index] for index in sorted(order)]
    assert (joined.seeds, joined.about["searches"]) == ([*surface.seeds, 8], ["all", "again"])
    np.testing.assert_array_equal(joined.curves[:, 0], surface.curves[sorted(order), 0])
    np.testing.assert_array_equal(joined.curves[:, 1], surface.curves[sorted(order), 0] + 1)
    shorter = Surface("short", surface.space, samples, [8], surface.curves[order][:, :, :3], {})
    for other, wrong in ((surface, "has seed 3 already"), (shorter, "have 9 epochs, those to be joined 3")):
        with pytest.raises(ConfigError, match=wrong):
            surface.joined(other)


def test_no_trial_reads_all_others(recorded: tuple[Path, Surface], monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    storage = optuna.storages.InMemoryStorage
    read = storage.get_all_trials
    monkeypatch.setattr(storage, "get_all_trials", lambda *args, **given: reads.append(1) or read(*args, **given))
    surface = recorded[1]
    trials = len(surface.samples)
    for sampler, most in (("random", 0), ("forecast", trials)):
        reads.clear()
        config = config_of(surface, (sampler, "promotion"), Plan("val_accuracy", trials), seed=0)
        simulate(Answers(surface, config.goals), config)
        assert len(reads) <= most + 1  # and one as it begins
