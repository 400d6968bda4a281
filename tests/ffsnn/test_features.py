"""One contract for all features; what edges must be like; and a network that sees them."""

import math

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.dense import DenseLayer
from ffsnn.kernels import parallel
from ffsnn.layer import Input
from ffsnn.network import Network
from ffsnn.parts.features import edges
from ffsnn.parts.registry import FEATURES
from ffsnn.training.trainer import Trainer
from tests.reference import edges as slow_edges

EVERY = pytest.mark.parametrize("name", FEATURES)
SHAPES = pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 14), (1, 2, 3)], ids=str)


def pictures(shape: tuple[int, int, int], count: int = 3) -> torch.Tensor:
    return torch.rand(count, math.prod(shape), generator=torch.Generator().manual_seed(0))


@EVERY
@SHAPES
def test_contract(name: str, shape: tuple[int, int, int]) -> None:
    """(B, E) in [0, 1], as many as are counted, of the images' type; each image by itself; images untouched."""
    part, images = FEATURES[name], pictures(shape)
    before = images.clone()
    found = part.extract(images, shape)
    assert found.shape == (3, part.count(shape))
    assert found.dtype == images.dtype
    assert ((found >= 0) & (found <= 1)).all()
    assert torch.equal(images, before)
    torch.testing.assert_close(part.extract(images[1:2], shape), found[1:2])


@SHAPES
def test_edges_agree_with_the_slow_obvious_ones(shape: tuple[int, int, int]) -> None:
    images = pictures(shape).double()
    torch.testing.assert_close(edges(images, shape), slow_edges(images, shape))


def test_an_edge_is_strong_in_its_orientation_and_place() -> None:
    """Dark on the left, light on the right of column 4: the gradient lies flat, as the first orientation asks."""
    image = torch.zeros(1, 8, 8)
    image[..., 4:] = 1
    upright, flat, *leaning = edges(image.view(1, 64), (1, 8, 8)).view(4, 4, 4)[:, 1:3]  # at the rims light ends, too
    assert (upright[:, 1:3] > 0.5).all()
    assert not flat.any()
    torch.testing.assert_close(leaning[0], leaning[1])
    assert (leaning[0] <= upright).all()
    assert not upright[:, 0].any()
    turned = edges(image.transpose(1, 2).reshape(1, 64), (1, 8, 8)).view(4, 4, 4)
    torch.testing.assert_close(turned[1].T[1:3], upright)


def test_edges_do_not_mind_the_light() -> None:
    images = pictures((1, 28, 28))
    torch.testing.assert_close(edges(images / 2, (1, 28, 28)), edges(images, (1, 28, 28)), atol=0.02, rtol=0)
    assert not edges(torch.zeros(1, 784), (1, 28, 28)).any()


@pytest.mark.parametrize("encoder", ["direct", "centred", "poisson", "latency"])
@pytest.mark.parametrize("label", ["in_place", "appended"])
def test_a_network_sees_them_behind_the_pixels(encoder: str, label: str) -> None:
    config = RunConfig.parse({"data": {"dataset": "digits"}, "network": {"widths": [5], "encoder": encoder}})
    plain, with_edges = (config.replaced({"network.label": label, "network.features": it}) for it in ("none", "edges"))
    x, pixels = (255 * pictures((1, 8, 8))).byte(), 64 + 10 * (label == "appended")
    network = Network(with_edges)
    assert network.shapes[0].inputs == pixels + 4 * 4 * 4
    seen = network.encode(x, torch.Generator().manual_seed(0))
    assert seen.shape == (1 if encoder in ("direct", "centred") else 4, 3, pixels + 64)
    assert not seen[..., :10].any()
    if encoder == "direct":
        assert torch.equal(seen[..., :pixels], Network(plain).encode(x, torch.Generator()))
        assert torch.equal(seen[0, :, pixels:], edges(x / 255, (1, 8, 8)))


@pytest.mark.parametrize("encoder", ["direct", "poisson"])
def test_spikes_of_an_image_count_theirs(encoder: str) -> None:
    config = RunConfig.parse({"data": {"dataset": "digits"}, "network": {"widths": [5], "encoder": encoder}})
    split = load(config.data, 0)
    plain, more = (Trainer(config.replaced({"network.features": it}), split) for it in ("none", "edges"))
    assert (more.input_spikes > 1.2 * plain.input_spikes) == (encoder == "poisson")


def step(network: Network, fused: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Spikes, loss and gradient of the first layer, which is shown seven images under three labels each."""
    (layer,) = network.each_layer
    assert isinstance(layer, DenseLayer)
    layer.fused = fused
    draw = torch.Generator().manual_seed(1)
    x = (255 * pictures((1, 8, 8), 7)).byte()
    labels = torch.stack([torch.randperm(10, generator=draw)[:3] for _ in range(7)], 1)
    answer = layer(Input(network.encode(x, draw)), labels, 3, loss=True)
    assert answer.loss is not None
    return answer.spikes, answer.loss.detach().float(), torch.autograd.grad(answer.loss, layer.weight)[0]


@pytest.mark.parametrize("encoder", ["direct", "centred", "poisson"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_compiled_path_is_the_plain_one_for_any_number_of_threads(
    encoder: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig.parse({
        "data": {"dataset": "digits"},
        "network": {"widths": [300], "encoder": encoder, "features": "edges", "v_threshold": 0.3},
        "learning": {"negatives_per_image": 2, "precision": precision, "label_smoothing": 0.1},
    })  # fmt: skip
    network = Network(config)
    spikes, loss, gradient = step(network, fused=True)
    if precision == "float32":
        plain_spikes, plain_loss, plain_gradient = step(network, fused=False)
        assert torch.equal(spikes, plain_spikes)
        torch.testing.assert_close(loss, plain_loss)
        assert plain_gradient.abs().max() > 1e-5
        torch.testing.assert_close(gradient, plain_gradient, rtol=0, atol=1e-4 * plain_gradient.abs().max().item())
    monkeypatch.setattr(parallel, "_threads", 3)
    assert all(torch.equal(a, b) for a, b in zip(step(network, fused=True), (spikes, loss, gradient), strict=True))
