"""Every rule of the configuration, its round trip through YAML, and its identity."""

from pathlib import Path
from typing import Any

import pytest

from ffsnn.config import RunConfig, identity
from ffsnn.config.run import OPTIONAL_FOR_LAYERS
from ffsnn.fields import aliases, fields
from ffsnn.layer import LayerKind
from ffsnn.parts.registry import LAYERS
from ffsnn.validation import ConfigError

DIGITS: dict[str, Any] = {"data": {"dataset": "digits"}, "learning": {"batch_size": 64}}
DEFAULT_ID = "732322c128ed67841ef5aa42c7cd04ffcd74a61b2d17d710cd502b713d62930d"
FIRST_ID = "dc2d5de376c8adfe88a8189d7cb178cf179995d109ecc185a47a030be82670c2"  # of version 1, which hashed all fields

# A valid change of every field that defines the method.
METHOD: dict[str, Any] = {
    "data.dataset": "kmnist",
    "data.validation": 0.2,
    "data.train_images": 1000,
    "network.widths": [500, 10],
    "network.T": 5,
    "network.encoder": "latency",
    "network.label": "appended",
    "network.v_threshold": 0.5000000000000001,
    "network.tau": 1.5,
    "network.decay_input": False,
    "network.reset": "hard",
    "network.detach_reset": True,
    "network.surrogate": "erf",
    "network.surrogate_alpha": 2.5,
    "network.goodness": "mean",
    "network.activity": "count",
    "network.between": "rate",
    "network.normalize": (True, False),
    "network.label_amplitude": 2.0,
    "network.prediction": "largest_rate",
    "learning.loss": "symba",
    "learning.theta": 0.1,
    "learning.alpha": 61.0,
    "learning.output": "mse",
    "learning.negatives": "fresh",
    "learning.shift": 2,
    "learning.layers": "greedy",
    "learning.epochs": 21,
    "learning.batch_size": 513,
    "learning.optimiser": "sgd",
    "learning.momentum": 0.9,
    "learning.lr": 2e-3,
    "learning.schedule": "constant",
    "learning.weight_decay": 1e-4,
    "learning.precision": "bfloat16",
}
# What some of them need of other fields.
NEEDS: dict[str, dict[str, Any]] = {
    "learning.theta": {"learning.loss": "threshold", "learning.theta": 0.2},
    "learning.momentum": {"learning.optimiser": "sgd"},
    "learning.output": {"network.widths": [500, 10]},
    "network.prediction": {"network.widths": [500, 10]},
}
NOT_METHOD: dict[str, Any] = {"seed": 7, "device": "cpu", "data_dir": "/data"}


def tree(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return dict(value)


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(),
        RunConfig.parse(DIGITS),
        RunConfig.parse({"learning": {"loss": "threshold", "theta": 0.1 + 0.2, "lr": 1e-7}, "data_dir": "null"}),
        RunConfig.parse({"network": {"widths": [7], "tau": 1.0000000000000002}, "data_dir": "no: #\n1e3", "seed": 5}),
        RunConfig().replaced({path: value for path, value in METHOD.items() if path != "learning.theta"}),
    ],
    ids=range(5),
)
def test_yaml_round_trip_is_exact(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(config.yaml())
    again = RunConfig.load(path)
    assert again == config
    assert again.id == config.id
    assert again.yaml() == config.yaml()
    path.with_suffix(".json").write_text(config.model_dump_json())
    assert RunConfig.load(path.with_suffix(".json")) == config


def test_the_id_is_the_same_everywhere_and_always() -> None:
    """Old runs are found by it: a change of this literal orphans them."""
    assert RunConfig().id == DEFAULT_ID
    assert RunConfig().ids == (DEFAULT_ID, FIRST_ID)


def test_ids_of_other_than_defaults_are_the_same_everywhere_and_always() -> None:
    changed = RunConfig().replaced({"network.tau": 1.5, "network.widths": [300], "data.dataset": "digits"})
    assert changed.ids == (
        "72513e6070a7f811559880fe49dc2b42ff629c26551e0b48bd410b6808351060",
        "1167ca788735f2e12779a46d4422d46ddb80b2284a82bf180cc25cdf85b3c5dd",
    )


def test_a_field_that_is_added_changes_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it stands at its default; without it, an older version gave the same."""
    before = RunConfig().replaced({"network.tau": 1.5}).id
    monkeypatch.setitem(identity.DEFAULTS, "network.later", 7)
    method = RunConfig._method

    def with_one_more(self: RunConfig) -> dict[str, Any]:
        tree = method(self)
        return tree | {"network": tree["network"] | {"later": 7}}

    monkeypatch.setattr(RunConfig, "_method", with_one_more)
    assert RunConfig().replaced({"network.tau": 1.5}).id == before


def test_every_field_is_known_to_belong_to_the_method_or_not() -> None:
    assert {*METHOD, *NOT_METHOD, *identity.ADDED} == {*fields(), "network.options"}


@pytest.mark.parametrize("path", NOT_METHOD)
def test_the_id_ignores_where_and_how_often_it_runs(path: str) -> None:
    changed = RunConfig().replaced({path: NOT_METHOD[path]})
    assert changed != RunConfig()
    assert changed.id == DEFAULT_ID


@pytest.mark.parametrize("path", METHOD)
def test_the_id_knows_every_field_of_the_method(path: str) -> None:
    base = RunConfig().replaced(NEEDS.get(path, {}))
    assert base.replaced({path: METHOD[path]}).id != base.id


def test_the_id_does_not_depend_on_how_a_value_is_written() -> None:
    written = RunConfig.parse({"learning": {"lr": "1e-3", "alpha": 60}, "network": {"widths": (500, 500), "tau": 2}})
    assert written.id == DEFAULT_ID


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("learning_rate", 1, r"^learning_rate: there is no such field, did you mean learning.lr\?$"),
        ("network.taus", 2.0, r"^network\.taus: there is no such field, did you mean tau\?$"),
        ("data.dataset", "cifar10", r"^data\.dataset: .*'mnist'.*'digits'.*, but got 'cifar10'"),
        ("data.validation", -0.1, r"^data\.validation: .*greater than or equal to 0, but got -0\.1$"),
        ("data.validation", 1.0, r"^data\.validation: .*less than 1, but got 1"),
        ("data.train_images", 0, r"^data\.train_images: .*but got 0$"),
        (
            "data.train_images",
            1294,
            r"train_images <= 1293 must hold for digits with validation=0.1, but got 1294: lower",
        ),
        ("data", None, r"^data: .*but got None$"),
        ("network.widths", [], r"^network\.widths: .*at least 1 item"),
        ("network.widths", [5, 0], r"every width must be at least 1, but got widths=\[5, 0\]"),
        ("network.widths", "500", r"^network\.widths: .*but got '500'$"),
        ("network.T", 0, r"^network\.T: .*greater than or equal to 1, but got 0$"),
        ("network.T", 2.5, r"^network\.T: .*integer.*but got 2\.5$"),
        ("network.encoder", "rate", r"^network\.encoder: must be 'direct', .* or 'latency', but got 'rate': parts of"),
        ("network.label", "top_left", r"^network\.label: .*'in_place' or 'appended', but got 'top_left'$"),
        ("network.v_threshold", 0, r"^network\.v_threshold: .*greater than 0, but got 0$"),
        ("network.tau", 1.0, r"^network\.tau: .*greater than 1, but got 1\.0$"),
        ("network.tau", "fast", r"^network\.tau: .*number.*but got 'fast'$"),
        ("network.decay_input", "maybe", r"^network\.decay_input: .*but got 'maybe'$"),
        ("network.reset", "none", r"^network\.reset: .*'soft' or 'hard', but got 'none'$"),
        ("network.surrogate", "relu", r"^network\.surrogate: .*but got 'relu': parts of"),
        ("network.surrogate_alpha", 0, r"^network\.surrogate_alpha: .*greater than 0"),
        ("network.goodness", "sum", r"^network\.goodness: .*but got 'sum': parts of"),
        ("network.activity", "sum", r"^network\.activity: .*'rate' or 'count', but got 'sum'$"),
        ("network.between", "counts", r"^network\.between: .*'spikes' or 'rate', but got 'counts'$"),
        ("network.normalize", "maybe", r"^network\.normalize.*but got 'maybe'"),
        ("network.prediction", "softmax", r"^network\.prediction: .*'two_pass', but got 'softmax': parts of"),
        ("network.label_layers", "last", r"^network\.label_layers: .*'first' or 'every', but got 'last'$"),
        ("network.label_amplitude", 0, r"^network\.label_amplitude: .*greater than 0"),
        ("learning.loss", "hinge", r"^learning\.loss: .*but got 'hinge': parts of"),
        ("learning.theta", 0.1, r"loss='swish' compares pairs and has no theta, but got theta=0\.1: leave theta out"),
        ("learning", {"loss": "symba", "theta": 0.1}, r"loss='symba' compares pairs and has no theta"),
        ("learning.loss", "threshold", r"loss='threshold' needs theta, but got theta=None: set learning\.theta"),
        ("learning", {"loss": "threshold", "theta": 0}, r"^learning\.theta: .*greater than 0, but got 0$"),
        ("learning.alpha", -1, r"^learning\.alpha: .*greater than 0, but got -1$"),
        ("learning.output", "softmax", r"^learning\.output: .*'goodness' or 'mse', but got 'softmax'$"),
        (
            "learning.negatives",
            "hard",
            r"^learning\.negatives: .*'table', 'fresh' or 'uniform', but got 'hard': parts of",
        ),
        ("learning.shift", -1, r"^learning\.shift: .*greater than or equal to 0, but got -1$"),
        ("learning.shift", 5, r"^learning\.shift: .*less than or equal to 4, but got 5$"),
        ("learning.shift", 0.5, r"^learning\.shift: .*integer.*but got 0\.5$"),
        ("learning.rotation", 46, r"^learning\.rotation: .*less than or equal to 45, but got 46$"),
        ("learning.scaling", 0.6, r"^learning\.scaling: .*less than or equal to 0\.5, but got 0\.6$"),
        ("learning.shear", -0.1, r"^learning\.shear: .*greater than or equal to 0, but got -0\.1$"),
        ("learning.elastic", 5, r"^learning\.elastic: .*less than or equal to 4, but got 5$"),
        ("learning.mirror", "up", r"^learning\.mirror: .*but got 'up'$"),
        ("learning.dropout", 1, r"^learning\.dropout: .*less than 1, but got 1$"),
        ("learning.label_smoothing", 1, r"^learning\.label_smoothing: .*less than 1, but got 1$"),
        ("learning.rate_penalty", -0.1, r"^learning\.rate_penalty: .*greater than or equal to 0, but got -0\.1$"),
        ("learning.warmup", -1, r"^learning\.warmup: .*greater than or equal to 0, but got -1$"),
        ("learning.restarts", 0.5, r"^learning\.restarts: .*integer.*but got 0\.5$"),
        ("learning.average", -1, r"^learning\.average: .*greater than or equal to 0, but got -1$"),
        ("learning.average", 20, r"average < epochs must hold, .*, but got average=20 with epochs=20: lower it, or ta"),
        ("learning.layers", "alone", r"^learning\.layers: .*'together' or 'greedy', but got 'alone'$"),
        ("learning.optimiser", "adamw", r"^learning\.optimiser: .*'adam' or 'sgd', but got 'adamw'$"),
        ("learning", {"optimiser": "sgd", "momentum": 1.0}, r"^learning\.momentum: .*less than 1, but got 1\.0$"),
        ("learning.epochs", 0, r"^learning\.epochs: .*but got 0$"),
        ("learning.batch_size", 0, r"^learning\.batch_size: .*but got 0$"),
        ("learning.batch_size", 1294, r"batch_size <= 1293 training images must hold, but got batch_size=1294: lower"),
        ("learning.lr", 0, r"^learning\.lr: .*greater than 0, but got 0$"),
        ("learning.weight_decay", -1e-9, r"^learning\.weight_decay: .*but got -1e-09$"),
        ("learning.schedule", "step", r"^learning\.schedule: .*but got 'step'$"),
        ("learning.precision", "float16", r"^learning\.precision: .*but got 'float16'$"),
        ("seed", -1, r"^seed: .*but got -1$"),
        ("seed", 2**31, r"^seed: .*but got 2147483648$"),
        ("device", "tpu", r"^device: .*but got 'tpu'$"),
    ],
)
def test_a_broken_rule_says_the_field_the_rule_and_the_value(path: str, value: Any, message: str) -> None:
    broken = tree(path, value)
    merged = {
        key: DIGITS.get(key, {}) | broken.get(key, {})
        for key in ("data", "learning")
        if broken.get(key, {}) is not None
    }
    with pytest.raises(ConfigError, match=message) as error:
        RunConfig.parse(broken | merged)
    assert "\n" not in str(error.value)


MSE: dict[str, Any] = {"learning.output": "mse"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning.momentum": 0.9}, r"optimiser='adam' has no momentum, but got momentum=0\.9: .*optimiser='sgd'$"),
        ({"learning.momentum": 0.0}, r"optimiser='adam' has no momentum, but got momentum=0\.0: "),
        ({"network.encoder": "latency", "network.T": 1}, r"encoder='latency' .* needs T >= 2, but got T=1$"),
        ({"network.normalize": [True]}, r"normalize must be one value, or one a layer: 2 widths, but got 1$"),
        ({"network.normalize": [True] * 3}, r"normalize must be one value, or one a layer: 2 widths, but got 3$"),
        (MSE, r"output='mse' needs a last layer of 10 neurons, one a class, but got widths=\[500, 500\]$"),
        *(
            (
                {"network.prediction": prediction},
                rf"prediction='{prediction}' .* needs a last layer of 10, but got widths=\[500, 500\]$",
            )
            for prediction in ("largest_rate", "one_pass", "two_pass")
        ),
        *(
            (
                {"network.prediction": prediction, "network.widths": [500, 10]},
                rf"prediction='{prediction}' .* needs output='mse', but got output='goodness'$",
            )
            for prediction in ("one_pass", "two_pass")
        ),
        *(
            (
                MSE | {"network.prediction": prediction, "network.widths": [500, 10], "network.label": "appended"},
                rf"prediction='{prediction}' .* but got label='appended': take label='in_place' or another prediction$",
            )
            for prediction in ("one_pass", "two_pass")
        ),
        *(
            (
                MSE | {"network.prediction": prediction, "network.widths": [10]},
                rf"prediction='{prediction}' with output='mse' needs .* one layer .* widths=\[10\]: add a layer",
            )
            for prediction in ("goodness", "two_pass")
        ),
        (
            {"network.prediction": "goodness_after_first", "network.widths": [500]},
            r"prediction='goodness_after_first' needs 2 layers, but got widths=\[500\]$",
        ),
        (
            MSE | {"network.prediction": "goodness_after_first", "network.widths": [500, 10]},
            r"prediction='goodness_after_first' with output='mse' needs the goodness of 2 layers before the last, "
            r"but got widths=\[500, 10\]: add a layer",
        ),
        (
            MSE | {"network.prediction": "one_pass", "network.widths": [10], "learning.negatives": "fresh"},
            r"negatives='fresh' needs a layer with goodness, but output='mse' with widths=\[10\] has none: "
            r"take negatives='uniform'$",
        ),
        (
            {"learning.dropout": 0.2, "network.normalize": [True, False]},
            r"dropout=0\.2 lowers the input of every later layer, which must be normalized, but got normalize=",
        ),
        (
            {"learning.negatives_per_image": 10},
            r"negatives_per_image <= 9 wrong labels must hold for mnist, but got negatives_per_image=10$",
        ),
        (
            {"learning.schedule": "constant", "learning.restarts": 1},
            r"schedule='constant' has nothing to begin anew, but got restarts=1: leave restarts out, or take schedule=",
        ),
        ({"learning.warmup": 20}, r"^warmup < 20 must hold, epochs, but got warmup=20: lower it, or raise epochs$"),
        (
            {"learning.warmup": 10, "learning.layers": "greedy"},
            r"^warmup < 10 must hold, a layer's share of epochs=20, but got warmup=10: lower it",
        ),
        (
            {"learning.warmup": 0.5, "learning.restarts": 19},
            r"^each of restarts \+ 1 cosines needs an epoch, but got restarts=19 for 19\.5 epochs behind the warm-up",
        ),
        (
            {"learning.layers": "greedy", "learning.epochs": 1},
            r"layers='greedy' needs an epoch a layer, but got epochs=1 for widths=\[500, 500\]$",
        ),
    ],
)
def test_choices_that_exclude_each_other_are_refused_naming_both(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        RunConfig().replaced(changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"network.encoder": "latency", "network.T": 2},
        {"network.normalize": [False, True]},
        {"network.normalize": [False, True], "learning.dropout": 0.2},
        {"learning.average": 19},
        {"learning.negatives_per_image": 9, "learning.loss": "softmax"},
        {"network.prediction": "goodness_after_first"},
        {"network.prediction": "largest_rate", "network.widths": [10]},
        {"network.prediction": "largest_rate", "network.widths": [10], "network.label": "appended"},
        MSE | {"network.prediction": "one_pass", "network.widths": [10]},
        MSE | {"network.prediction": "largest_rate", "network.widths": [10]},
        MSE | {"network.prediction": "two_pass", "network.widths": [500, 10], "learning.negatives": "fresh"},
        MSE | {"network.prediction": "goodness_after_first", "network.widths": [500, 500, 10]},
        {"learning.layers": "greedy", "learning.epochs": 2},
        {"learning.warmup": 19.9},
        {"learning.restarts": 18, "learning.warmup": 1},
        {"learning.optimiser": "sgd"},
        {"learning.optimiser": "sgd", "learning.momentum": 0.0},
    ],
)
def test_what_just_fits_is_taken(changes: dict[str, Any]) -> None:
    config = RunConfig().replaced(changes)
    assert RunConfig.parse(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "-inf"])
@pytest.mark.parametrize("path", [path for path, value in METHOD.items() if isinstance(value, float)])
def test_numbers_are_finite(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{path}: .*finite number, but got "):
        RunConfig.parse(tree(path, value))


def test_fewer_training_images_bound_the_batch() -> None:
    with pytest.raises(ConfigError, match=r"batch_size <= 100 training images must hold, but got batch_size=128"):
        RunConfig.parse({"data": {"train_images": 100}, "learning": {"batch_size": 128}})


def test_validation_holds_out_an_image_at_least() -> None:
    with pytest.raises(ConfigError, match="validation"):
        RunConfig.parse({"data": {"dataset": "digits", "validation": 1e-4}, "learning": {"batch_size": 64}})


def test_every_broken_rule_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"network\.tau: .*; learning\.lr: "):
        RunConfig.parse({"network": {"tau": 0.5}, "learning": {"lr": -1}})


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunConfig().seed = 1  # type: ignore[misc]


def test_aliases_are_distinct_and_name_every_field() -> None:
    assert len(aliases()) == len(fields())
    assert list(aliases().values()) == fields()
    assert aliases()["tau"] == "network.tau"
    assert aliases()["alpha"] == "learning.alpha"
    assert aliases()["seed"] == "seed"


def test_replaced_changes_what_it_is_told_and_nothing_else() -> None:
    config = RunConfig.parse(DIGITS)
    changed = config.replaced({"network.tau": 1.5, "seed": 3})
    assert (changed.network.tau, changed.seed) == (1.5, 3)
    assert changed.replaced({"network.tau": 2.0, "seed": 0}) == config
    assert config == RunConfig.parse(DIGITS)


@pytest.mark.parametrize("path", ["network.taus", "nowhere", "nowhere.tau", "tau"])
def test_replacing_a_field_that_does_not_exist_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no such field"):
        RunConfig().replaced({path: 1.5})


def test_replacing_below_a_leaf_is_refused() -> None:
    with pytest.raises(ConfigError):
        RunConfig().replaced({"network.tau.x": 1.5})


def test_replacing_by_a_broken_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^network\.tau: .*but got 0\.5$"):
        RunConfig().replaced({"network.tau": 0.5})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n- 2\n", r"run\.yaml must hold a mapping, but holds list$"),
        (b"", r"run\.yaml must hold a mapping, but holds NoneType$"),
        (b"network: {tau: 2.0\n", r"^cannot read .*run\.yaml: "),
        (b"\xff\xfe\x00", r"^cannot read .*run\.yaml: "),
        (b"network: {tau: 0.5}\n", r"^network\.tau: .*but got 0\.5$"),
        (b"network: !!python/object/apply:os.getcwd []\n", r"^cannot read .*run\.yaml: "),
    ],
)
def test_a_file_that_holds_no_configuration_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        RunConfig.load(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot read .*missing\.yaml: "):
        RunConfig.load(tmp_path / "missing.yaml")


@pytest.mark.parametrize("path", OPTIONAL_FOR_LAYERS)
def test_what_a_kind_of_layers_does_not_mind_is_refused(path: str) -> None:
    """A kind of one's own from before there was the field would pass over it in silence."""
    dense = LAYERS["dense"]
    LAYERS.add("older", LayerKind(dense.shapes, dense.build))
    values = {"network.features": "edges", "network.label_layers": "every", "network.learn": "tau"}
    value = values.get(path, 0.1)  # of learning.rate_penalty
    try:
        RunConfig().replaced({path: value})
        with pytest.raises(
            ConfigError, match=rf"^layer='older' does not support {path.partition('.')[2]}, but got .*: leave"
        ):
            RunConfig().replaced({path: value, "network.layer": "older"})
    finally:
        LAYERS.forget(LAYERS.origin("older"))
