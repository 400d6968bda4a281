"""`--set FIELD=VALUE`: a field that is set is searched no more; and what there is to set."""

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

import ffsnn
from ffsnn.config import RunConfig
from ffsnn.fields import assignments, facts, fields
from ffsnn.validation import ConfigError
from search.cli import app
from search.resolve import from_options
from search.settings import ENVIRONMENT
from spaces import presets, space
from spaces.fixing import fixed
from spaces.space import Space
from tests.search.conftest import refused

SPACE = Space.parse(
    yaml.safe_load("""
base: {data: {dataset: digits}, learning: {batch_size: 64}}
parameters:
  tau: {float: [1.1, 5]}
  loss: {choice: [threshold, swish]}
  theta: {float: [0.02, 0.5], log: true, when: {loss: threshold}}
  alpha: {float: [5, 50], when: {loss: swish}}
  lr: {float: [0.001, 0.01]}
points: [{tau: 2.7, lr: 0.002}, {tau: 3}]
""")
)


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_parameter_that_is_set_leaves_the_space():
    found = fixed(SPACE, assignments(["tau=2", "network.T=6", "data.dataset=fashion_mnist", "widths=[20, 30]"]))
    assert list(found.parameters) == ["learning.loss", "learning.theta", "learning.alpha", "learning.lr"]
    base = found.base
    assert (base.network.tau, base.network.T, base.network.widths) == (2.0, 6, (20, 30))
    assert base.data.dataset == "fashion_mnist"
    assert found.points == ({"learning.lr": 0.002},)
    assert Space.parse(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    ("loss", "left"),
    [("swish", {"learning.alpha"}), ("threshold", {"learning.theta"})],
)
def test_conditions_on_what_is_set_hold_for_good_or_never(loss, left):
    found = fixed(SPACE, {"learning.loss": loss})
    assert set(found.parameters) - {"network.tau", "learning.lr"} >= left
    assert not set(found.parameters) & ({"learning.theta", "learning.alpha"} - left)
    assert all(not parameter.when for parameter in found.parameters.values())
    assert {config.learning.loss for config in map(found.apply, found.probes())} == {loss}


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["--set", "taau=2"], ["'taau' is no field", "did you mean tau?"]),
        (["--set", "network.taau=2"], ["did you mean network.tau?"]),
        (["--set", "tau"], ["FIELD=VALUE", "'tau'"]),
        (["--set", "tau=two"], ["network.tau", "'two'"]),
        (["--set", "tau=0.5"], ["network.tau", "greater than 1"]),
        (["--set", "widths=[1,"], ["YAML", "brackets"]),
        (["--set", "tau=2", "--set", "network.tau=3"], ["network.tau twice"]),
        (["--set", "epochs=3"], ["learning.epochs", "take --epochs"]),
        (["--set", "data_dir=x"], ["take --data-dir"]),
        (["--resume", "x", "--set", "tau=2"], ["leave --set out"]),
    ],
)
def test_what_cannot_be_set(home, arguments, fragments):
    asked = ["search", *([] if "--resume" in arguments else ["digits_smoke"]), *arguments]
    answer = refused(*asked, home=home)
    assert [fragment for fragment in fragments if fragment not in answer] == []
    assert not list(home.glob("mlruns/searches/*"))


def test_a_space_of_which_all_is_set(home):
    sets = [f"--set={name}" for name in ("v_threshold=1", "tau=2", "T=3", "surrogate=atan", "loss=swish")]
    assert "leaves nothing to search" in refused("search", "digits_smoke", *sets, home=home)


def test_a_search_is_asked_for_with_it(home, monkeypatch):
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    names = ("objective", "sampler", "scheduler", "seed", "warm_start", "cold", "trials", "epochs", "address",
             "storage", "tracking_uri", "data_dir", "name", "resume", "use", "trust", "limit", "like")  # fmt: skip
    options = dict.fromkeys(names) | {"home": home, "space": "digits_smoke", "set_fields": ["tau=2"]}
    _, config, goes_on = from_options(options)
    assert not goes_on
    assert config.base.network.tau == 2
    assert "network.tau" not in config.space.parameters


def test_training_takes_it_too(home):
    assert "network.tau" in refused("train", "--set", "tau=0.5", home=home)
    assert "did you mean tau?" in refused("train", "--set", "taau=2", home=home)


# --- what there is ---


def test_every_field_is_listed_with_its_meaning():
    told = {it["path"]: it for it in json.loads(said("fields", "--json"))}
    assert list(told) == fields()
    assert [path for path, it in told.items() if not it["meaning"] or not it["values"]] == []
    assert {path for path, it in told.items() if not it["searchable"]} == {
        "data.dataset", "data.validation", "learning.epochs", "learning.chosen_epoch", "seed", "device", "data_dir",
    }  # fmt: skip
    assert RunConfig().network.tau == told["network.tau"]["default"]
    assert told["network.tau"]["values"] == "float > 1"
    assert facts("network.reset").values == "hard, soft"
    assert facts("learning.momentum").values == "float >= 0, < 1, or null"
    assert facts("network.normalize").values == "list or true or false"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("tau", {"network.tau", "network.decay_input", "network.learn"}),
        ("data.*", {"data.dataset", "data.validation", "data.train_images", "data.window_ms"}),
        ("Membrane", {"network.tau", "network.v_threshold"}),
    ],
)
def test_some_fields_are_listed(pattern, found):
    assert {it["path"] for it in json.loads(said("fields", pattern, "--json"))} == found
    assert all(path in said("fields", pattern) for path in found)


def test_what_ships_is_listed(home):
    assert [line.split(":")[0] for line in said("spaces").splitlines()] == space.names()
    assert [line.split(":")[0] for line in said("presets").splitlines()] == presets.names()
    assert all(len(line) > 30 for line in (said("spaces") + said("presets")).splitlines())
    own = home / "own.yaml"
    own.write_text(said("spaces", "digits_smoke"))
    assert Space.load(own) == Space.load("digits_smoke")
    own.write_text(said("presets", "mnist_fast"))
    assert presets.load(own) == presets.load("mnist_fast")
    assert "one of digits_smoke, " in refused("spaces", "mnits", home=home)
    assert "did you mean tau?" in refused("fields", "taau", home=home)


def test_the_version():
    assert re.fullmatch(r"\d+\.\d+.*", ffsnn.__version__)
    assert said("--version") == f"ffsnn {ffsnn.__version__}\n"


# --- near misses in files ---


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("base: {network: {taau: 2}}", r"base.network.taau: there is no such field, did you mean tau\?"),
        ("base: {learning: {tau: 2}}", r"base.learning.tau: there is no such field, did you mean base.network.tau\?"),
        ("base: {tau: 2}", r"base.tau: there is no such field, did you mean base.network.tau\?"),
        ("budget: {trails: 2}", r"budget.trails: .* did you mean trials\?"),
        ("bugdet: {trials: 2}", r"bugdet: .* did you mean budget\?"),
        ("parameters: {tau: {float: [1.5, 2], lgo: true}}", r"lgo: .* did you mean log\?"),
        ("parameters: {tau: {float: [1.5, 2], prior: {center: 2}}}", r"center: .* did you mean centre\?"),
    ],
)
def test_a_misspelt_field_is_answered_with_the_nearest(text, answer):
    tree = {"parameters": {"T": {"int": [2, 4]}}} | yaml.safe_load(text)
    with pytest.raises(ConfigError, match=answer):
        Space.parse(tree)


def test_a_misspelt_option_is_answered_with_the_nearest(home):
    assert "--trials" in refused("search", "--trails", "3", home=home)
    assert "did you mean search?" in refused("serch", home=home)
    assert "--network.tau" in refused("train", "--network.taau", "2", home=home)
