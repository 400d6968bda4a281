"""The whole input of a training run, validated once, here.

A `RunConfig` is a tree of frozen models. Everything downstream takes its own branch of it (`NetworkConfig`,
`LearningConfig`, ...) and trusts it. YAML in, YAML out, round trip exact.

    config = RunConfig.load("best.yaml")
    config.network.tau          # LIF membrane time constant, in time steps
    config.id                   # the same on every machine and for ever: sha256 of what is not at its default
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import Field, ModelWrapValidatorHandler, ValidationInfo, field_validator, model_validator

from ffsnn.data_config import DataConfig
from ffsnn.datasets.folder import reading_from
from ffsnn.parts import own as own_parts
from ffsnn.parts.registry import ENCODERS, GOODNESS, LAYERS, LOSSES, NEGATIVES, PREDICTIONS, SURROGATES
from ffsnn.validation import Config, ConfigError, parse, read_yaml

ID_VERSION = 2  # of configurations' ids: raised when a default changes
AUGMENTATIONS = ("shift", "rotation", "scaling", "shear", "elastic", "mirror")  # fields that change training images
ADDED = (  # fields since version 1, whose ids were of all fields
    "network.layer", "network.options", "data.window_ms", *(f"learning.{name}" for name in AUGMENTATIONS[1:]),
    "learning.dropout", "learning.average", "learning.negatives_per_image",
)  # fmt: skip


class NetworkConfig(Config):
    """Layers of leaky integrate-and-fire neurons, and what goodness means for them."""

    also: ClassVar[dict[str, str]] = {
        "threshold": "v_threshold", "v_th": "v_threshold", "vth": "v_threshold", "timesteps": "T", "time_steps": "T",
        "num_steps": "T", "n_steps": "T", "steps": "T", "tau_m": "tau", "time_constant": "tau", "hidden": "widths",
        "hidden_size": "widths", "hidden_sizes": "widths", "hidden_layers": "widths", "layer_sizes": "widths",
        "neurons": "widths", "units": "widths", "width": "widths", "encoding": "encoder", "coding": "encoder",
        "surrogate_gradient": "surrogate", "spike_grad": "surrogate", "v_reset": "reset", "normalise": "normalize",
        "layer_norm": "normalize", "kind": "layer", "classifier": "prediction",
    }  # fmt: skip
    layer: Annotated[str, LAYERS] = Field("dense", description="kind of all layers")
    options: dict[str, Any] = Field({}, validate_default=True, description="of a kind of layers that has some")
    widths: tuple[int, ...] = Field((500, 500), min_length=1, description="neurons of each layer")
    T: int = Field(4, ge=1, description="time steps an image is shown for")
    encoder: Annotated[str, ENCODERS] = Field(
        "direct", description="constant current, Bernoulli spikes a step, or one spike, the earlier the brighter"
    )
    label: Literal["in_place", "appended"] = Field(
        "in_place", description="over the first C pixels, or on inputs of its own"
    )
    v_threshold: float = Field(0.5, gt=0, description="membrane potential at which a neuron fires; it rests at 0")
    tau: float = Field(2.0, gt=1, description="membrane time constant, in time steps")
    decay_input: bool = Field(True, description="input charges by 1/tau (True) or by 1 (False) a step")
    reset: Literal["soft", "hard"] = Field("soft", description="after a spike: v - v_threshold, or v = 0")
    detach_reset: bool = Field(False, description="no gradient through the reset")
    surrogate: Annotated[str, SURROGATES] = Field("atan", description="derivative used for the spike")
    surrogate_alpha: float = Field(2.0, gt=0, description="sharpness of the surrogate")
    goodness: Annotated[str, GOODNESS] = Field("mean_square", description="of the firing rates of a layer")
    activity: Literal["rate", "count"] = Field("rate", description="what goodness is of: spikes / T, or spikes")
    between: Literal["spikes", "rate"] = Field(
        "spikes", description="what a layer hands on: its spikes as they are, or its rate, encoded again"
    )
    normalize: bool | tuple[bool, ...] = Field(
        True, description="scale the input of every layer, or of each, to a root mean square of 1, every time step"
    )
    label_amplitude: float = Field(1.0, gt=0, description="input at the label's pixel; an image's white is 1")
    prediction: Annotated[str, PREDICTIONS] = Field("goodness", description="how a label is read from the network")

    @field_validator("options")
    @classmethod
    def _options_of_the_layer(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """All of them, by the kind's own model, so that a configuration is the same however much of them it says."""
        name = info.data.get("layer")
        if name is None:  # which is wrong itself
            return options
        if (model := LAYERS[name].options) is None:
            if options:
                raise ValueError(f"layer={name!r} has no options, but got {options}: leave them out")
            return {}
        return parse(model, options).model_dump(mode="json")

    @model_validator(mode="after")
    def _widths_positive(self) -> Self:
        if min(self.widths) < 1:
            raise ValueError(f"every width must be at least 1, but got widths={list(self.widths)}")
        return self

    @model_validator(mode="after")
    def _encoder_has_time(self) -> Self:
        if (least := ENCODERS[self.encoder].least_T) > self.T:
            raise ValueError(
                f"encoder={self.encoder!r} tells intensities by their time and needs T >= {least}, but got T={self.T}"
            )
        return self

    @model_validator(mode="after")
    def _normalize_per_layer(self) -> Self:
        if isinstance(self.normalize, tuple) and len(self.normalize) != len(self.widths):
            raise ValueError(
                f"normalize must be one value, or one a layer: {len(self.widths)} widths, but got {len(self.normalize)}"
            )
        return self

    @model_validator(mode="after")
    def _prediction_fits(self) -> Self:
        prediction = PREDICTIONS[self.prediction]
        if prediction.hidden > len(self.widths):
            raise ValueError(
                f"prediction={self.prediction!r} needs {_layers(prediction.hidden)}, but got widths={list(self.widths)}"
            )
        if prediction.neutral and self.label == "appended":
            raise ValueError(
                f"prediction={self.prediction!r} shows a neutral label in place, but got label='appended': "
                "take label='in_place' or another prediction"
            )
        return self


class LearningConfig(Config):
    """The local loss of every layer, its negatives, and its optimiser."""

    also: ClassVar[dict[str, str]] = {
        "learning_rate": "lr", "eta": "lr", "step_size": "lr", "batch": "batch_size", "bs": "batch_size",
        "optimizer": "optimiser", "optim": "optimiser", "opt": "optimiser", "n_epochs": "epochs",
        "num_epochs": "epochs", "max_epochs": "epochs", "lr_schedule": "schedule", "scheduler": "schedule",
        "lr_scheduler": "schedule", "l2": "weight_decay", "wd": "weight_decay", "decay": "weight_decay",
        "goodness_threshold": "theta", "dtype": "precision", "amp": "precision", "augment": "shift",
        "augmentation": "shift", "greedy": "layers", "loss_fn": "loss", "loss_function": "loss",
        "negative": "negatives",
    }  # fmt: skip
    loss: Annotated[str, LOSSES] = Field("swish", description="local loss of every layer")
    theta: float | None = Field(None, gt=0, description="goodness threshold, of a loss that has one")
    alpha: float = Field(60.0, gt=0, description="sharpness of the loss; its scale is one over goodness")
    output: Literal["goodness", "mse"] = Field(
        "goodness",
        description="loss of the last layer: as the others', or squared error of its rates to the true label",
    )
    negatives: Annotated[str, NEGATIVES] = Field(
        "table", description="how the wrong label is drawn: by remembered goodness, by fresh goodness, or all alike"
    )
    negatives_per_image: int = Field(
        1, ge=1, description="negative samples a step of each image, with different wrong labels"
    )
    shift: int = Field(
        0, ge=0, le=4, description="pixels by which training images are moved at random, each its own way"
    )
    rotation: float = Field(0.0, ge=0, le=45, description="degrees by which training images are turned at random")
    scaling: float = Field(0.0, ge=0, le=0.5, description="share by which their height and width are changed at random")
    shear: float = Field(0.0, ge=0, le=0.5, description="pixels a row by which they are sheared at random")
    elastic: float = Field(0.0, ge=0, le=4, description="pixels by which they are bent, as a smooth random field")
    mirror: bool = Field(False, description="exchange left and right in half of the training images")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of a layer's neurons, drawn for each image, that the next one is not shown"
    )
    average: int = Field(
        0, ge=0, description="epochs over which weights are averaged, exponentially, before they are validated and kept"
    )
    layers: Literal["together", "greedy"] = Field(
        "together", description="all stepped on each batch, or one after another, an equal share of the epochs each"
    )
    epochs: int = Field(20, ge=1, description="passes over the training images")
    batch_size: int = Field(512, ge=1, description="images a step; each gives a positive and a negative sample")
    optimiser: Literal["adam", "sgd"] = Field("adam", description="of every layer's weights")
    momentum: float | None = Field(None, ge=0, lt=1, description="of sgd; None: 0")
    lr: float = Field(1e-3, gt=0, description="learning rate, at the begin of the schedule")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="of the learning rate: as it is, or down to 0 by half a cosine over all epochs"
    )
    weight_decay: float = Field(0.0, ge=0, description="times the weight, added to its gradient")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the weights in sums and products; pays on a GPU"
    )

    @property
    def copies(self) -> int:
        """Samples of an image in a training step: a positive one and its negative ones."""
        return 1 + self.negatives_per_image

    @model_validator(mode="after")
    def _theta_belongs_to_its_loss(self) -> Self:
        has_theta = LOSSES[self.loss].has_theta
        if has_theta and self.theta is None:
            raise ValueError(f"loss={self.loss!r} needs theta, but got theta=None: set learning.theta, e.g. 0.1")
        if not has_theta and self.theta is not None:
            raise ValueError(
                f"loss={self.loss!r} compares pairs and has no theta, but got theta={self.theta}: "
                "leave theta out, or take loss='threshold'"
            )
        return self

    @model_validator(mode="after")
    def _average_fits_into_the_run(self) -> Self:
        if self.average and self.average >= self.epochs:
            raise ValueError(
                f"average < epochs must hold, for the weights of the last epochs are averaged, but got "
                f"average={self.average} with epochs={self.epochs}: lower it, or take 0"
            )
        return self

    @model_validator(mode="after")
    def _momentum_belongs_to_sgd(self) -> Self:
        if self.momentum is not None and self.optimiser != "sgd":
            raise ValueError(
                f"optimiser={self.optimiser!r} has no momentum, but got momentum={self.momentum}: "
                "leave momentum out, or take optimiser='sgd'"
            )
        return self

    @property
    def set_by_length(self) -> str | None:
        """Reason why epochs of a longer training would be others from the first on; None: it begins with the same."""
        if self.schedule != "constant":
            return f"with schedule={self.schedule} the learning rate of each epoch depends on how many there are"
        if self.layers != "together":
            return f"with layers={self.layers} each layer has an equal share of the epochs"
        return None


class RunConfig(Config):
    """One training run: data, network, learning; where and with which seed it runs."""

    also: ClassVar[dict[str, str]] = {
        "random_state": "seed", "random_seed": "seed", "gpu": "device", "accelerator": "device",
        "training": "learning", "model": "network", "data_folder": "data_dir",
    }  # fmt: skip
    data: DataConfig = Field(default_factory=DataConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    learning: LearningConfig = Field(default_factory=LearningConfig)
    seed: int = Field(0, ge=0, lt=2**31, description="of all randomness: weights, order, encoding, negatives")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: a GPU where there is one")
    data_dir: str | None = Field(None, description="where data sets are kept; None: FFSNN_DATA, else the user's cache")

    @model_validator(mode="wrap")
    @classmethod
    def _own_data_are_in_its_folder(cls, tree: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        with reading_from(tree.get("data_dir") if isinstance(tree, Mapping) else None):
            return handler(tree)

    @model_validator(mode="after")
    def _label_has_room(self) -> Self:
        facts, room = self.data.facts, self.data.facts.inputs // 4
        if self.network.label == "in_place" and not (facts.is_image and facts.classes <= room):
            why = f"which has {facts.inputs} inputs, none to spare" if facts.is_image else "which is no image"
            raise ValueError(
                f"label='in_place' takes {facts.classes} inputs, one a class, of {self.data.dataset}, {why}: take "
                "label='appended'"
            )
        return self

    @model_validator(mode="after")
    def _wrong_labels_suffice(self) -> Self:
        classes, count = self.data.facts.classes, self.learning.negatives_per_image
        if count >= classes:
            raise ValueError(
                f"negatives_per_image <= {classes - 1} wrong labels must hold for {self.data.dataset}, but got "
                f"negatives_per_image={count}"
            )
        return self

    @model_validator(mode="after")
    def _fits_what_is_recorded(self) -> Self:
        facts, name = self.data.facts, self.data.dataset
        if facts.time == "events" and self.network.encoder != "direct":
            raise ValueError(
                f"encoder={self.network.encoder!r} makes spikes, but the events of {name} are spikes already: take "
                "encoder='direct'"
            )
        if facts.temporal and ENCODERS[self.network.encoder].least_T > 1:
            raise ValueError(
                f"encoder={self.network.encoder!r} tells intensities by their time, but {name} is recorded over time "
                "itself: take encoder='direct'"
            )
        if not facts.is_image:
            for field in AUGMENTATIONS:
                if value := getattr(self.learning, field):
                    raise ValueError(
                        f"{field} changes images, but {name} has none, and got {field}={value}: leave it out"
                    )
        return self

    @model_validator(mode="after")
    def _dropout_needs_normalized_inputs(self) -> Self:
        normalize, count = self.network.normalize, len(self.network.widths)
        each = normalize if isinstance(normalize, tuple) else (normalize,) * count
        if self.learning.dropout and not all(each[1:]):
            raise ValueError(
                f"dropout={self.learning.dropout} lowers the input of every later layer, which must be normalized, "
                f"but got normalize={normalize}: take normalize=true, or dropout=0"
            )
        return self

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        images = self.data.trained_on
        if self.learning.batch_size > images:
            raise ValueError(
                f"batch_size <= {images} training images must hold, but got batch_size={self.learning.batch_size}: "
                "lower learning.batch_size"
            )
        return self

    @model_validator(mode="after")
    def _output_layer_fits(self) -> Self:
        classes, widths, name = self.data.facts.classes, list(self.network.widths), self.network.prediction
        mse, prediction = self.learning.output == "mse", PREDICTIONS[name]
        hidden = len(widths) - mse  # layers with goodness
        if mse and widths[-1] != classes:
            raise ValueError(
                f"output='mse' needs a last layer of {classes} neurons, one a class, but got widths={widths}"
            )
        if prediction.one_a_class and widths[-1] != classes:
            raise ValueError(
                f"prediction={name!r} reads one neuron a class and needs a last layer of {classes}, "
                f"but got widths={widths}"
            )
        if prediction.neutral and not mse:
            raise ValueError(
                f"prediction={name!r} reads a trained output layer and needs output='mse', "
                f"but got output={self.learning.output!r}"
            )
        if prediction.hidden > hidden:
            raise ValueError(
                f"prediction={name!r} with output='mse' needs the goodness of {_layers(prediction.hidden)} before the "
                f"last, but got widths={widths}: add a layer, or take prediction='one_pass'"
            )
        if not hidden and NEGATIVES[self.learning.negatives].by_goodness:
            raise ValueError(
                f"negatives={self.learning.negatives!r} needs a layer with goodness, but output='mse' with "
                f"widths={widths} has none: take negatives='uniform'"
            )
        return self

    @model_validator(mode="after")
    def _every_layer_has_an_epoch(self) -> Self:
        if self.learning.layers == "greedy" and self.learning.epochs < len(self.network.widths):
            raise ValueError(
                f"layers='greedy' needs an epoch a layer, but got epochs={self.learning.epochs} "
                f"for widths={list(self.network.widths)}"
            )
        return self

    @property
    def id(self) -> str:
        """sha256 of what data, network and learning have other than their defaults (not of seed, device and paths).

        A field that is added later changes no id, as long as it stands at its default.
        """
        changed = {path: value for path, value in _leaves(self._method()) if value != _DEFAULTS.get(path, _NONE)}
        return _digest({"version": ID_VERSION} | changed)

    @property
    def ids(self) -> tuple[str, ...]:
        """The id, and those that earlier versions gave to the same configuration."""
        method, new = self._method(), dict[str, Any]()
        if self.data.own is not None:
            return (self.id,)
        for path in ADDED:
            branch, leaf = path.split(".")
            new[path] = method[branch].pop(leaf)
        first = () if any(new[path] not in (_DEFAULTS.get(path), {}) for path in ADDED) else (_digest(method),)
        return (self.id, *first)

    def _method(self) -> dict[str, Any]:
        return self.model_dump(mode="json", include={"data", "network", "learning"})

    @classmethod
    def parse(cls, tree: Mapping[str, Any]) -> "RunConfig":
        """Build from a nested mapping.

        Raises:
            ConfigError: one line for every field that breaks a rule.
        """
        return parse(cls, tree)

    @classmethod
    def load(cls, path: str | Path) -> "RunConfig":
        """Read a YAML (or JSON) file. In YAML, which a person writes, `use: [my_parts.py]` names files of parts.

        Raises:
            ConfigError: the file is missing, is no YAML mapping, or breaks a rule; or a file of parts does.
        """
        tree, path = read_yaml(path), Path(path)
        return cls.parse(tree if path.suffix == ".json" else own_parts.use_named(tree, path.parent))

    def yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def replaced(self, changes: Mapping[str, Any]) -> "RunConfig":
        """A copy with dotted fields replaced, e.g. `{"network.tau": 1.5}`, validated anew.

        Raises:
            ConfigError: a field does not exist, or the result breaks a rule.
        """
        tree = self.model_dump(mode="json")
        for path, value in changes.items():
            *branches, leaf = path.split(".")
            node = tree
            for branch in branches:
                node = node.setdefault(branch, {})
                if not isinstance(node, dict):
                    raise ConfigError(f"{path}: there is no such field")
            node[leaf] = value
        return self.parse(tree)


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of a tree's leaves."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield path + key, value


def _digest(tree: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_NONE = object()  # an option of a kind of layers has no default here
_DEFAULTS = dict(_leaves(
    RunConfig.model_construct(
        data=DataConfig.model_construct(), network=NetworkConfig.model_construct(),
        learning=LearningConfig.model_construct(),
    )._method()
))  # fmt: skip


def _layers(number: int) -> str:
    return "one layer" if number == 1 else f"{number} layers"
