"""Whatever a space that loads lets a sampler choose comes back from the configuration as it went in.

Spaces are generated over all fields, with values as YAML may have them: numbers and their texts, booleans and their
words, lists and their JSON, null.
"""

from typing import Any, get_args

import optuna
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ffsnn.config import RunConfig
from ffsnn.fields import field_kinds, fields
from ffsnn.validation import ConfigError
from search.study.sampling import distribution, draw, record
from spaces.parameter import AnyParameter
from spaces.space import FIXED, Space

FIELDS = [path for path in fields() if path not in FIXED]
BASE = {"data": {"dataset": "digits"}, "learning": {"batch_size": 32}}

ALWAYS: dict[str, Any] = {  # the same examples each time, and no folder of failed ones
    "deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck),
}  # fmt: skip

numbers = st.one_of(
    st.integers(1, 40), st.floats(0.01, 40, allow_nan=False), st.sampled_from([1e-3, 5e-324, 1e300, 0, -1, True])
)
texts = st.one_of(
    numbers.map(str),
    st.sampled_from(["1e-3", "0.50", " 7", "yes", "Off", "null", "[2, 3]", "[true]", "["]),
    st.text(max_size=4),
)
lists = st.lists(st.one_of(st.integers(1, 40), st.booleans()), min_size=1, max_size=3)
anything = st.one_of(numbers, texts, lists, lists.map(str), st.booleans(), st.none())


def of_field(path: str) -> st.SearchStrategy[Any]:
    """Values that the field takes more often than not."""
    kinds = field_kinds(path)
    if known := sorted(kind for kind in kinds if isinstance(kind, str)):
        return st.sampled_from(known)
    likely: list[st.SearchStrategy[Any]] = []
    likely += [numbers, numbers.map(str)] if float in kinds else []
    likely += [st.integers(1, 40), st.integers(1, 40).map(str)] if int in kinds else []
    likely += [st.booleans(), st.sampled_from(["yes", "no", 0, 1])] if bool in kinds else []
    likely += [lists, lists.map(str)] if tuple in kinds else []
    likely += [st.none()] if None in kinds else []
    return st.one_of(*likely, anything)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Any]:
    """The parameters of a space; most of them load."""
    chosen = draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True))
    tree: dict[str, Any] = {}
    for number, path in enumerate(chosen):
        kind = draw(st.sampled_from(["choice", "choice", "float", "int"]))
        if kind == "choice":
            parameter: dict[str, Any] = {"choice": draw(st.lists(of_field(path), min_size=1, max_size=4))}
        else:
            parameter = {kind: [draw(numbers), draw(numbers)], "log": draw(st.booleans())}
        if number and draw(st.booleans()):
            other = chosen[number - 1]
            values = tree[other].get("choice", tree[other].get("int", [1]))
            parameter["when"] = {other: draw(st.sampled_from([values[0], values, *values]))}
        tree[path] = parameter
    return tree


def load(tree: dict[str, Any]) -> Space:
    try:
        return Space.parse({"base": BASE, "parameters": tree})
    except ConfigError:
        assume(False)
        raise


@settings(max_examples=40, **ALWAYS)
@given(trees())
def test_every_sample_comes_back(tree):
    space = load(tree)
    again = Space.parse(yaml.safe_load(yaml.safe_dump(space.model_dump(mode="json"), sort_keys=False)))
    assert again == space
    for sample in (*space.probes(), *space.draws(10)):
        config = space.apply(sample)
        for read in (space.read(config), again.read(RunConfig.parse(yaml.safe_load(config.yaml())))):
            assert read == sample
            assert [type(value) for value in read.values()] == [type(value) for value in sample.values()]


@settings(max_examples=40, **ALWAYS)
@given(trees())
def test_what_a_study_records_is_what_the_configuration_says(tree):
    space = load(tree)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(3):
        study.ask()
        sample = draw(space, study, optuna.samplers.RandomSampler(seed=number), number)
        record(space, study, number, sample)
        read = space.read(space.apply(sample))
        assert study.trials[number].params == read
        for path, value in read.items():
            allowed = distribution(space.parameters[path])
            assert allowed.to_external_repr(allowed.to_internal_repr(value)) == value


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_can_be_searched(path):
    """By a choice of its default and by nothing that its type does not have."""
    config = RunConfig.parse(BASE)
    value: Any = config
    for part in path.split("."):
        value = getattr(value, part)
    assert load({path: {"choice": [value]}}).read(config) == {
        path: str(list(value)) if isinstance(value, tuple) else value
    }
    assert len(get_args(AnyParameter)) == 2  # a kind that is added has to be generated above
