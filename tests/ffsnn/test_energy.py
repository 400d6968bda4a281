"""Operations, counted by hand for one neuron and beside SpikingJelly's counters for networks."""

import dataclasses
from typing import Any

import pytest
import torch
from spikingjelly.activation_based.op_counter import DispatchCounterMode, MACCounter, SynOpCounter

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.datasets.dataset import Images
from ffsnn.inspection.energy import Energy, measure, of_rates
from ffsnn.inspection.trace import trace
from ffsnn.network import Network
from ffsnn.parts.registry import ENCODERS

T, WIDTHS, F, C = 5, (24, 16, 12), 64, 10


def network(**changes: Any) -> Network:
    return Network(RunConfig.parse({"data": {"dataset": "digits"}, "network": {"T": T, "widths": WIDTHS} | changes}))


@pytest.fixture(scope="module")
def images() -> Images:
    return data.load(RunConfig.parse({"data": {"dataset": "digits"}}).data, 0).validation


@pytest.mark.parametrize("label", ["in_place", "appended", "every layer"])
@pytest.mark.parametrize("between", ["spikes", "rate"])
@pytest.mark.parametrize("encoder", ["direct", "centred", "poisson", "latency"])
def test_as_spikingjelly_counts(encoder: str, between: str, label: str, images: Images) -> None:
    """All but the label: our layers add its column of weights without a matrix product, which is what they count."""
    label_at = {"label_layers": "every"} if label == "every layer" else {"label": label}
    net = network(encoder=encoder, between=between, **label_at)
    for layer in net.each_layer:
        layer.fused = False  # their counters see torch's products alone
    energy = measure(net, images, images.y)
    synops, macs = SynOpCounter(), MACCounter()
    with DispatchCounterMode([synops, macs]):
        trace(net, images.x, images.y)
    constant = ENCODERS[encoder].constant
    label_additions = WIDTHS[0] * (1 if constant else T)
    if label == "every layer":
        label_additions += sum(WIDTHS[1:]) * (1 if constant and between == "rate" else T)
    assert synops.get_total() == pytest.approx(len(images) * (sum(energy.synaptic_operations) - label_additions))
    assert macs.get_total() == pytest.approx(len(images) * sum(energy.multiply_adds))
    assert macs.get_total() > 0 if constant else macs.get_total() == 0


def test_spikes_are_the_layers_counts(images: Images) -> None:
    net = network()
    energy = measure(net, images, images.y)
    for seen, spikes, width in zip(trace(net, images.x, images.y), energy.spikes, WIDTHS, strict=True):
        assert spikes == pytest.approx(seen.rate.mean().item() * T * width, rel=1e-5)
        assert 0 < spikes < T * width
    assert energy.synaptic_operations == pytest.approx((24, energy.spikes[0] * 16, energy.spikes[1] * 12))
    assert energy.multiply_adds == ((F - C) * 24, 0, 0)
    assert energy.dense_multiply_adds == (F * 24, 24 * 16, 16 * 12)
    assert energy.passes == C


def test_one_neuron_by_hand() -> None:
    """A weight of 1 a pixel, no leak to speak of: the charge is 0.5 a step, the threshold 0.9; it fires at 2 and 4."""
    net = network(widths=(1,), T=4, tau=1e6, decay_input=False, v_threshold=0.9, reset="hard", normalize=False)
    with torch.no_grad():
        net.each_layer[0].weight.fill_(0)
        net.each_layer[0].weight[20, 0] = 1
    x = torch.zeros(1, F, dtype=torch.uint8)
    x[0, 20] = 128
    energy = measure(net, Images(x, torch.tensor([3])))
    assert energy == Energy((2.0,), (1.0,), (float(F - C),), (F,), passes=C)
    assert energy.nanojoules == pytest.approx((0.9 + 4.6 * (F - C)) / 1000)
    assert energy.dense_nanojoules == pytest.approx(4.6 * F / 1000)


@pytest.mark.parametrize("label", ["in_place", "appended"])
@pytest.mark.parametrize(
    ("encoder", "between"),
    [("direct", "spikes"), ("direct", "rate"), ("poisson", "spikes"), ("poisson", "rate"), ("latency", "spikes")],
)
def test_rates_tell_what_looking_does(encoder: str, between: str, label: str, images: Images) -> None:
    """Exactly, but for the noise of Poisson spikes."""
    config = RunConfig.parse({
        "data": {"dataset": "digits"},
        "network": {"T": T, "widths": WIDTHS, "encoder": encoder, "between": between, "label": label},
    })  # fmt: skip
    seen = measure(Network(config), images)
    rates = [spikes / (T * width) for spikes, width in zip(seen.spikes, WIDTHS, strict=True)]
    shown = images.x if label == "appended" else images.x[:, C:]
    told = of_rates(config, rates, ENCODERS[encoder].spikes(shown, T))
    assert told is not None
    close = 0.03 if encoder == "poisson" else 1e-6
    assert told.synaptic_operations == pytest.approx(seen.synaptic_operations, rel=close)
    assert told.nanojoules == pytest.approx(seen.nanojoules, rel=close)
    assert (told.multiply_adds, told.passes) == (seen.multiply_adds, seen.passes)


def test_rates_do_not_tell_of_their_times_nor_of_a_layer_that_saw_nothing() -> None:
    timed = RunConfig.parse({"data": {"dataset": "digits"}, "network": {"encoder": "latency", "between": "rate"}})
    assert of_rates(timed, [0.1, 0.1], 30.0) is None
    greedy = RunConfig.parse({"data": {"dataset": "digits"}, "learning": {"layers": "greedy"}})
    assert of_rates(greedy, [0.1, 0.0], 0.0) is None


def test_under_the_predicted_label_unless_told_otherwise(images: Images) -> None:
    net = network(encoder="poisson")
    assert measure(net, images) == measure(net, images, net.predict(images.x)) != measure(net, images, images.y)


@pytest.mark.parametrize(("prediction", "passes"), [("largest_rate", C), ("one_pass", 1), ("two_pass", 3)])
def test_passes(prediction: str, passes: int, images: Images) -> None:
    net = Network(
        RunConfig.parse({
            "data": {"dataset": "digits"}, "network": {"widths": [16, 10], "prediction": prediction},
            "learning": {"output": "mse"},
        })
    )  # fmt: skip
    assert measure(net, images).passes == passes


def test_a_table_for_a_person() -> None:
    energy = Energy((800.0, 500.0), (500.0, 400_000.0), (387_000.0, 0.0), (392_000, 250_000), passes=10)
    lines = energy.table().splitlines()
    assert lines[1].split() == ["layer", "0", "800.0", "500", "387,000", "392,000"]
    assert lines[3].split() == ["sum", "1,300.0", "400,500", "387,000", "642,000"]
    assert "2,141 nJ a sample; dense: 2,953 nJ" in lines[4]


def test_it_is_frozen_and_needs_an_image(images: Images) -> None:
    energy = measure(network(), images)
    with pytest.raises(dataclasses.FrozenInstanceError, match="passes"):
        energy.passes = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="needs one, but got 0"):
        measure(network(), Images(images.x[:0], images.y[:0]))
