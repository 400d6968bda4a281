"""The branch of a configuration that says what the network is."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ffsnn.parts.registry import ENCODERS, FEATURES, GOODNESS, LAYERS, PREDICTIONS, SURROGATES
from ffsnn.validation import Config, parse


class NetworkConfig(Config):
    """Layers of leaky integrate-and-fire neurons, and what goodness means for them."""

    also: ClassVar[dict[str, str]] = {
        "threshold": "v_threshold", "v_th": "v_threshold", "vth": "v_threshold", "timesteps": "T", "time_steps": "T",
        "num_steps": "T", "n_steps": "T", "steps": "T", "tau_m": "tau", "time_constant": "tau", "hidden": "widths",
        "hidden_size": "widths", "hidden_sizes": "widths", "hidden_layers": "widths", "layer_sizes": "widths",
        "neurons": "widths", "units": "widths", "width": "widths", "encoding": "encoder", "coding": "encoder",
        "surrogate_gradient": "surrogate", "spike_grad": "surrogate", "v_reset": "reset", "normalise": "normalize",
        "layer_norm": "normalize", "learnable": "learn", "plif": "learn", "kind": "layer", "classifier": "prediction",
    }  # fmt: skip
    layer: Annotated[str, LAYERS] = Field("dense", description="kind of all layers")
    options: dict[str, Any] = Field({}, validate_default=True, description="of a kind of layers that has some")
    widths: tuple[int, ...] = Field((500, 500), min_length=1, description="neurons of each layer")
    T: int = Field(4, ge=1, description="time steps an image is shown for")
    encoder: Annotated[str, ENCODERS] = Field(
        "direct",
        description="direct: a constant current; centred: the same less its mean; poisson: Bernoulli spikes; latency: "
        "one spike, earlier if brighter",
    )
    features: Annotated[str, FEATURES] = Field(
        "none", description="inputs computed from the pixels, shown beside them; edges: gradients in four orientations"
    )
    label: Literal["in_place", "appended"] = Field(
        "in_place", description="over the first C pixels, or on inputs of its own"
    )
    label_layers: Literal["first", "every"] = Field(
        "first", description="layers that see the label; every: the later ones on inputs of its own"
    )
    v_threshold: float = Field(0.5, gt=0, description="membrane potential at which a neuron fires; it rests at 0")
    tau: float = Field(2.0, gt=1, description="membrane time constant, in time steps")
    learn: Literal["none", "threshold", "tau", "both"] = Field(
        "none", description="what neurons learn beside their weights: v_threshold, tau, or both"
    )
    learn_scope: Literal["layer", "neuron"] = Field(
        "layer", description="of what is learned so: one value a layer, or one a neuron"
    )
    decay_input: bool = Field(True, description="input charges by 1/tau (true) or by 1 (false) a step")
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
    label_amplitude: float = Field(
        1.0, gt=0, description="input at the label's pixel; an image's white and a spike are 1"
    )
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
    def _learn_scope_has_something_to_learn(self) -> Self:
        if self.learn == "none" and self.learn_scope != "layer":
            raise ValueError(
                f"learn='none' learns nothing that learn_scope could be of, but got learn_scope={self.learn_scope!r}: "
                "leave learn_scope out, or take learn='threshold'"
            )
        return self

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

    @property
    def normalized_layers(self) -> tuple[bool, ...]:
        """`normalize` of each layer."""
        return self.normalize if isinstance(self.normalize, tuple) else (self.normalize,) * len(self.widths)

    @model_validator(mode="after")
    def _prediction_fits(self) -> Self:
        prediction = PREDICTIONS[self.prediction]
        if prediction.hidden > len(self.widths):
            raise ValueError(
                f"prediction={self.prediction!r} needs {layers(prediction.hidden)}, but got widths={list(self.widths)}"
            )
        if prediction.neutral and self.label == "appended":
            raise ValueError(
                f"prediction={self.prediction!r} shows a neutral label in place, but got label='appended': "
                "take label='in_place' or another prediction"
            )
        return self


def layers(number: int) -> str:
    """`one layer`, or `3 layers`."""
    return "one layer" if number == 1 else f"{number} layers"
