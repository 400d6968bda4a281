"""Spaces: YAML in, YAML out; conditions; samples that make configurations."""

import pytest
import yaml

from ffsnn.config.data import TO_BE_ADDED
from ffsnn.validation import ConfigError, read_yaml
from spaces.space import SPACES, Space
from tests.datasets.made import add_all

CONDITIONAL = {
    "parameters": {
        "loss": {"choice": ["threshold", "swish", "symba"]},
        "theta": {"float": [0.02, 0.5], "log": True, "when": {"loss": "threshold"}},
        "alpha": {"float": [5, 100], "log": True, "when": {"loss": ["swish", "symba"]}},
    }
}


@pytest.mark.parametrize("name", sorted(path.stem for path in SPACES.glob("*.yaml")))
def test_every_shipped_space_is_valid_and_round_trips(name, tmp_path, monkeypatch):
    if name in TO_BE_ADDED:
        monkeypatch.setenv("FFSNN_DATA", str(tmp_path / "data"))
        with pytest.raises(ConfigError, match=f"{name} is not here yet: ffsnn data add {name}"):
            Space.load(name)
        add_all(tmp_path)
    tree = read_yaml(SPACES / f"{name}.yaml")
    if name in TO_BE_ADDED:  # of a few recordings
        tree["base"]["learning"]["batch_size"] = 2
    space = Space.parse(tree)
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
    theta = {"choice": [0.1, 0.2], "when": {"loss": "threshold"}}
    tree = {
        "parameters": CONDITIONAL["parameters"] | {"theta": theta, "tau": {"float": [1.5, 2], "when": {"theta": 0.1}}}
    }
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


def loaded(**parameters: object) -> Space:
    return Space.parse({"parameters": parameters})


def test_values_are_what_their_fields_make_of_them():
    """YAML 1.1 reads 1e-3 as text."""
    space = loaded(
        **yaml.safe_load("{lr: {choice: [1e-3, 1e-2]}, tau: {choice: [2, '3']}, detach_reset: {choice: ['no', yes]}}")
    )
    assert space.parameters["learning.lr"].choice == (0.001, 0.01)
    assert [type(tau) for tau in space.parameters["network.tau"].choice] == [float, float]
    assert space.parameters["network.detach_reset"].choice == (False, True)


def test_conditions_name_values_as_they_are_chosen():
    lists = {"choice": [[20, 20], "[30]", ["40"]]}
    space = loaded(
        widths=lists, T={"int": [2, 4]},
        tau={"float": [1.5, 2], "when": {"widths": [20, 20], "T": "2"}},
        lr={"float": [1e-3, 1e-2], "when": {"widths": [[20, 20], [30]], "T": ["2", 3]}},
    )  # fmt: skip
    assert space.parameters["network.tau"].when == {"network.widths": "[20, 20]", "network.T": 2}
    assert space.parameters["learning.lr"].when == {"network.widths": ["[20, 20]", "[30]"], "network.T": [2, 3]}


def test_a_choice_may_be_to_leave_a_field_unset():
    space = loaded(train_images={"choice": [None, 600]}, batch_size={"int": [16, 64], "when": {"train_images": None}})
    assert {"data.train_images": None, "learning.batch_size": 16} in space.probes()
    assert space.apply({"data.train_images": None}).data.train_images is None


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"lr": {"choice": ["1e-3", 0.001]}}, r"values of a choice must differ, but got \[0.001, 0.001\]"),
        ({"decay_input": {"choice": [True, 1]}}, r"must differ, but got \[True, True\]"),
        ({"tau": {"choice": [2, "two"]}}, r"^network.tau: input should be a valid number.*'two'$"),
        ({"train_images": {"choice": [None, "many"]}}, r"^data.train_images: .*'many'$"),
        ({"tau": {"float": [1.5, 3]}, "network.tau": {"float": [1.5, 3]}}, "network.tau stands twice.*leave one out"),
        ({"T": {"float": [2, 16]}}, r"network.T is a whole number: take int: \[2, 16\], but got float: \[2.0, 16.0\]"),
        ({"shift": {"float": [0, 2.5]}}, r"learning.shift is a whole number: take int: \[0, 2\]"),
        ({"batch_size": {"float": [32, 128]}}, "batch_size is a whole number: take int"),
        ({"train_images": {"float": [500, 600]}}, "train_images is a whole number: take int"),
        ({"widths": {"int": [20, 30]}}, "network.widths is a list: take choice"),
        ({"decay_input": {"int": [0, 1]}}, r"decay_input is true or false: take choice: \[true, false\]"),
        ({"surrogate": {"float": [0, 1]}}, "network.surrogate is one of atan, erf, .*: take choice"),
        ({"batch_size": {"int": [16, 2**60]}}, "whole numbers may have 9007199254740992 at most"),
    ],
)
def test_parameters_that_cannot_be_are_refused(parameters, said):
    with pytest.raises(ConfigError, match=said):
        loaded(**parameters)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (
            {"loss": "threshold"},
            "when asks for learning.loss=threshold, but it is one of swish or symba: correct the con",
        ),
        ({"loss": ["threshold"]}, "learning.loss=threshold, but it is"),
        ({"loss": "sbish"}, "learning.loss: must be 'threshold'"),
        ({"T": 9}, r"network.T=9, but it is in \[2, 4\]"),
        ({"T": 2.5}, "network.T: input should be a valid integer"),
        ({"lr": 0.005}, r"learning.lr=0.005, a real number of \[0.001, 0.01\], which is never just that"),
        ({"surrogate": "erf", "T": 3}, "network.T=two different values, but it is in"),
        ({"loss": "swish", "learning.loss": "symba"}, "when names learning.loss twice, as 'learning.loss' too"),
    ],
)
def test_conditions_that_never_hold_are_refused(when, said):
    with pytest.raises(ConfigError, match=said):
        loaded(
            loss={"choice": ["swish", "symba"]}, T={"int": [2, 4]}, lr={"float": [1e-3, 1e-2]},
            surrogate={"choice": ["atan", "erf"], "when": {"T": 2}}, tau={"float": [1.5, 2], "when": when},
        )  # fmt: skip


def test_a_rule_that_is_broken_inside_of_ranges_alone_is_found():
    """Neither end of `alpha` is at fault, and there are more combinations of choices than are tried one by one."""
    choices = {"tau": [1.5 + n / 100 for n in range(20)], "lr": [n / 1000 for n in range(1, 21)]}
    tree = {name: {"choice": values} for name, values in choices.items()}
    with pytest.raises(ConfigError, match=r"the space allows .* which breaks a rule: .*needs T >= 2"):
        loaded(**tree, encoder={"choice": ["direct", "latency"]}, T={"choice": [*range(2, 22), 1]})


@pytest.mark.parametrize("name", ["epochs", "learning.epochs", "seed", "device", "data_dir"])
def test_what_is_the_searchs_own_is_refused(name):
    with pytest.raises(ConfigError, match=r"cannot be searched, but must be the search's own .*: leave it out"):
        Space.parse({"parameters": {name: {"choice": [1, 2]}}})


@pytest.mark.parametrize(("name", "values"), [("dataset", ["digits", "mnist"]), ("data.validation", [0.1, 0.2])])
def test_what_trials_are_compared_on_is_refused(name, values):
    with pytest.raises(ConfigError, match=r"cannot be searched, for trials are compared on the same validation images"):
        Space.parse({"parameters": {name: {"choice": values}}})
