"""One function knows the layers' shapes; the network is built by it, and memory, disk and energy count by it."""

import pytest
from safetensors.torch import load_file

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.hardware.memory import bytes_of_weights
from ffsnn.inspection import energy
from ffsnn.network import Network
from ffsnn.shapes import LayerShape, layer_shapes
from ffsnn.training import run_folder
from ffsnn.training.run import Run

SMALL = {
    "data": {"dataset": "digits", "train_images": 64}, "network": {"widths": [20, 12], "T": 2},
    "learning": {"epochs": 1, "batch_size": 32},
}  # fmt: skip


def config_of(label: str = "in_place", **network: object) -> RunConfig:
    return RunConfig.parse({**SMALL, "network": {**SMALL["network"], "label": label, **network}})


def test_by_hand() -> None:
    assert layer_shapes(config_of()) == [LayerShape(64, 20, 10, True, 1280, 20), LayerShape(20, 12, 0, False, 240, 12)]
    assert layer_shapes(config_of("appended"))[0] == LayerShape(74, 20, 10, True, 1480, 20)
    assert layer_shapes(config_of(label_layers="every"))[1] == LayerShape(30, 12, 10, False, 360, 12)
    assert [shape.constant for shape in layer_shapes(config_of(between="rate"))] == [True, True]
    assert [shape.constant for shape in layer_shapes(config_of(encoder="poisson", between="rate"))] == [False, False]


@pytest.mark.parametrize(("label", "label_layers"), [("in_place", "first"), ("appended", "every")])
def test_all_count_the_same_weights(label: str, label_layers: str, tmp_path) -> None:
    config = config_of(label, label_layers=label_layers)
    weights = [tuple(layer.weight.shape) for layer in Network(config).each_layer]
    assert weights == [(shape.inputs, shape.width) for shape in layer_shapes(config)]
    count = sum(inputs * width for inputs, width in weights)
    assert bytes_of_weights(config) == 24 * count
    split = load(config.data, config.seed)
    for _ in Run(config, split, tmp_path):
        pass
    assert sum(it.numel() for it in load_file(tmp_path / run_folder.BEST).values()) == count
    running, kept = run_folder.bytes_on_disk(config)
    written = {file.name: file.stat().st_size for file in tmp_path.glob("*.safetensors")}
    assert kept <= written[run_folder.BEST] < kept + 2000
    assert sum(written.values()) < running
    assert sum(energy.measure(Network(config), split.validation).dense_multiply_adds) == count
    of_rates = energy.of_rates(config, (0.1, 0.1), 0.0)
    assert of_rates is not None
    assert sum(of_rates.dense_multiply_adds) == count
