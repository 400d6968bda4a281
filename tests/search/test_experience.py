"""What recorded surfaces say of the configurations of any space, and how far a search believes it."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from scipy.stats import spearmanr

from ffsnn.validation import ConfigError
from search.forecast.experience import Experience, Forecast, _learnt
from search.forecast.final_values import normal_scores
from search.forecast.surface import Surface
from search.objectives import OBJECTIVES
from search.resolve import requested
from search.simulation.experiment import Plan, config_of, run
from search.store.folder import SearchFolder
from search.study.samplers import build
from search.study.sampling import draw
from spaces.space import Space

ACCURACY = OBJECTIVES["val_accuracy"]
ALL = ("digits", "fashion_mnist", "mnist")
MNIST = Surface.load("mnist")


def narrow(parameters: dict[str, Any], **base: Any) -> Space:
    return Space.parse({"base": {"data": {"dataset": "digits"}} | base, "parameters": parameters})


def recorded(surface: Surface) -> np.ndarray:
    """Scores of a surface's configurations at full length, (C,)."""
    return normal_scores(-surface.values(ACCURACY)[:, :, -1].mean(1)[:, None])[:, 0]


@pytest.mark.parametrize(("told", "of", "least"), [("mnist", "fashion_mnist", 0.85), ("digits", "mnist", 0.4)])
def test_what_is_good_on_one_data_set_is_good_on_another(told: str, of: str, least: float) -> None:
    surface = Surface.load(of)
    expected = Experience([told], surface.space, ACCURACY).scores(surface.encoding.places(surface.samples))
    assert expected.shape == (len(surface.samples), 1)
    assert spearmanr(expected[:, 0], recorded(surface)).statistic > least


def test_a_surface_knows_its_own_configurations() -> None:
    places = MNIST.encoding.places(MNIST.samples)
    (translation,) = Experience(["mnist"], MNIST.space, ACCURACY).translations
    assert np.allclose(translation.points(places), MNIST.points)


def test_a_field_that_is_not_searched_counts_as_the_base_has_it() -> None:
    whole = Experience(["mnist"], MNIST.space, ACCURACY)
    sample = MNIST.samples[0]
    rest = {path: value for path, value in sample.items() if path != "network.tau"}
    fixed = MNIST.space.apply(rest | {"network.tau": 3.3}).model_dump(mode="json")
    part = Experience(["mnist"], Space.parse({"base": fixed, "parameters": {"tau": {"float": [1.1, 9]}}}), ACCURACY)
    for tau, place in ((1.1, 0.0), (3.3, part.encoding.axes["network.tau"].place(3.3)), (9.0, 1 - 1e-9)):
        mine = part.scores(np.array([[place]]))
        theirs = whole.scores(whole.encoding.places([sample | {"network.tau": min(tau, 6.0)}]))  # the range's end
        assert mine == pytest.approx(theirs, abs=1e-6)


def test_what_was_not_recorded_is_neither_better_nor_worse() -> None:
    known = Experience(ALL, narrow({"surrogate": {"choice": ["atan", "sigmoid"]}}), ACCURACY).translations[0]
    atan, sigmoid = (known.points(np.array([[place]]))[0] for place in (0.1, 0.9))
    space = narrow({"surrogate": {"choice": ["atan", "sigmoid", "erf"]}, "dropout": {"float": [0.0, 0.5]}})
    experience = Experience(ALL, space, ACCURACY)
    points = experience.translations[0].points(np.array([[0.1, 0.0], [0.5, 0.5], [0.9, 0.5]]))
    assert np.allclose(points, (atan + sigmoid) / 2)
    assert experience.scores(np.array([[0.1, 0.0], [0.9, 0.4]])).std(0).max() == 0  # nothing is known of dropout
    assert Experience(ALL, space, OBJECTIVES["seconds_per_epoch"]).scores(np.zeros((4, 2))).shape == (4, 0)


@pytest.mark.parametrize("name", ["digits_smoke", "fashion_mnist", "mnist", "mnist_cheap", "mnist_wide"])
def test_it_says_something_of_every_shipped_space(name: str) -> None:
    space = Space.load(name)
    places = np.random.default_rng(0).random((50, len(space.parameters)))
    scores = Experience(ALL, space, ACCURACY).scores(places)
    assert np.isfinite(scores).all()
    assert (scores.std(0) > 0.05).all()


def test_a_surface_that_trials_contradict_is_not_believed() -> None:
    experience = Experience(["digits", "mnist"], MNIST.space, ACCURACY)
    places = MNIST.encoding.places(MNIST.samples[:60])
    scores = recorded(MNIST)[:60]
    borne_out = Forecast.fit(experience, places, scores).weights
    contradicted = Forecast.fit(experience, places, -scores).weights
    assert borne_out[1] > 0.5 > borne_out[0]
    assert contradicted.max() < 0.01


def test_nothing_is_fitted_until_a_point_is_drawn(tmp_path: Path) -> None:
    _learnt.cache_clear()
    config = requested(tmp_path, "digits_smoke", "new", None, {})[0]
    sampler = build("forecast", config, 0)
    assert _learnt.cache_info().currsize == 0  # it would take all cores, which a suggestion does not
    study = optuna.create_study(direction="maximize")
    study.ask()
    config.space.apply(draw(config.space, study, sampler, 0))
    assert _learnt.cache_info().currsize == len(ALL)


def test_with_experience_a_search_finds_sooner() -> None:
    surface, found = Surface.load("fashion_mnist"), []
    for experience in (None, "none"):
        plan = Plan("val_accuracy", len(surface.samples), stop_at=2, experience=experience)
        (pair,) = run(surface, [("forecast", "promotion")], plan, 10, lambda *_: None, processes=1)
        found.append(np.median([course.epochs_to(2) for course in pair.courses]))
    assert found[0] < 0.75 * found[1]


def test_a_simulated_search_has_learnt_from_other_data_sets_alone() -> None:
    plan = Plan("val_accuracy", 3)
    assert config_of(MNIST, ("forecast", "promotion"), plan, 0).experience == ("digits", "fashion_mnist")
    assert config_of(MNIST, ("random", "promotion"), plan, 0).experience == ()


def test_a_new_search_begins_with_all_of_it_and_an_old_one_goes_on_as_it_was(tmp_path: Path) -> None:
    def asked(name: str | None = "new", **settings: Any) -> tuple[str, ...]:
        return requested(tmp_path, "digits_smoke", name, None, settings)[0].experience

    assert asked() == ALL
    assert asked(cold=True) == asked(sampler="tpe") == asked(experience="none") == ()
    assert asked(cold=True, experience="digits, mnist") == ("digits", "mnist")
    with pytest.raises(ConfigError, match=r"experience must be none, or of digits, .*, but got 'cifar'"):
        asked(experience="digits,cifar")
    with pytest.raises(
        ConfigError, match=r"experience needs a sampler that takes it \(forecast\), but got sampler=tpe"
    ):
        asked(experience="digits", sampler="tpe")

    before = requested(tmp_path, "digits_smoke", "old", None, {"experience": "none"})[0]
    SearchFolder.create(tmp_path, before, "")
    assert asked("old") == ()
    assert requested(tmp_path, None, None, "old", {})[0].experience == ()
