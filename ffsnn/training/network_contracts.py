"""What layers, negatives and predictions must do, tried out on a small network of digits.

Legend: T time steps, R rows (images), B samples (copies x R), K negative samples of an image, F inputs, H neurons, C
classes.
"""

from typing import Any

import torch

from ffsnn.config import RunConfig
from ffsnn.layer import Input, Layer, LayerKind, LayerOutput
from ffsnn.network import Network
from ffsnn.parts.negatives import Negatives
from ffsnn.parts.predictions import Prediction
from ffsnn.parts.registry import LAYERS, NEGATIVES, PREDICTIONS, Registry
from ffsnn.validation import ConfigError

R, T, CLASSES = 3, 3, 10
TREE: dict[str, Any] = {
    "data": {"dataset": "digits"}, "network": {"T": T, "widths": [12, 8], "v_threshold": 0.2},
    "learning": {"batch_size": R, "alpha": 5.0}, "device": "cpu",
}  # fmt: skip


def layer(kind: LayerKind) -> str | None:
    """The rule that a kind of layers breaks, in words; None: none, or it cannot be had with the options' defaults."""
    try:
        config = RunConfig.parse(TREE | {"network": TREE["network"] | {"layer": _name(LAYERS, kind)}})
        kind.shapes(config)
    except ConfigError:
        return None  # it needs something that only its user knows
    network, again = Network(config), Network(config)
    seen = Input(network.encode(_images(config), _generator()))
    labels = torch.arange(2 * R).view(2, R) % CLASSES
    for number, layer in enumerate(network.each_layer):
        if wrong := _unlike(layer, again.each_layer[number]) or _answer(network, number, seen, labels):
            return f"{wrong} (layer {number} of {len(network.each_layer)})"
        with torch.no_grad():
            seen = network.hand_on(network.show(number, seen, labels), _generator())
    return None


def negatives(kind: type[Negatives]) -> str | None:
    """The rule that a kind of negatives breaks, in words; None: none."""
    y = torch.arange(R) % CLASSES
    for K in (1, CLASSES - 1):
        learning = {"negatives": _name(NEGATIVES, kind), "negatives_per_image": K}
        config = RunConfig.parse(TREE | {"learning": TREE["learning"] | learning})
        images, drawn = _images(config), list[object]()
        for _ in range(2):
            drawer = kind(Network(config), config.learning, R, images.device)
            drawn.append(drawer.draw(torch.arange(R), images, y, _generator))
        wrong, again = drawn
        asked = f"wrong labels (K, B) for K = {K} and {R} images"
        if not isinstance(wrong, torch.Tensor) or tuple(wrong.shape) != (K, R) or wrong.is_floating_point():
            got = f"{wrong.dtype} {tuple(wrong.shape)}" if isinstance(wrong, torch.Tensor) else type(wrong).__name__
            return f"must draw {asked}, whole numbers, but drew {got}"
        if wrong.min() < 0 or wrong.max() >= CLASSES or (wrong == y).any():
            return f"must draw {asked}, but drew {wrong.T.tolist()} for the true ones {y.tolist()} of {CLASSES} classes"
        if any(len(set(labels)) < K for labels in wrong.T.tolist()):
            return f"must draw different {asked}, but drew {wrong.T.tolist()}"
        assert isinstance(again, torch.Tensor)
        if not torch.equal(wrong, again):
            return "must draw by the generators that it is given, but drew others the second time"
        drawer.learn(torch.arange(R), wrong, torch.zeros(K, R))
        if any(not isinstance(value, torch.Tensor) for value in drawer.state.values()):
            return "must keep tensors alone in its state"
    return None


def prediction(part: Prediction) -> str | None:
    """The rule that a prediction breaks, in words; None: none."""
    output = "mse" if part.neutral else "goodness"
    network = {"widths": [12, 8, CLASSES], "prediction": _name(PREDICTIONS, part)}
    config = RunConfig.parse(
        TREE | {"network": TREE["network"] | network, "learning": TREE["learning"] | {"output": output}}
    )
    scores: object = Network(config).scores(_images(config))
    wanted = f"scores (B, C) = ({R}, {CLASSES}) of {R} images"
    if not isinstance(scores, torch.Tensor) or tuple(scores.shape) != (R, CLASSES):
        return f"must give {wanted}, but gave {tuple(getattr(scores, 'shape', ())) or type(scores).__name__}"
    if scores.isnan().any() or not scores.amax(1).isfinite().all():
        return "must give each image a largest score, but gave some that are NaN, infinite or -inf for all labels"
    if not torch.equal(scores, Network(config).scores(_images(config))):
        return "must give the same scores each time, for the noise that it is given"
    return None


def _name(parts: Registry[Any], part: object) -> str:
    return next(name for name in parts if parts[name] is part)


def _generator(*purpose: object) -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _images(config: RunConfig) -> torch.Tensor:
    return torch.randint(0, 256, (R, config.data.facts.inputs), generator=_generator()).to(torch.uint8)


def _unlike(layer: Layer, twin: Layer) -> str | None:
    for mine, its in zip(layer.parameters(), twin.parameters(), strict=True):
        if not torch.equal(mine, its):
            return (
                "must draw its weights from the generator that `initialise` is given, but drew others the second time"
            )
    return None


def _answer(network: Network, number: int, seen: Input, labels: torch.Tensor) -> str | None:
    """The first thing wrong with a layer's answer, its loss or a step of its optimiser."""
    layer, more = network.each_layer[number], number + 1 < len(network.each_layer)
    B, H = labels.numel(), network.shapes[number].width
    answer: object = network.show(number, seen, labels, rates=True, loss=True)
    if not isinstance(answer, LayerOutput):
        return f"must give a LayerOutput, but gave {type(answer).__name__}"
    wanted = {"rates": (B, H), "firing": (), "loss": ()}
    wanted |= ({"spikes": (T, B, H)} if more else {}) | ({} if layer.reads_out else {"goodness": (B,)})
    for name, shape in wanted.items():
        given = getattr(answer, name)
        if not isinstance(given, torch.Tensor) or tuple(given.shape) != shape:
            got = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
            return f"must give {name} of shape {shape} for {R} images under 2 labels each, but gave {got}"
        if not given.detach().float().isfinite().all():
            return f"gives {name} that are not finite"
    if answer.rates.min() < 0 or answer.rates.max() > 1:
        return f"must give rates from 0 to 1, but gave {answer.rates.min():.3g} to {answer.rates.max():.3g}"
    assert answer.loss is not None
    if not answer.loss.requires_grad:
        return "has a loss without a gradient"
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    optimiser = layer.optimiser()
    optimiser.forget_gradient()
    answer.loss.backward()
    optimiser.step()
    if all(torch.equal(*pair) for pair in zip(before, layer.parameters(), strict=True)):
        return "has an optimiser whose step changes no weight"
    return None
