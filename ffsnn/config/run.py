"""The configuration of a training run, and the rules that its branches keep together.

config = RunConfig.load("best.yaml")
config.network.tau          # LIF membrane time constant, in time steps
config.id                   # the same on every machine and for ever: sha256 of what is not at its default
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from pydantic import Field, ModelWrapValidatorHandler, model_validator

from ffsnn.config import identity
from ffsnn.config.data import DataConfig
from ffsnn.config.learning import AUGMENTATIONS, LearningConfig
from ffsnn.config.network import NetworkConfig, layers
from ffsnn.datasets.folder import reading_from
from ffsnn.parts import own as own_parts
from ffsnn.parts.registry import ENCODERS, FEATURES, LAYERS, NEGATIVES, PREDICTIONS
from ffsnn.validation import Config, ConfigError, parse, read_yaml

# Fields that each kind of layers has to mind by itself, by path.
OPTIONAL_FOR_LAYERS = ("network.features", "network.label_layers", "network.learn", "learning.rate_penalty")


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
    data_dir: str | None = Field(None, description="where data sets are kept; null: FFSNN_DATA, else the user's cache")

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
                f"encoder={self.network.encoder!r} is for intensities, but the events of {name} are spikes already: "
                "take encoder='direct'"
            )
        if facts.temporal and ENCODERS[self.network.encoder].least_T > 1:
            raise ValueError(
                f"encoder={self.network.encoder!r} tells intensities by their time, but {name} is recorded over time "
                "itself: take encoder='direct'"
            )
        features = self.network.features
        if (features != "none" and facts.temporal) or (FEATURES[features].of_images and not facts.is_image):
            has = "is recorded over time" if facts.temporal else "has none"
            raise ValueError(f"features={features!r} are of images, but {name} {has}: leave features out")
        if not facts.is_image:
            for field in AUGMENTATIONS:
                if value := getattr(self.learning, field):
                    raise ValueError(
                        f"{field} changes images, but {name} has none, and got {field}={value}: leave it out"
                    )
        return self

    @model_validator(mode="after")
    def _dropout_needs_normalized_inputs(self) -> Self:
        if self.learning.dropout and not all(self.network.normalized_layers[1:]):
            raise ValueError(
                f"dropout={self.learning.dropout} lowers the input of every later layer, which must be normalized, "
                f"but got normalize={self.network.normalize}: take normalize=true, or dropout=0"
            )
        return self

    @model_validator(mode="after")
    def _layer_supports_it(self) -> Self:
        for path in OPTIONAL_FOR_LAYERS:
            branch, _, name = path.partition(".")
            config: Config = getattr(self, branch)
            value, kind = getattr(config, name), self.network.layer
            if value != type(config).model_fields[name].default and path not in LAYERS[kind].supports:
                raise ValueError(f"layer={kind!r} does not support {name}, but got {name}={value!r}: leave it out")
        return self

    @model_validator(mode="after")
    def _final_fit_follows_a_choice(self) -> Self:
        share, epoch = self.data.validation, self.learning.chosen_epoch
        if share == 0 and epoch is None:
            raise ValueError(
                "validation=0 is a final fit, which stops after an epoch that was chosen before, but got "
                "chosen_epoch=None: take it from a run (ffsnn train RUN --final) or a search (ffsnn retrain NAME "
                "--final)"
            )
        if share and epoch is not None:
            raise ValueError(
                f"chosen_epoch={epoch} is of a final fit, which holds no images out, but got validation={share}: "
                "take validation=0, or leave chosen_epoch out"
            )
        return self

    @property
    def is_final(self) -> bool:
        """True for a final fit: all training images are trained on, and none is left to validate with."""
        return self.data.validation == 0

    @property
    def final_fit(self) -> str:
        """A final fit in words; empty: it is none."""
        if not self.is_final:
            return ""
        learning = self.learning
        return (
            f"trained on all {self.data.trained_on:,} {self.data.facts.noun} up to epoch {learning.last_epoch} of "
            f"{learning.epochs}; no validation accuracy"
        )

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        images, noun = self.data.trained_on, self.data.facts.noun
        if self.learning.batch_size > images:
            raise ValueError(
                f"batch_size <= {images} training {noun} must hold, but got batch_size={self.learning.batch_size}: "
                "lower learning.batch_size"
            )
        if self.learning.largest_batch > images:
            raise ValueError(
                f"batches of at most {images} training {noun} must be grown to, but got "
                f"batch_growth={self.learning.batch_growth} with batch_size={self.learning.batch_size}, which come to "
                f"{self.learning.largest_batch}: lower one of them"
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
                f"prediction={name!r} with output='mse' needs the goodness of {layers(prediction.hidden)} before the "
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

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        learning, greedy = self.learning, self.learning.layers == "greedy"
        share = learning.epochs // len(self.network.widths) if greedy else learning.epochs  # the shortest of a layer
        whose = f"a layer's share of epochs={learning.epochs}" if greedy else "epochs"
        if learning.warmup >= share:
            raise ValueError(
                f"warmup < {share} must hold, {whose}, but got warmup={learning.warmup:g}: lower it, or raise epochs"
            )
        if learning.restarts and learning.restarts + 1 > share - learning.warmup:
            raise ValueError(
                f"each of restarts + 1 cosines needs an epoch, but got restarts={learning.restarts} for "
                f"{share - learning.warmup:g} epochs behind the warm-up: lower it, or raise epochs"
            )
        return self

    @property
    def id(self) -> str:
        """sha256 of what data, network and learning have other than their defaults (not of seed, device and paths).

        A field that is added later changes no id, as long as it stands at its default.
        """
        return identity.id_of(self._method())

    @property
    def ids(self) -> tuple[str, ...]:
        """The id, and those that earlier versions gave to the same configuration."""
        return (self.id, *identity.earlier_ids(self._method()))

    @property
    def frames(self) -> int:
        """Time steps that its data are cut into: T of recordings, one of images, which do not depend on T."""
        return self.network.T if self.data.facts.temporal else 1

    def _method(self) -> identity.Tree:
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
