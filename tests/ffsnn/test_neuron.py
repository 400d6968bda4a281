"""The neuron by hand, fused against plain, and its gradient against finite differences.

Currents are multiples of 1/16 and tau is 2 where spikes are compared: float32 then holds every membrane potential
exactly, so both paths must give the same bits on any machine, and potentials on the threshold are met, not avoided.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional

from ffsnn.config import NetworkConfig
from ffsnn.lif_cpu import SURROGATES as COMPILED
from ffsnn.neuron import LIF, SURROGATES, lif

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


@BOTH_PATHS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize(("reset", "decay_input"), BY_HAND)
def test_ten_steps_by_hand(reset: str, decay_input: bool, dtype: torch.dtype, fused: bool) -> None:
    expected, _ = BY_HAND[reset, decay_input]
    current = torch.tensor(CURRENT, dtype=dtype).view(10, 1, 1)
    scale = torch.ones(1, 1, dtype=torch.float64 if dtype == torch.float64 else torch.float32)
    one = neuron(v_threshold=1.0, reset=reset, decay_input=decay_input)
    spikes, counts = lif(one, 10, current, scale, fused=fused)
    assert spikes.flatten().tolist() == expected
    assert spikes.dtype == dtype
    assert counts.tolist() == [[sum(expected)]]
    assert counts.dtype == scale.dtype
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
    current = torch.tensor([1.0, 2.0]).view(2, 1, 1).requires_grad_()
    _, counts = lif(one, 2, current, torch.ones(1, 1), fused=fused)
    counts.sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == [0.34375, 0.375]


def sixteenths(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """From -1.5 to 2.5: some neurons never fire, some always."""
    return torch.randint(-24, 41, shape, generator=generator) / 16


def inputs(T: int, copies: int, width: int, current_in_time: bool, scale_in_time: bool) -> list[torch.Tensor]:
    """Current, scale and offset for 5 rows; 0 copies: without an offset."""
    generator = torch.Generator().manual_seed(T + 10 * copies + 100 * width)
    current = sixteenths(generator, T if current_in_time else 1, 5, width)
    scale = 2.0 ** torch.randint(-1, 2, (T if scale_in_time else 1, 5), generator=generator)
    return [current, scale, *([sixteenths(generator, copies * 5, width) / 2] if copies else [])]


def spikes_and_gradients(one: LIF, T: int, tensors: list[torch.Tensor], fused: bool) -> list[torch.Tensor]:
    """Spikes, counts, and the gradients of current and offset under a loss that weighs every count differently."""
    current, scale, *offset = (tensor.clone() for tensor in tensors)
    leaves = [current.requires_grad_(), *(tensor.requires_grad_() for tensor in offset)]
    spikes, counts = lif(one, T, current, scale, *offset, fused=fused)
    weights = torch.linspace(-1, 2, counts.numel()).view_as(counts)
    return [spikes, counts.detach(), *torch.autograd.grad((weights * counts).sum(), leaves)]


def assert_fused_is_plain(one: LIF, T: int, tensors: list[torch.Tensor], rtol: float = 1e-4) -> None:
    fast, slow = (spikes_and_gradients(one, T, tensors, fused) for fused in (True, False))
    assert torch.equal(fast[0], slow[0])
    assert torch.equal(fast[1], slow[1])
    for got, expected in zip(fast[2:], slow[2:], strict=True):
        assert expected.any()
        torch.testing.assert_close(got, expected, rtol=rtol, atol=rtol / 10)


def test_every_surrogate_is_compiled() -> None:
    assert set(COMPILED) == set(SURROGATES)


@pytest.mark.parametrize("detach_reset", [True, False], ids=["detach", "through"])
@pytest.mark.parametrize("decay_input", [True, False], ids=["decay", "no_decay"])
@RESETS
@EVERY_SURROGATE
def test_fused_is_plain_for_every_neuron(surrogate: str, reset: str, decay_input: bool, detach_reset: bool) -> None:
    one = neuron(surrogate=surrogate, reset=reset, decay_input=decay_input, detach_reset=detach_reset)
    assert_fused_is_plain(one, 4, inputs(4, copies=2, width=9, current_in_time=True, scale_in_time=True))


@pytest.mark.parametrize("width", [1, 7, 33, 128])
@pytest.mark.parametrize(("current_in_time", "scale_in_time"), list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("copies", [0, 1, 2, 10])
@pytest.mark.parametrize("T", [1, 4])
def test_fused_is_plain_for_every_shape(
    T: int, copies: int, current_in_time: bool, scale_in_time: bool, width: int
) -> None:
    assert_fused_is_plain(neuron(), T, inputs(T, copies, width, current_in_time, scale_in_time))


@EVERY_SURROGATE
def test_fused_is_plain_in_bfloat16(surrogate: str) -> None:
    current, *rest = inputs(4, 2, 33, current_in_time=True, scale_in_time=False)
    assert_fused_is_plain(neuron(surrogate=surrogate), 4, [current.bfloat16(), *rest], rtol=1e-2)


@pytest.mark.parametrize("part", [0, 2], ids=["current", "offset"])
def test_memory_layout_does_not_matter(part: int) -> None:
    """`torch.empty_like` keeps strides, so a gradient is easily written to a copy that nobody reads."""
    tensors = inputs(4, 2, 7, current_in_time=True, scale_in_time=False)
    expected = spikes_and_gradients(neuron(), 4, tensors, fused=True)
    tensors[part] = tensors[part].transpose(-1, -2).contiguous().transpose(-1, -2)
    assert not tensors[part].is_contiguous()
    for got, wanted in zip(spikes_and_gradients(neuron(), 4, tensors, fused=True), expected, strict=True):
        assert torch.equal(got, wanted)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("copies", [0, 2])
def test_the_number_of_threads_does_not_change_a_bit(copies: int, set_threads: Callable[[int], None]) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(4, 5, 33, generator=generator), torch.rand(1, 5, generator=generator)]
    tensors += [torch.randn(copies * 5, 33, generator=generator)] if copies else []
    results = []
    for threads in (1, 2, 7):  # 7: more threads than rows
        set_threads(threads)
        results.append(spikes_and_gradients(neuron(tau=1.7), 4, tensors, fused=True))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def smoothed(one: LIF) -> Callable[[torch.Tensor], torch.Tensor]:
    """The primitive of the surrogate derivative; SpikingJelly leaves SuperSpike's out."""
    if one.surrogate == "super_spike":
        return lambda x: one.surrogate_alpha * x / (1 + x.abs())
    function = SURROGATES[one.surrogate](alpha=one.surrogate_alpha)
    function.set_spiking_mode(False)
    return function


@BOTH_PATHS
@EVERY_SURROGATE
@pytest.mark.parametrize("alpha", [0.7, 2.0, 5.0])
def test_a_spikes_derivative_is_that_of_the_smoothed_spike(surrogate: str, alpha: float, fused: bool) -> None:
    """One step; the smoothed spike's slope by central differences, in float64 with a step of 1e-5."""
    one = neuron(surrogate=surrogate, surrogate_alpha=alpha)
    current = torch.linspace(-3.03, 4.01, 51)  # no kink within a step
    scale = torch.tensor([[1.5]])
    h = one.gain * 1.5 * current.double() - one.v_threshold
    smooth = smoothed(one)
    expected = one.gain * 1.5 * (smooth(h + 1e-5) - smooth(h - 1e-5)) / 2e-5
    leaf = current.view(1, 1, -1).clone().requires_grad_()
    lif(one, 1, leaf, scale, fused=fused)[1].sum().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad.flatten().double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("surrogate", [name for name in SURROGATES if name != "super_spike"])
@RESETS
def test_the_plain_gradient_through_time_is_that_of_the_smoothed_neuron(surrogate: str, reset: str) -> None:
    """Finite differences of the whole neuron with smoothed spikes: leak, reset, scale and offset over four steps."""
    one = neuron(surrogate=surrogate, reset=reset, tau=1.7)
    one.surrogate_function.set_spiking_mode(False)  # type: ignore[operator]
    generator = torch.Generator().manual_seed(1)
    current = torch.randn(4, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    offset = torch.randn(6, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    scale = torch.rand(1, 3, generator=generator, dtype=torch.float64) + 0.5
    assert torch.autograd.gradcheck(lambda x, o: lif(one, 4, x, scale, o)[1], (current, offset), eps=1e-7, atol=1e-5)
