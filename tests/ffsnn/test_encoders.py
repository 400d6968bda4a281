"""One contract for all encoders, and what Poisson spikes and latencies must be like."""

import pytest
import torch
from spikingjelly.activation_based.encoding import LatencyEncoder

from ffsnn.config import RunConfig
from ffsnn.layer import LayerOutput
from ffsnn.network import Network
from ffsnn.parts.encoders import ENCODERS

EVERY_ENCODER = pytest.mark.parametrize("name", ENCODERS)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@EVERY_ENCODER
@DTYPES
@pytest.mark.parametrize("T", [1, 4])
def test_contract(name: str, dtype: torch.dtype, T: int) -> None:
    """(1 or T, B, F), same type, images untouched, same generator same bits; spikes are 0 or 1, black sends none."""
    images = torch.rand(5, 7, generator=seeded(0)).to(dtype)
    images[:, 0] = 0
    before = images.clone()
    encoded = ENCODERS[name].encode(images, T, seeded(1))
    assert encoded.shape in {(1, 5, 7), (T, 5, 7)}
    assert encoded.dtype == (dtype if ENCODERS[name].constant else torch.uint8)
    if not ENCODERS[name].constant:
        assert encoded.max() <= 1
        assert not encoded[..., 0].any()
    assert torch.equal(images, before)
    assert torch.equal(encoded, ENCODERS[name].encode(images, T, seeded(1)))


def test_direct_is_the_image() -> None:
    images = torch.rand(3, 4, generator=seeded(0))
    assert torch.equal(ENCODERS["direct"].encode(images, 6, seeded(1)), images[None])


def test_centred_is_the_image_less_its_mean() -> None:
    encoded = ENCODERS["centred"].encode(torch.tensor([[1.0, 0.0, 0.5], [0.5, 0.5, 0.5]]), 6, seeded(1))
    assert torch.equal(encoded, torch.tensor([[[0.5, -0.5, 0.0], [0.0, 0.0, 0.0]]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "plain"])
def test_poisson_spikes_at_the_rate_of_the_intensity(dtype: torch.dtype) -> None:
    intensities = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    spikes = ENCODERS["poisson"].encode(intensities.to(dtype).expand(1000, 5), 20, seeded(0)).double()
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    means = spikes.mean((0, 1))
    assert (means - intensities).abs().max() < 5 * 0.5 / 20_000**0.5  # 5 standard deviations at the most
    assert means[0] == 0
    assert means[-1] == 1


def test_poisson_draws_every_step_and_image_afresh() -> None:
    spikes = ENCODERS["poisson"].encode(torch.full((2, 4000), 0.5), 3, seeded(0)).flatten(0, 1).float()
    correlations = torch.corrcoef(spikes) - torch.eye(6)
    assert correlations.abs().max() < 5 / 4000**0.5


def test_poisson_of_two_seeds_differs() -> None:
    images = torch.full((2, 50), 0.5)
    assert not torch.equal(
        ENCODERS["poisson"].encode(images, 3, seeded(0)), ENCODERS["poisson"].encode(images, 3, seeded(1))
    )


def test_latency_by_hand() -> None:
    """T = 5: white at step 0, then a step later for each quarter less; black never."""
    spikes = ENCODERS["latency"].encode(torch.tensor([[1.0, 0.75, 0.5, 0.25, 0.01, 0.0]]), 5, seeded(0))[:, 0]
    assert spikes.T.tolist() == [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("T", [2, 3, 4, 9])
def test_latency_is_spikingjellys_but_for_black(T: int) -> None:
    images = torch.arange(256.0).view(2, 128) / 255
    encoder = LatencyEncoder(T)
    theirs = torch.stack([encoder(images) for _ in range(T)])
    spikes = ENCODERS["latency"].encode(images, T, seeded(0))
    assert torch.equal(spikes, theirs * (images > 0))
    assert spikes.sum(0).flatten().tolist() == [0] + [1] * 255
    when = spikes.argmax(0).flatten()[1:]
    assert (when.diff() <= 0).all()  # the brighter, the earlier


@pytest.mark.parametrize("name", ["poisson", "latency"])
@pytest.mark.parametrize("T", [2, 3, 4, 9])
def test_rounding_to_bfloat16_moves_no_spike(name: str, T: int) -> None:
    """Intensities are rounded after they are encoded: 191/255 would become 0.75, and its spike one step early."""
    spikes = []
    for precision in ("float32", "bfloat16"):
        changes = {"network.encoder": name, "network.between": "rate", "network.T": T, "learning.precision": precision}
        network = Network(RunConfig.parse({"network": {"widths": [2]}}).replaced(changes))
        encoded = network.encode(torch.arange(784).remainder(256).byte()[None], seeded(0))
        rates = torch.arange(785.0)[None] / 784
        handed_on = network.hand_on(LayerOutput(encoded, rates, rates.mean(1), rates.mean()), seeded(1)).x
        spikes.append([encoded.float(), handed_on.float()])
    assert all(torch.equal(a, b) for a, b in zip(*spikes, strict=True))
