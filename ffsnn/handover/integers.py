"""Integer weights, for who builds a network in logic: a folder with the weights, their scales and all facts.

    weights.safetensors   layers.N.weight  int8 (inputs, neurons), 4 bits within -7..7 too
                          layers.N.scale   float32 (neurons,): of each neuron
                          layers.N.leak, .gain, .v_threshold  float32 (neurons,): where neurons have learned them
    network.json          what is needed to run it: layers, neurons, encoding, label, reading; its configuration; what
                          it reached, in floating point and so

A neuron's weights are its integers times its scale, the largest of its weights over 2^(bits-1) - 1, rounded to the
nearest (symmetric, without an offset; Jacob et al. 2018, arXiv 1712.05877, section 2.1). As the scale is one a neuron,
it can be folded into that neuron's threshold: sums are then of integers alone.

Membrane potentials stay as they are. Weights alone are made integers: where inputs are normalised, a step's inputs are
multiplied by one number, which network.json says how to get.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.datasets.dataset import Images
from ffsnn.dense import EPS, DenseLayer
from ffsnn.handover.formats import portable, register
from ffsnn.network import Network
from ffsnn.strict_yaml import load_json
from ffsnn.validation import ConfigError

FORMAT = 1  # of network.json
WEIGHTS, FACTS = "weights.safetensors", "network.json"
OWN = ("leak", "gain", "v_threshold")  # of neurons that have learned them
DYNAMICS = (
    "every step: i = input_scale * (x @ (weight * scale)); h = v * leak + gain * i; s = 1 if h >= v_threshold else 0; "
    "v = h - s * v_threshold (reset soft) or h * (1 - s) (hard); v begins at 0"
)


def quantised(weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers (F, H) as int8 and the scale (H,) of each neuron, whose product is nearest to weights (F, H)."""
    largest = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(0) / largest
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (weight / scale).round().clamp(-largest, largest).to(torch.int8), scale


def refusal(config: RunConfig) -> str | None:
    """The field that integer weights cannot hold, and why; None: there is none."""
    if config.network.layer != "dense":
        return f"network.layer: fully connected layers have one scale a neuron, but got layer={config.network.layer!r}"
    return None


def with_integers(network: Network, bits: int) -> tuple[Network, dict[str, torch.Tensor]]:
    """The network with the weights that integers give, and the tensors that are written."""
    other, tensors = copy.deepcopy(network), dict[str, torch.Tensor]()
    for number, layer in enumerate(other.each_layer):
        assert isinstance(layer, DenseLayer)
        weight = layer.weight
        integers, scale = quantised(weight.detach().float(), bits)
        tensors |= {f"layers.{number}.weight": integers.contiguous(), f"layers.{number}.scale": scale.contiguous()}
        weight.data = (integers * scale).to(weight.dtype)
        if layer.learned is not None:
            own = dict(zip(OWN, layer.learned().detach().float(), strict=True))
            tensors |= {f"layers.{number}.{name}": it.contiguous() for name, it in own.items()}
    return other, tensors


def facts(network: Network, bits: int) -> dict[str, Any]:
    """All that is needed to run the weights, as JSON has it."""
    config = network.config.network
    neurons: dict[str, Any] = {
        "leak": 1 - 1 / config.tau, "gain": 1 / config.tau if config.decay_input else 1.0,
        "v_threshold": config.v_threshold,
    }  # fmt: skip
    if config.learn != "none":
        neurons = {name: f"one a neuron: layers.N.{name}" for name in OWN}
    layers = []
    for layer, shape in zip(network.each_layer, network.shapes, strict=True):
        layers.append({
            "inputs": shape.inputs, "neurons": shape.width, "label_inputs": shape.labels,
            "normalize": bool(getattr(layer, "normalize", False)), "reads_out": layer.reads_out,
        })  # fmt: skip
    return {
        "format": FORMAT, "bits": bits, "scale": "one a neuron", "weight_layout": "(inputs, neurons)",
        "dynamics": DYNAMICS, "T": config.T, **neurons, "reset": config.reset,
        "input_scale": f"sqrt(inputs) / (norm of the step's inputs + {EPS}) in a layer that normalises, else 1",
        "encoder": config.encoder, "features": config.features, "pixels": "0..255, divided by 255",
        "between": config.between,
        "label": {
            "place": config.label, "layers": config.label_layers, "first_inputs": network.classes,
            "amplitude": config.label_amplitude,
        },
        "prediction": config.prediction, "goodness": config.goodness, "activity": config.activity, "layers": layers,
    }  # fmt: skip


def _write(network: Network, images: Images, where: Path, bits: int) -> list[str]:
    other, tensors = with_integers(network, bits)
    looked_at = network.config.data.looked_at
    before, after = network.accuracy(images.x, images.y), other.accuracy(images.x, images.y)
    tree = facts(network, bits) | {
        f"{looked_at}_accuracy": {"images": len(images), "float": before, "integers": after},
        "config": portable(network.config).model_dump(mode="json"),
    }
    where.mkdir(parents=True, exist_ok=True)
    atomic.write(where / WEIGHTS, save_tensors(tensors))
    atomic.write(where / FACTS, json.dumps(tree, indent=2))
    size = sum(tensor.numel() for name, tensor in tensors.items() if name.endswith("weight")) * bits / 8
    return [
        f"{where}: {bits}-bit weights, one scale a neuron, {size / 1000:,.0f} kB of weights where they are packed",
        f"{looked_at} accuracy {after:.2%}, {before:.2%} in floating point ({len(images):,} images)",
    ]


def load(folder: Path) -> Network:
    """The network of an export, on the CPU.

    Raises:
        ConfigError: there is none, it is damaged, or another version wrote it.
    """
    try:
        tree = load_json((folder / FACTS).read_text(encoding="utf-8"))
        if tree["format"] != FORMAT:
            raise ConfigError(f"format {tree['format']}, but this version reads {FORMAT}")
        network = Network(RunConfig.parse(tree["config"]))
        tensors = load_tensors((folder / WEIGHTS).read_bytes())
        for number, layer in enumerate(network.each_layer):
            assert isinstance(layer, DenseLayer)
            weight, integers = layer.weight, tensors[f"layers.{number}.weight"]
            if integers.shape != weight.shape:
                got, needed = (tuple(it.shape) for it in (integers, weight))
                raise ConfigError(f"layers.{number}.weight must be {needed}, but is {got}")
            weight.data = integers * tensors[f"layers.{number}.scale"]
            if layer.learned is not None:
                leak, _, threshold = (tensors[f"layers.{number}.{name}"] for name in OWN)
                layer.learned.take(1 / (1 - leak), threshold)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ConfigError(f"{folder} holds no export with integer weights ({' '.join(str(error).split())})") from error
    return network


register("integers", refusal=refusal, bits=(8, 4))(_write)
