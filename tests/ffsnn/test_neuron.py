"""The neuron by hand, fused against plain, and its gradient against finite differences.

Currents are multiples of 1/16 and tau is 2 where spikes are compared: float32 then holds every membrane potential
exactly, so both paths must give the same bits on any machine, and potentials on the threshold are met, not avoided.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from spikingjelly.activation_based import functional

from ffsnn.config import NetworkConfig
from ffsnn.kernels import parallel, sparse_input
from ffsnn.kernels.lif_cpu import SpikingLayer, from_tiles, in_tiles
from ffsnn.kernels.lif_kernels import SURROGATES as COMPILED
from ffsnn.kernels.loss_gradients import LossGradients
from ffsnn.neuron import LIF, lif
from ffsnn.parts.registry import SURROGATES

BOTH_PATHS = pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
RESETS = pytest.mark.parametrize("reset", ["soft", "hard"])
EVERY_SURROGATE = pytest.mark.parametrize("surrogate", list(SURROGATES))


def neuron(**changes: Any) -> LIF:
    return LIF.of(NetworkConfig(**{"tau": 2.0, "v_threshold": 0.5, "surrogate_alpha": 1.5} | changes))


# Ten steps by hand, tau = 2 and v_threshold = 1, so a potential halves each step:
#   decay_input:  h = v / 2 + x / 2        without:  h = v / 2 + x
# A spike where h >= 1 (at h = 1 too); then v = h - 1 (soft) or 0 (hard).
CURRENT = [2.0, 1.0, 2.0, 1.5, 0.0, 3.0, 4.0, 1.5, -2.0, 5.0]
BY_HAND = {
    #                    h:  1   .5   1.25  .875   .4375   1.71875   2.359375   1.4296875    -.78515625    2.107421875
    ("soft", True): (
        [1, 0, 1, 0, 0, 1, 1, 1, 0, 1],
        [0.0, 0.5, 0.25, 0.875, 0.4375, 0.71875, 1.359375, 0.4296875, -0.78515625, 1.107421875],
    ),
    #                    h:  1   .5   1.25  .75   .375   1.6875   2   .75   -.625   2.1875
    ("hard", True): (
        [1, 0, 1, 0, 0, 1, 1, 0, 0, 1],
        [0.0, 0.5, 0.0, 0.75, 0.375, 0.0, 0.0, 0.75, -0.625, 0.0],
    ),
    #                    h:  2   1.5   2.25   2.125   .5625   3.28125   5.140625   3.5703125   -.71484375   4.642578125
    ("soft", False): (
        [1, 1, 1, 1, 0, 1, 1, 1, 0, 1],
        [1.0, 0.5, 1.25, 1.125, 0.5625, 2.28125, 4.140625, 2.5703125, -0.71484375, 3.642578125],
    ),
    #                    h:  2   1   2   1.5   0   3   4   1.5   -2   4
    ("hard", False): (
        [1, 1, 1, 1, 0, 1, 1, 1, 0, 1],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0, 0.0],
    ),
}


def fire(
    one: LIF, T: int, x: torch.Tensor, weight: torch.Tensor, fused: bool, scale: torch.Tensor | None = None,
    copies: int = 1, varied: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Spikes (T, B, H) and counts (B, H) for inputs (1 or T, B, F) through weights (F, H), and a loss: the sum of all
    counts; `varied`: of counts, sums of counts and sums of squares, each times a number of its own."""
    scale = torch.ones(x.shape[:2]) if scale is None else scale
    B, H = x.shape[1], weight.shape[1]
    by_total, by_square, by_count = torch.ones(B), torch.zeros(B), torch.zeros(B, H)
    if varied:
        by_total, by_square = torch.linspace(1, -2.5, B), torch.linspace(0.5, -1, B) / T
        by_count = torch.linspace(-1, 2, B * H).view(B, H)

    def loss_of(begin: int, end: int, *_: Any) -> LossGradients:
        those = torch.arange(B).view(copies, -1)[:, begin:end].flatten()
        return LossGradients(0.0, *(by[those].numpy() for by in (by_total, by_square, by_count)))

    if fused:
        spikes, _, _, counts, loss = SpikingLayer.apply(
            weight, sparse_input.of_spikes(x, copies), scale, T, one, True, loss_of
        )
        return spikes, counts, loss
    spikes, counts = lif(one, T, (x.to(weight.dtype) @ weight) * scale[:, :, None])
    return spikes, counts, (by_total @ counts + by_square @ counts.square()).sum() + (by_count * counts).sum()


def current_by_current(values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and weights of one neuron that is shown these currents: input t fires at step t."""
    return torch.eye(len(values), dtype=torch.uint8)[:, None], torch.tensor(values)[:, None]


@BOTH_PATHS
@pytest.mark.parametrize(("reset", "decay_input"), BY_HAND)
def test_ten_steps_by_hand(reset: str, decay_input: bool, fused: bool) -> None:
    expected, _ = BY_HAND[reset, decay_input]
    one = neuron(v_threshold=1.0, reset=reset, decay_input=decay_input)
    spikes, counts, _ = fire(one, 10, *current_by_current(CURRENT), fused=fused)
    assert spikes.flatten().tolist() == expected
    assert spikes.dtype == torch.uint8
    assert counts.tolist() == [[sum(expected)]]
    assert counts.dtype == torch.float32
    assert not spikes.requires_grad


@pytest.mark.parametrize(("reset", "decay_input"), BY_HAND)
def test_spikingjelly_has_the_membrane_potentials_by_hand(reset: str, decay_input: bool) -> None:
    _, expected = BY_HAND[reset, decay_input]
    x = torch.tensor(CURRENT)
    v_reset = None if reset == "soft" else 0.0
    _, _, v = functional.lif_multi_step(x, torch.tensor(0.0), 2.0, decay_input, 1.0, v_reset, store_v_seq=True)
    assert v.tolist() == expected


@BOTH_PATHS
def test_a_gradient_by_hand(fused: bool) -> None:
    """tau = 2, threshold 1, piecewise quadratic with alpha 1: slope(h) = 1 - |h - 1|; x = 1, 2, with decay_input, soft.

    h1 = 0.5, no spike, slope 0.5; h2 = 0.25 + 1 = 1.25, spike, slope 0.75. The loss is the count.
    dL/dh2 = 0.75; dL/dv1 = 0.75 / 2 = 0.375; dL/dh1 = 0.5 + 0.375 * (1 - 1 * 0.5) = 0.6875; dL/dx = dL/dh / 2.
    """
    one = neuron(v_threshold=1.0, surrogate="piecewise_quadratic", surrogate_alpha=1.0)
    x, weight = current_by_current([1.0, 2.0])
    *_, loss = fire(one, 2, x, weight.requires_grad_(), fused=fused)
    loss.backward()
    assert weight.grad is not None
    assert weight.grad.flatten().tolist() == [0.34375, 0.375]


def sixteenths(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """From -1.5 to 2.5: some neurons never fire, some always."""
    return torch.randint(-24, 41, shape, generator=generator) / 16


class Shown(NamedTuple):
    x: torch.Tensor
    weight: torch.Tensor
    scale: torch.Tensor
    copies: int


def shown(T: int, copies: int, width: int, constant: bool = False, density: float = 0.2) -> Shown:
    """Inputs of 5 rows whose copies differ a little; constant: fractions instead of spikes."""
    generator = torch.Generator().manual_seed(T + 10 * copies + 100 * width)
    steps, inputs = 1 if constant else T, 21
    row = torch.rand(1, 1, 5, inputs, generator=generator) < density
    apart = torch.rand(steps, copies, 5, inputs, generator=generator) < 0.1
    x = (row ^ apart).flatten(1, 2).to(torch.uint8)
    scale = 2.0 ** torch.randint(-1, 2, (steps, copies * 5), generator=generator)
    return Shown(x * 0.25 if constant else x, sixteenths(generator, inputs, width) / 2, scale, copies)


def spikes_and_gradient(one: LIF, T: int, case: Shown, fused: bool) -> list[torch.Tensor]:
    """Spikes, counts, and the gradient of the weights under a loss that weighs every count and sum differently."""
    weight = case.weight.clone().requires_grad_()
    spikes, counts, loss = fire(one, T, case.x, weight, fused, case.scale, case.copies, varied=True)
    return [spikes, counts.detach(), torch.autograd.grad(loss, weight)[0]]


def assert_fused_is_plain(one: LIF, T: int, case: Shown) -> None:
    fast, slow = (spikes_and_gradient(one, T, case, fused) for fused in (True, False))
    assert torch.equal(fast[0], slow[0])
    assert torch.equal(fast[1], slow[1])
    assert slow[2].any()
    torch.testing.assert_close(fast[2], slow[2], rtol=1e-4, atol=1e-4)


def test_every_surrogate_is_compiled() -> None:
    assert set(COMPILED) == set(SURROGATES)


@pytest.mark.parametrize("detach_reset", [True, False], ids=["detach", "through"])
@pytest.mark.parametrize("decay_input", [True, False], ids=["decay", "no_decay"])
@RESETS
@EVERY_SURROGATE
def test_fused_is_plain_for_every_neuron(surrogate: str, reset: str, decay_input: bool, detach_reset: bool) -> None:
    one = neuron(surrogate=surrogate, reset=reset, decay_input=decay_input, detach_reset=detach_reset)
    assert_fused_is_plain(one, 4, shown(4, copies=2, width=9))


@pytest.mark.parametrize("width", [1, 7, 64, 130])
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "spikes"])
@pytest.mark.parametrize("copies", [1, 2, 10])
@pytest.mark.parametrize("T", [1, 4, 130])
def test_fused_is_plain_for_every_shape(T: int, copies: int, constant: bool, width: int) -> None:
    assert_fused_is_plain(neuron(), T, shown(T, copies, width, constant))


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_fused_is_plain_for_silent_and_for_busy_inputs(density: float) -> None:
    assert_fused_is_plain(neuron(), 4, shown(4, copies=2, width=9, density=density))


def test_weights_larger_than_the_cache_are_cut_into_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = spikes_and_gradient(neuron(), 4, case := shown(4, copies=2, width=200), fused=True)
    monkeypatch.setattr("ffsnn.kernels.lif_cpu.WEIGHT_TILE_BYTES", 4 * 21 * 64)
    assert len(in_tiles(case.weight)) == 4
    for got, expected in zip(spikes_and_gradient(neuron(), 4, case, fused=True), whole, strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("kept", [1, 2 * 4 * 4 * 2 * 9, 2**30])
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "spikes"])
def test_rows_may_pass_one_by_one_or_all_at_once(kept: int, constant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five rows, of which one, two or all have room; each pass adds to the same gradient in the same order."""
    whole = spikes_and_gradient(neuron(tau=1.7), 4, case := shown(4, copies=2, width=9, constant=constant), fused=True)
    monkeypatch.setattr("ffsnn.kernels.lif_cpu.POTENTIAL_BYTES", kept)
    for got, expected in zip(spikes_and_gradient(neuron(tau=1.7), 4, case, fused=True), whole, strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("neurons", [1, 64, 100, 500])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_tiles_hold_all_weights(neurons: int, threads: int, set_threads: Callable[[int], None]) -> None:
    set_threads(threads)
    weight = torch.rand(3, neurons)
    tiles = in_tiles(weight)
    assert tiles.shape[2] % 64 == 0
    assert torch.equal(from_tiles(tiles, neurons), weight)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = parallel.threads(), torch.get_num_threads()
    yield parallel.use_threads
    parallel.use_threads(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.parametrize("copies", [1, 2])
def test_the_number_of_threads_does_not_change_a_bit(copies: int, set_threads: Callable[[int], None]) -> None:
    case = shown(4, copies, width=330)
    case = case._replace(weight=torch.randn(case.weight.shape, generator=torch.Generator().manual_seed(0)))
    results = []
    for threads in (1, 2, 7):  # 7: more threads than rows
        set_threads(threads)
        results.append(spikes_and_gradient(neuron(tau=1.7), 4, case, fused=True))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def smoothed(one: LIF) -> Callable[[torch.Tensor], torch.Tensor]:
    """The primitive of the surrogate derivative; SpikingJelly leaves SuperSpike's out."""
    if one.surrogate == "super_spike":
        return lambda x: one.surrogate_alpha * x / (1 + x.abs())
    function = SURROGATES[one.surrogate].make(alpha=one.surrogate_alpha)
    function.set_spiking_mode(False)
    return function


@BOTH_PATHS
@EVERY_SURROGATE
@pytest.mark.parametrize("alpha", [0.7, 2.0, 5.0])
def test_a_spikes_derivative_is_that_of_the_smoothed_spike(surrogate: str, alpha: float, fused: bool) -> None:
    """One step; the smoothed spike's slope by central differences, in float64 with a step of 1e-5."""
    one = neuron(surrogate=surrogate, surrogate_alpha=alpha)
    current = torch.linspace(-3.03, 4.01, 51)  # no kink within a step
    x, scale = torch.ones(1, 1, 1, dtype=torch.uint8), torch.tensor([[1.5]])
    h = one.gain * 1.5 * current.double() - one.v_threshold
    smooth = smoothed(one)
    expected = one.gain * 1.5 * (smooth(h + 1e-5) - smooth(h - 1e-5)) / 2e-5
    leaf = current.view(1, -1).clone().requires_grad_()
    fire(one, 1, x, leaf, fused, scale)[2].backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad.flatten().double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("surrogate", [name for name in SURROGATES if name != "super_spike"])
@RESETS
def test_the_plain_gradient_through_time_is_that_of_the_smoothed_neuron(surrogate: str, reset: str) -> None:
    """Finite differences of the whole neuron with smoothed spikes: leak and reset over four steps."""
    one = neuron(surrogate=surrogate, reset=reset, tau=1.7)
    one.surrogate_function.set_spiking_mode(False)  # type: ignore[operator]
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: lif(one, 4, x)[1], (x,), eps=1e-7, atol=1e-5)
