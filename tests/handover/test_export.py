"""Networks handed over: written, read back, and the same; what a format cannot hold is refused by its field."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.handover import formats, integers, nir_graph
from ffsnn.inspection.trace import trace
from ffsnn.network import Network
from ffsnn.training.run import Run
from ffsnn.training.run_folder import load
from ffsnn.validation import ConfigError
from search.retrain.named import network as found
from tests.search.conftest import ffsnn, refused

RUN = RunConfig.parse({
    "data": {"dataset": "digits"},
    "network": {"widths": [32, 24], "T": 4, "reset": "hard", "normalize": [True, False], "tau": 2.7,
                "v_threshold": 0.4},
    "learning": {"batch_size": 128, "epochs": 4, "lr": 0.02, "alpha": 20},
})  # fmt: skip


@pytest.fixture(scope="module")
def split() -> data.Split:
    return data.load(RUN.data, RUN.seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, split: data.Split) -> Path:
    path = tmp_path_factory.mktemp("run")
    assert len(list(Run(RUN, split, path, checkpoint_interval_s=0))) == 4
    return path


def same_spikes(one: Network, other: Network, split: data.Split) -> bool:
    """On 1,000 images, under their labels."""
    images = split.train[torch.arange(1000)]
    pairs = zip(trace(one, images.x, images.y), trace(other, images.x, images.y), strict=True)
    return all(torch.equal(a.spikes, b.spikes) and a.spikes.any() for a, b in pairs)


def test_weights_are_the_nearest_integers_times_a_scale() -> None:
    weight = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    weight[:, 3] = 0
    for bits, largest in ((8, 127), (4, 7)):
        whole, scale = integers.quantised(weight, bits)
        assert whole.dtype == torch.int8
        assert whole.abs().amax(0).tolist() == [0 if at == 3 else largest for at in range(8)]
        assert ((whole * scale - weight).abs() <= scale / 2 + 1e-6).all()


@pytest.mark.parametrize("bits", [8, 4])
def test_integers_are_written_with_what_they_reach_and_read_back(folder: Path, split, tmp_path: Path, bits) -> None:
    network, images = load(folder), split.validation
    said = formats.export(network, images, tmp_path / "out", "integers", bits)
    tree = json.loads((tmp_path / "out" / "network.json").read_text())
    assert f"{bits}-bit weights, one scale a neuron" in said[0]
    found = integers.load(tmp_path / "out")
    reached = tree["validation_accuracy"]
    assert reached["integers"] == found.accuracy(images.x, images.y)
    assert reached["float"] == network.accuracy(images.x, images.y)
    assert reached["integers"] > reached["float"] - (0.03 if bits == 8 else 0.25)
    assert same_spikes(found, integers.with_integers(network, bits)[0], split)
    assert (tree["bits"], tree["leak"], tree["reset"]) == (bits, pytest.approx(1 - 1 / 2.7), "hard")
    assert [layer["normalize"] for layer in tree["layers"]] == [True, False]


def test_integers_that_do_not_fit_are_refused(folder: Path, split, tmp_path: Path) -> None:
    facts = tmp_path / "network.json"
    formats.export(load(folder), split.validation, tmp_path, "integers", 8)
    whole = json.loads(facts.read_text())
    facts.write_text(json.dumps(whole | {"format": 2}))
    with pytest.raises(ConfigError, match=r"no export with integer weights \(format 2, but this version reads 1"):
        integers.load(tmp_path)
    other = whole["config"] | {"network": whole["config"]["network"] | {"widths": [16, 24]}}
    facts.write_text(json.dumps(whole | {"config": other}))
    with pytest.raises(ConfigError, match=r"layers\.0\.weight must be \(64, 16\), but is \(64, 32\)"):
        integers.load(tmp_path)


@pytest.mark.parametrize("label_layers", ["first", "every"])
def test_the_facts_are_enough_to_run_the_integers(folder: Path, split, tmp_path: Path, label_layers: str) -> None:
    """By numpy alone, from what is written, as a stranger would; direct encoding, label in place."""
    from safetensors.numpy import load_file

    network = load(folder) if label_layers == "first" else Network(RUN.replaced({"network.label_layers": label_layers}))
    formats.export(network, split.validation, tmp_path / "out", "integers", 8)
    facts = json.loads((tmp_path / "out" / "network.json").read_text())
    tensors = load_file(tmp_path / "out" / "weights.safetensors")
    images, layers = split.validation[torch.arange(60)], facts["layers"]
    scores = np.zeros((60, 10))
    for label in range(10):
        x = images.x.numpy() / 255
        x[:, : facts["label"]["first_inputs"]] = 0
        x[:, label] = facts["label"]["amplitude"]
        seen = [x] * facts["T"]
        for number, layer in enumerate(layers):
            if number and layer["label_inputs"]:
                shown = np.eye(10)[[label] * 60] * facts["label"]["amplitude"]
                seen = [np.concatenate([shown, step], 1) for step in seen]
            weight = tensors[f"layers.{number}.weight"] * tensors[f"layers.{number}.scale"]
            v, spikes = np.zeros((60, layer["neurons"])), []
            for step in seen:
                norm = np.linalg.norm(step, axis=1, keepdims=True)
                scale = layer["inputs"] ** 0.5 / (norm + 1e-4) if layer["normalize"] else 1.0
                h = v * facts["leak"] + facts["gain"] * scale * (step @ weight)
                spikes.append((h >= facts["v_threshold"]).astype(float))
                v = h * (1 - spikes[-1])
            seen = spikes
            scores[:, label] += np.square(sum(spikes) / facts["T"]).mean(1)
    mine = integers.load(tmp_path / "out").predict(images.x).numpy()
    assert (scores.argmax(1) == mine).mean() >= 0.95  # scores that are equal but for rounding may fall otherwise


@pytest.mark.parametrize(("field", "changes"), [
    ("network.reset", {"network.reset": "soft"}),
    ("network.normalize", {"network.normalize": True}),
    ("network.between", {"network.between": "rate"}),
    ("learning.precision", {"learning.precision": "bfloat16"}),
    ("network.label_layers", {"network.label_layers": "every"}),
])  # fmt: skip
def test_a_network_that_nir_cannot_hold_is_refused_by_its_field(field: str, changes, split, tmp_path: Path) -> None:
    network = Network(RUN.replaced(changes))
    with pytest.raises(ConfigError, match=rf"^nir cannot hold this network: {field}: .*, but got [^\n]*$"):
        formats.export(network, split.validation, tmp_path / "out.nir", "nir")
    assert not list(tmp_path.iterdir())


def test_layers_of_ones_own_are_refused_by_every_format(split, tmp_path: Path) -> None:
    network = Network(RUN)
    network.config = RUN.model_copy(update={"network": RUN.network.model_copy(update={"layer": "conv"})})
    for name in ("nir", "integers"):
        with pytest.raises(ConfigError, match=rf"{name} cannot hold this network: network\.layer: .* got layer='conv'"):
            formats.export(network, split.validation, tmp_path / "out", name)


def test_formats_and_bits_that_are_not_there(split, tmp_path: Path, home: Path) -> None:
    network = Network(RUN)
    with pytest.raises(ConfigError, match=r"--to must be '.*' or '.*', but got 'onnx'"):
        formats.export(network, split.validation, tmp_path / "out", "onnx")
    with pytest.raises(ConfigError, match="integers takes --bits 8 or 4, but got 5"):
        formats.export(network, split.validation, tmp_path / "out", "integers", 5)
    with pytest.raises(ConfigError, match="nir takes --bits none"):
        formats.export(network, split.validation, tmp_path / "out", "nir", 8)
    with pytest.raises(ConfigError, match="holds no export with integer weights"):
        integers.load(tmp_path)
    assert "--to nir, or --bits 8" in refused("export", "mine", str(tmp_path / "out"), home=home)
    assert "no run, search or file 'mine'" in refused("export", "mine", str(tmp_path / "out"), "--bits", "8", home=home)


def test_without_nir_a_line_says_what_to_install(folder: Path, split, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(ConfigError, match=r"pip install 'ffsnn\[nir\]'"):
        formats.export(load(folder), split.validation, tmp_path / "out.nir", "nir")


def test_a_graph_read_back_gives_the_same_spikes(folder: Path, split, tmp_path: Path) -> None:
    pytest.importorskip("nir", reason="the extra nir is not installed")
    network = load(folder)
    said = formats.export(network, split.validation, tmp_path / "out.nir", "nir")
    assert "NIR graph of 6 nodes" in said[0]
    config = nir_graph.read_into(tmp_path / "out.nir", tmp_path / "run", {})
    assert (config.id, config.network) == (RUN.id, RUN.network)
    assert same_spikes(load(tmp_path / "run"), network, split)


def test_spikingjelly_runs_the_graph_to_the_same_spikes(folder: Path, split, tmp_path: Path) -> None:
    """By its own `nir_exchange`, step by step, in double precision, on 1,000 images."""
    pytest.importorskip("nir", reason="the extra nir is not installed")
    pytest.importorskip("nirtorch", reason="nirtorch, which SpikingJelly's nir_exchange needs, is not installed")
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    network = load(folder).double()
    formats.export(load(folder), split.validation, tmp_path / "out.nir", "nir")
    theirs = import_from_nir(str(tmp_path / "out.nir"), dt=nir_graph.DT, dtype=torch.float64)
    images, state, spikes = split.train[torch.arange(1000)], None, []
    for step in nir_graph.shown(network, images.x, images.y):
        fired, state = theirs(step, state)
        spikes.append(fired)
    mine = trace(network, images.x, images.y)[-1].spikes
    assert mine.any()
    assert torch.equal(torch.stack(spikes).to(mine.dtype), mine)


def test_a_graph_of_others_says_what_its_nodes_do(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir", reason="the extra nir is not installed")

    def written(*nodes: object) -> Path:
        nir.write(tmp_path / "theirs.nir", nir.NIRGraph.from_list(*nodes))
        return tmp_path / "theirs.nir"

    def neurons(count: int, **changes: float) -> object:
        values = {"tau": 2e-4, "r": 1.0, "v_leak": 0.0, "v_threshold": 0.7, "v_reset": 0.0} | changes
        return nir.LIF(**{name: np.full(count, value) for name, value in values.items()})

    linear = nir.Linear(np.ones((20, 64), np.float32))
    digits = {"data.dataset": "digits", "learning.batch_size": 64}
    config, weights = nir_graph.read(written(linear, neurons(20)), digits)
    assert (config.network.widths, config.network.tau, config.network.v_threshold) == ((20,), 2.0, 0.7)
    assert (config.network.reset, config.network.decay_input, config.network.normalize) == ("hard", True, False)
    assert weights["layers.0.weight"].shape == (64, 20)
    with pytest.raises(ConfigError, match=r"but mnist with label='in_place' needs \[\(784, 20\)\]"):
        nir_graph.read(written(linear, neurons(20)), {})
    with pytest.raises(ConfigError, match=r"must rest at and reset to 0, but got .*v_reset=0\.1"):
        nir_graph.read(written(linear, neurons(20, v_reset=0.1)), digits)
    with pytest.raises(ConfigError, match="a chain of Linear and LIF nodes is read, but got Linear, IF"):
        nir_graph.read(written(linear, nir.IF(np.ones(20), np.ones(20), np.zeros(20))), digits)
    with pytest.raises(ConfigError, match=r"its nodes say network\.tau=2\.0, but the configuration says 3"):
        nir_graph.read(written(linear, neurons(20)), digits | {"network.tau": 3.0})
    damaged = nir.NIRGraph.from_list(linear, neurons(20))
    damaged.metadata["ffsnn"] = "{"
    nir.write(tmp_path / "damaged.nir", damaged)
    with pytest.raises(ConfigError, match="its metadata has a damaged configuration"):
        nir_graph.read(tmp_path / "damaged.nir", digits)
    (tmp_path / "none.nir").write_text("no graph")
    with pytest.raises(ConfigError, match="is no NIR graph"):
        nir_graph.read(tmp_path / "none.nir", {})


def test_a_run_goes_by_its_name(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "mlruns" / "runs" / "mine")
    with found(lambda: tmp_path / "mlruns", "mine") as path:
        assert path == tmp_path / "mlruns" / "runs" / "mine"
    assert "did you mean mine?" in refused("export", "mime", "out", "--bits", "8", home=tmp_path)


def test_the_commands(folder: Path, tmp_path: Path, split) -> None:
    out = ffsnn("export", str(folder), str(tmp_path / "int4"), "--bits", "4", home=tmp_path)
    assert out.returncode == 0, out.stderr
    assert "4-bit weights" in out.stdout
    assert "in floating point (144 images)" in out.stdout
    np.save(tmp_path / "x.npy", split.validation.x[:20].view(-1, 8, 8).numpy())
    early = ffsnn("predict", str(folder), str(tmp_path / "x.npy"), "--exit", "--tolerance", "0.05", home=tmp_path)
    assert early.returncode == 0, early.stderr
    assert "early exit at a margin of" in early.stderr
    assert {int(line.split("\t")[3]) for line in early.stdout.splitlines()} <= {1, 2, 3, 4}
    if not find_spec("nir"):
        said = ffsnn("import", str(tmp_path / "out.nir"), str(tmp_path / "run"), home=tmp_path)
        assert (said.returncode, said.stderr.count("\n")) == (2, 1)
        return
    assert ffsnn("export", str(folder), str(tmp_path / "out.nir"), "--to", "nir", home=tmp_path).returncode == 0
    back = ffsnn("import", str(tmp_path / "out.nir"), str(tmp_path / "run"), home=tmp_path)
    assert "digits, 32-24 neurons, T=4" in back.stdout


def test_what_neurons_have_learned_is_handed_over(split, tmp_path: Path) -> None:
    config = RUN.replaced({"network.learn": "both", "network.learn_scope": "neuron", "learning.epochs": 2})
    list(Run(config, split, tmp_path / "run"))
    network, images = load(tmp_path / "run"), split.validation
    formats.export(network, images, tmp_path / "out", "integers", 8)
    facts = json.loads((tmp_path / "out" / "network.json").read_text())
    assert facts["v_threshold"] == "one a neuron: layers.N.v_threshold"
    whole, mine = integers.load(tmp_path / "out"), integers.with_integers(network, 8)[0]
    assert (whole.predict(images.x) == mine.predict(images.x)).float().mean() > 0.98  # but for rounding at a threshold
    if find_spec("nir") is None:
        return
    formats.export(network, images, tmp_path / "out.nir", "nir")
    nir_graph.read_into(tmp_path / "out.nir", tmp_path / "back", {})
    back = load(tmp_path / "back")
    for one, other in zip(network.parameters(), back.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
