"""Spaces: YAML in, YAML out; conditions; samples that make configurations."""

import pytest
import yaml

from ffsnn.config import ConfigError
from spaces.space import SPACES, Space

CONDITIONAL = {
    "parameters": {
        "loss": {"choice": ["threshold", "swish", "symba"]},
        "theta": {"float": [0.02, 0.5], "log": True, "when": {"loss": "threshold"}},
        "alpha": {"float": [5, 100], "log": True, "when": {"loss": ["swish", "symba"]}},
    }
}


@pytest.mark.parametrize("name", [path.stem for path in SPACES.glob("*.yaml")])
def test_every_shipped_space_is_valid_and_round_trips(name):
    space = Space.load(name)
    tree = space.model_dump(mode="json")
    assert Space.parse(yaml.safe_load(yaml.safe_dump(tree))) == space
    for sample in space.probes():
        assert space.read(space.apply(sample)) == sample


def test_aliases_become_dotted_paths():
    space = Space.parse({"parameters": {"tau": {"float": [1.5, 2]}, "network.T": {"int": [2, 4]}}})
    assert list(space.parameters) == ["network.tau", "network.T"]


def test_conditions():
    space = Space.parse(CONDITIONAL)
    assert space.active("learning.theta", {"learning.loss": "threshold"})
    assert not space.active("learning.theta", {"learning.loss": "swish"})
    assert space.active("learning.alpha", {"learning.loss": "symba"})
    probed = {frozenset(sample) for sample in space.probes()}
    assert probed == {frozenset({"learning.loss", "learning.theta"}), frozenset({"learning.loss", "learning.alpha"})}


def test_a_condition_on_a_parameter_that_does_not_exist_is_not_met():
    tree = {"parameters": dict(CONDITIONAL["parameters"]) | {"tau": {"float": [1.5, 2], "when": {"theta": 0.1}}}}
    assert not Space.parse(tree).active("network.tau", {"learning.loss": "swish"})


def test_the_mnist_space_searches_the_method():
    space = Space.load("mnist")
    wanted = {"v_threshold", "theta", "tau", "T", "surrogate", "goodness"}
    assert wanted <= {path.rsplit(".", 1)[-1] for path in space.parameters}
    assert space.parameters["network.v_threshold"].float == (0.2, 1.5)
    assert space.parameters["network.tau"].float == (1.1, 5)
    assert space.parameters["network.T"].int == (2, 16)


def test_probes_find_a_rule_broken_in_one_combination_only():
    tree = {"parameters": {"loss": {"choice": ["swish", "threshold"]}, "tau": {"float": [1.5, 2]}}}
    with pytest.raises(ConfigError, match=r"the space allows .*threshold.* which breaks a rule: .*needs theta"):
        Space.parse(tree)


def test_a_choice_of_lists_is_known_by_its_json():
    tree = {"parameters": {"widths": {"choice": [[32, 32], [64]]}, "normalize": {"choice": [True, False]}}}
    space = Space.parse(tree)
    assert Space.parse(yaml.safe_load(yaml.safe_dump(space.model_dump(mode="json")))) == space
    sample = {"network.widths": "[32, 32]", "network.normalize": True}
    assert space.apply(sample).network.widths == (32, 32)
    assert space.read(space.apply(sample)) == sample
    assert sample in space.probes()
    with pytest.raises(ConfigError, match=r"the space allows .*\[32, 0\].* every width must be at least 1"):
        Space.parse({"parameters": {"widths": {"choice": [[32, 0]]}}})


@pytest.mark.parametrize("name", ["epochs", "learning.epochs", "seed", "device", "data_dir"])
def test_what_is_the_searchs_own_is_refused(name):
    with pytest.raises(ConfigError, match=r"cannot be searched, but must be the search's own .*: leave it out"):
        Space.parse({"parameters": {name: {"choice": [1, 2]}}})
