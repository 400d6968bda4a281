"""What a kind of layers must do, tried out by a few steps of a small network of digits.

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons.
"""

from typing import Any

import torch

from ffsnn.config import RunConfig
from ffsnn.layer import Input, Layer, LayerKind, LayerOutput
from ffsnn.network import Network
from ffsnn.parts.registry import LAYERS
from ffsnn.validation import ConfigError

R, T, CLASSES = 3, 3, 10
TREE: dict[str, Any] = {
    "data": {"dataset": "digits"}, "network": {"T": T, "widths": [12, 8], "v_threshold": 0.2},
    "learning": {"batch_size": R, "alpha": 5.0}, "device": "cpu",
}  # fmt: skip


def broken(kind: LayerKind) -> str | None:
    """The rule that a kind breaks, in words; None: it breaks none, or cannot be had with the options' defaults."""
    name = next(name for name in LAYERS if LAYERS[name] is kind)
    try:
        config = RunConfig.parse(TREE | {"network": TREE["network"] | {"layer": name}})
        kind.shapes(config)
    except ConfigError:
        return None  # it needs something that only its user knows
    network, again = Network(config), Network(config)
    images = torch.randint(0, 256, (R, config.data.facts.inputs), generator=torch.Generator().manual_seed(0))
    seen = Input(network.encode(images.to(torch.uint8), torch.Generator().manual_seed(0)))
    labels = torch.arange(2 * R).view(2, R) % CLASSES
    for number, layer in enumerate(network.each_layer):
        if wrong := _unlike(layer, again.each_layer[number]) or _answer(network, number, seen, labels):
            return f"{wrong} (layer {number} of {len(network.each_layer)})"
        with torch.no_grad():
            seen = network.hand_on(network.show(number, seen, labels), torch.Generator().manual_seed(0))
    return None


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
