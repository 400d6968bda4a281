"""NIR, the Neuromorphic Intermediate Representation (Pedersen et al. 2024, doi 10.1038/s41467-024-52259-9): a network
as a graph that other frameworks and chips take.

    input -> linear_0 -> lif_0 -> linear_1 -> lif_1 -> ... -> output

What comes into the graph is what the first layer sees (`shown`): the encoded image, the label, both scaled. Goodness
is of the spikes of all `lif_N`. The configuration stands in the graph's metadata, under `ffsnn`, so that this project
reads back the same network; a graph without it gives what its nodes say.

NIR's neurons reset to a value, and it has no node that scales an input by its own norm or hands on a rate: networks
with such are refused. A step is `DT` seconds, as is usual. NIR's neuron fires above the threshold, SpikingJelly's at
it.
"""

import json
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.datasets.dataset import Images
from ffsnn.dense import DenseLayer
from ffsnn.handover.formats import portable, register
from ffsnn.learned import LearnedNeurons
from ffsnn.network import Network
from ffsnn.randomness import generator
from ffsnn.strict_yaml import load_json
from ffsnn.training.run_folder import BEST, EPOCH, RunFolder
from ffsnn.validation import ConfigError

DT = 1e-4  # seconds of a time step
OURS = "ffsnn"  # in the metadata
CLOSE = 1e-6  # relative: tau goes through seconds


def library() -> Any:
    """The package `nir`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module("nir")
    except ImportError as error:
        raise ConfigError(f"NIR needs the package nir ({error}): pip install 'ffsnn[nir]'") from None


def refusal(config: RunConfig) -> str | None:
    """The field that NIR cannot hold, and why; None: there is none."""
    network = config.network
    if network.layer != "dense":
        return f"network.layer: fully connected layers alone are written, but got layer={network.layer!r}"
    if network.reset != "hard":
        return f"network.reset: NIR's LIF resets to a value, but got reset={network.reset!r}: train with reset=hard"
    if network.label_layers != "first":
        return f"network.label_layers: the graph has one input, the first layer's, but got {network.label_layers!r}"
    if network.between != "spikes":
        return f"network.between: NIR hands on spikes, but got between={network.between!r}"
    normalize = network.normalized_layers
    if any(normalize[1:]):
        mend = [normalize[0], *[False] * (len(normalize) - 1)]
        return (
            f"network.normalize: NIR has no node that scales by an input's own norm, but got "
            f"normalize={list(normalize)}: train with normalize={json.dumps(mend)}"
        )
    if config.learning.precision != "float32":
        return f"learning.precision: sums are of float32, but got precision={config.learning.precision!r}"
    return None


def graph(network: Network) -> Any:
    """The network as a `nir.NIRGraph`; it must be one that NIR can hold."""
    nir, config = library(), network.config.network
    nodes, names = {"input": nir.Input(np.array([network.shapes[0].inputs]))}, ["input"]
    for number, (layer, shape) in enumerate(zip(network.each_layer, network.shapes, strict=True)):
        assert isinstance(layer, DenseLayer)
        full = partial(np.full, shape.width)
        tau, v_threshold = full(config.tau), full(config.v_threshold)
        if layer.learned is not None:
            tau, v_threshold = (it.cpu().double().numpy() for it in layer.learned.taus_and_thresholds())
        nodes[f"linear_{number}"] = nir.Linear(layer.weight.detach().cpu().float().T.contiguous().numpy())
        nodes[f"lif_{number}"] = nir.LIF(
            tau=tau * DT, r=full(1.0) if config.decay_input else tau, v_leak=full(0.0), v_threshold=v_threshold,
            v_reset=full(0.0),
        )  # fmt: skip
        names += [f"linear_{number}", f"lif_{number}"]
    nodes["output"] = nir.Output(np.array([network.shapes[-1].width]))
    names.append("output")
    said = {OURS: portable(network.config).model_dump_json(), "dt": DT}
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata=said)


def _write(network: Network, images: Images, where: Path, bits: int) -> list[str]:
    nir, made = library(), graph(network)
    part = where.with_name(f".{where.name}.part")  # HDF5 is written in place
    try:
        nir.write(part, made)
        part.replace(where)
    finally:
        part.unlink(missing_ok=True)
    accuracy = network.accuracy(images.x, images.y)
    return [
        f"{where}: NIR graph of {len(made.nodes)} nodes, a step of {DT:g} s",
        f"{network.config.data.looked_at} accuracy {accuracy:.2%} ({len(images):,} images); what is shown to it is "
        f"ffsnn.handover.nir_graph.shown(network, images, labels)",
    ]


@torch.no_grad()
def shown(network: Network, x: torch.Tensor, y: torch.Tensor, batch: int = 0) -> torch.Tensor:
    """Input of the graph, (T, B, inputs), of uint8 images (B, F) under labels (B,): encoded, labelled, scaled."""
    layer, config = network.each_layer[0], network.config.network
    assert isinstance(layer, DenseLayer)
    noise = generator(network.seed, "prediction", batch, 0, device=x.device)
    seen = network.encode(x, noise).to(layer.weight.dtype)
    seen[:, torch.arange(len(x)), y] = config.label_amplitude
    return (seen * layer.input_scale(seen.square().sum(-1))[..., None]).expand(network.T, -1, -1)


def read(file: Path, changes: dict[str, Any]) -> tuple[RunConfig, dict[str, torch.Tensor]]:
    """Configuration and weights of a graph.

    Args:
        file: as NIR writes it.
        changes: fields that the graph does not say, or says otherwise: by dotted path.

    Raises:
        ConfigError: it is no such file, its nodes are no chain of linear and LIF ones with uniform neurons, or they do
            not fit the configuration.
    """
    nir = library()
    try:
        found = nir.read(file)
    except Exception as error:  # of HDF5 or of NIR
        raise ConfigError(f"{file} is no NIR graph ({' '.join(str(error).split())[:160]})") from error
    chain = _chain(found, file)
    weights, neurons = chain[::2], chain[1::2]
    kinds = [type(node).__name__ for _, node in chain]
    if not chain or kinds != ["Linear", "LIF"] * (len(kinds) // 2):
        odd = next((name for at, (name, node) in enumerate(chain) if kinds[at] != ("Linear", "LIF")[at % 2]), "its end")
        raise ConfigError(f"{file}: a chain of Linear and LIF nodes is read, but got {', '.join(kinds)} (at {odd})")
    ours = _ours(found, file)
    learned = ours is not None and ours.network.learn != "none"
    said: dict[str, Any] = {"network.widths": [len(node.weight) for _, node in weights], "network.reset": "hard"}
    if not learned:
        facts = [_neuron(name, node, file) for name, node in neurons]
        if any(fact != facts[0] for fact in facts):
            raise ConfigError(f"{file}: the neurons of all layers must be alike, but got {facts}")
        said |= dict(zip(("network.tau", "network.v_threshold", "network.decay_input"), facts[0], strict=True))
    base = (ours or RunConfig().replaced(said | {"network.normalize": False})).replaced(changes)
    _compare(base, said, file)
    state = {f"layers.{n}.weight": torch.from_numpy(np.ascontiguousarray(node.weight.T)).float()
             for n, (_, node) in enumerate(weights)}  # fmt: skip
    if learned:
        state |= _learned(base, neurons)
    expected = [tuple(tensor.shape) for _, tensor in sorted(Network(base).state_dict().items())]
    if (got := [tuple(tensor.shape) for _, tensor in sorted(state.items())]) != expected:
        raise ConfigError(
            f"{file}: weights are {got}, but {base.data.dataset} with label={base.network.label!r} needs {expected}: "
            "name its data with --set data.dataset=NAME, or another label"
        )
    return base, state


def _ours(found: Any, file: Path) -> RunConfig | None:
    """The configuration in a graph's metadata; None: it is not one of ours."""
    if (ours := (found.metadata or {}).get(OURS)) is None:
        return None
    try:
        tree = load_json(ours if isinstance(ours, str) else ours.decode())
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}: its metadata has a damaged configuration ({error})") from error
    return RunConfig.parse(tree)


def _learned(config: RunConfig, neurons: list[tuple[str, Any]]) -> dict[str, torch.Tensor]:
    """Values that neurons have learned, by the names of a network's state."""
    state: dict[str, torch.Tensor] = {}
    for number, (_, node) in enumerate(neurons):
        tau, threshold = (torch.from_numpy(np.asarray(it)) for it in (node.tau / DT, node.v_threshold))
        of_layer = LearnedNeurons(config.network, len(tau))
        of_layer.take(tau, threshold)
        state |= {f"layers.{number}.learned.{name}": it for name, it in of_layer.state_dict().items()}
    return state


def read_into(file: Path, folder: Path, changes: dict[str, Any]) -> RunConfig:
    """Make a run's folder of a graph, which all that takes a run takes.

    Raises:
        ConfigError: as `read`; or the folder holds another run.
    """
    config, state = read(file, changes)
    RunFolder(folder).create(config)
    atomic.write(folder / BEST, save_tensors({name: it.contiguous() for name, it in state.items()}, {EPOCH: "0"}))
    return config


def _chain(found: Any, file: Path) -> list[tuple[str, Any]]:
    """The nodes between input and output, in their order."""
    after: dict[str, list[str]] = {}
    for source, target in found.edges:
        after.setdefault(source, []).append(target)
    named = {type(node).__name__: name for name, node in found.nodes.items()}
    at, chain = named.get("Input"), list[tuple[str, Any]]()
    while at is not None and len(chain) <= len(found.nodes):
        following = after.get(at, [])
        if len(following) != 1:
            break
        (at,) = following
        if type(found.nodes[at]).__name__ == "Output":
            return chain
        chain.append((at, found.nodes[at]))
    raise ConfigError(f"{file}: a chain from one Input to one Output is read, but it ends or parts at {at!r}")


def _neuron(name: str, node: Any, file: Path) -> tuple[float, float, bool]:
    """tau (in steps), v_threshold and decay_input of a layer's neurons."""
    values = {}
    for field in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        of = np.unique(getattr(node, field))
        if len(of) != 1:
            raise ConfigError(f"{file}: the neurons of {name} must be alike, but {field} has {len(of)} values")
        values[field] = float(of[0])
    tau = round(values["tau"] / DT, 9)
    if values["v_leak"] or values["v_reset"]:
        raise ConfigError(
            f"{file}: {name} must rest at and reset to 0, but got v_leak={values['v_leak']:g}, "
            f"v_reset={values['v_reset']:g}"
        )
    if not (np.isclose(values["r"], 1, CLOSE) or np.isclose(values["r"], tau, CLOSE)):
        raise ConfigError(f"{file}: r of {name} must be 1 or tau/dt={tau:g}, but got {values['r']:g}")
    return tau, values["v_threshold"], bool(np.isclose(values["r"], 1, CLOSE))


def _compare(config: RunConfig, said: dict[str, Any], file: Path) -> None:
    """Make sure that a configuration says what the nodes do."""
    for path, value in said.items():
        mine = getattr(config.network, path.partition(".")[2])
        mine = list(mine) if isinstance(mine, tuple) else mine
        alike = np.isclose(mine, value, CLOSE) if isinstance(value, float) else mine == value
        if not alike:
            raise ConfigError(f"{file}: its nodes say {path}={value}, but the configuration says {mine}")


register("nir", refusal=refusal)(_write)
