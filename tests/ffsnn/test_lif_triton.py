"""The Triton kernels against the plain path: on a GPU where there is one, else by Triton's interpreter on the CPU.

Currents are multiples of 1/16 and tau is 2 where spikes are compared: see `test_neuron.py`.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch

from ffsnn import neuron
from ffsnn.config import NetworkConfig, RunConfig
from ffsnn.datasets.data import Split, load
from ffsnn.dense import DenseLayer
from ffsnn.layer import Input, LayerOutput
from ffsnn.network import Network
from ffsnn.neuron import LIF
from ffsnn.parts.negatives import uniform_negatives
from ffsnn.parts.registry import GOODNESS, SURROGATES
from ffsnn.randomness import generator
from ffsnn.training.trainer import Trainer
from tests.combinations import every_pair_occurs, name_of, pairwise

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    pytest.importorskip("triton")
    return importlib.import_module("ffsnn.kernels.lif_triton")


@pytest.fixture
def small_blocks(kernels: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that even small cases take several pieces a sample, the last one in part, and several a program."""
    monkeypatch.setattr(kernels, "BLOCK", 16)
    monkeypatch.setattr(kernels, "PROGRAMS", 2)
    monkeypatch.setattr(kernels, "_multiprocessors", lambda device: 1)


def lif_of(**changes: Any) -> LIF:
    return LIF.of(NetworkConfig(**{"tau": 2.0, "v_threshold": 0.5, "surrogate_alpha": 1.5} | changes))


class InputCurrent(NamedTuple):
    """As `ffsnn.dense.InputCurrent`."""

    current: torch.Tensor
    label: torch.Tensor | None
    label_index: torch.Tensor | None
    scale: torch.Tensor


def sixteenths(draw: torch.Generator, *shape: int) -> torch.Tensor:
    """From -1.5 to 2.5: some neurons never fire, some always."""
    return torch.randint(-24, 41, shape, generator=draw) / 16


def input_current(T: int, copies: int, width: int, constant: bool, labels: int, rows: int = 5) -> InputCurrent:
    draw, steps = torch.Generator().manual_seed(T + 10 * copies + 100 * width), 1 if constant else T
    label = sixteenths(draw, labels, width).to(DEVICE) / 2 if labels else None
    label_index = torch.randint(labels, (copies * rows,), generator=draw).to(DEVICE) if labels else None
    scale = 2.0 ** torch.randint(-1, 2, (steps, copies * rows), generator=draw)
    return InputCurrent(sixteenths(draw, steps, rows, width).to(DEVICE), label, label_index, scale.to(DEVICE))


Shown = tuple[torch.Tensor, ...]  # spikes, fired, counts, total, squares


def plainly(lif: LIF, T: int, case: InputCurrent) -> Shown:
    current = case.current.float().repeat(1, case.scale.shape[1] // case.current.shape[1], 1)
    if case.label is not None:
        current = current + case.label[case.label_index]
    spikes, counts = neuron.lif(lif, T, current * case.scale[:, :, None])
    return spikes.to(case.current.dtype), spikes.float().sum(2), counts, counts.sum(1), counts.square().sum(1)


def outcome(case: InputCurrent, run: Callable[[InputCurrent], Shown], through: Sequence[int]) -> list[torch.Tensor]:
    """All that is shown, and gradients of current and label through some of it, under a loss that weighs every number
    differently."""
    leaves = [leaf.clone().requires_grad_() for leaf in (case.current, case.label) if leaf is not None]
    shown = run(case._replace(current=leaves[0], label=leaves[1] if len(leaves) > 1 else None))
    loss = torch.zeros((), device=DEVICE)
    for number in through:
        loss = loss + (torch.linspace(-1, 2, shown[number].numel(), device=DEVICE) * shown[number].flatten()).sum()
    return [*(it.detach() for it in shown), *torch.autograd.grad(loss, leaves)]


def assert_fused_is_plain(
    kernels: ModuleType, lif: LIF, T: int, case: InputCurrent, through: Sequence[int] = (2, 3, 4)
) -> None:
    wanted = kernels.Wanted(spikes=True, counts=True)
    fast = outcome(case, lambda case: kernels.SpikingNeurons.apply(*case, T, lif, wanted), through)
    slow = outcome(case, lambda case: plainly(lif, T, case), through)
    for got, expected in zip(fast[:5], slow[:5], strict=True):
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)
    for got, expected in zip(fast[5:], slow[5:], strict=True):
        assert got.dtype == expected.dtype
        assert expected.any()
        tolerance = 1e-5 if case.current.dtype == torch.float32 else 2e-2
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance * expected.abs().max().item())


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "varying"])
@pytest.mark.parametrize("detach_reset", [True, False], ids=["detach", "through"])
@pytest.mark.parametrize("decay_input", [True, False], ids=["decay", "no_decay"])
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("surrogate", list(SURROGATES))
def test_every_neuron(
    surrogate: str, reset: str, decay_input: bool, detach_reset: bool, constant: bool, kernels: ModuleType
) -> None:
    lif = lif_of(surrogate=surrogate, reset=reset, decay_input=decay_input, detach_reset=detach_reset)
    assert_fused_is_plain(kernels, lif, 4, input_current(4, copies=2, width=7, constant=constant, labels=3))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("labels", [0, 10], ids=["unlabelled", "labelled"])
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "varying"])
@pytest.mark.parametrize("width", [1, 16, 19])
@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("T", [1, 5])
def test_every_shape(T: int, copies: int, width: int, constant: bool, labels: int, kernels: ModuleType) -> None:
    assert_fused_is_plain(kernels, lif_of(), T, input_current(T, copies, width, constant, labels))


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_blocks_as_they_are(rows: int, kernels: ModuleType) -> None:
    for constant in (True, False):
        assert_fused_is_plain(kernels, lif_of(), 3, input_current(3, 2, 130, constant, 10, rows))


@pytest.mark.parametrize("constant", [True, False], ids=["constant", "varying"])
def test_a_current_in_bfloat16(constant: bool, kernels: ModuleType) -> None:
    case = input_current(4, copies=2, width=33, constant=constant, labels=10)
    assert_fused_is_plain(kernels, lif_of(), 4, case._replace(current=case.current.bfloat16()))


@pytest.mark.parametrize("through", [(2,), (3,), (4,)], ids=["counts", "total", "squares"])
def test_a_gradient_through_one_of_them(through: tuple[int], kernels: ModuleType) -> None:
    for constant in (True, False):
        assert_fused_is_plain(kernels, lif_of(), 4, input_current(4, 2, 33, constant, 10), through)


def test_what_nobody_wants_is_not_written(kernels: ModuleType) -> None:
    case = input_current(4, copies=2, width=33, constant=False, labels=10)
    spikes, fired, counts, *sums = kernels.SpikingNeurons.apply(*case, 4, lif_of(), kernels.Wanted(False, False))
    assert (spikes.shape, fired.shape, counts.shape) == ((0, 10, 33), (0, 10), (0, 33))
    for got, expected in zip(sums, plainly(lif_of(), 4, case)[3:], strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("surrogate", list(SURROGATES))
def test_a_gradient_through_many_steps(surrogate: str, kernels: ModuleType) -> None:
    """Where a leak is no power of two, spikes may differ in rounding: none does here."""
    lif = lif_of(surrogate=surrogate, tau=1.7, surrogate_alpha=3.1)
    assert_fused_is_plain(kernels, lif, 20, input_current(20, copies=2, width=6, constant=True, labels=10))


CHOICES: dict[str, list[Any]] = {
    "network.encoder": ["direct", "centred", "poisson", "latency"],
    "network.between": ["spikes", "rate"],
    "network.label": ["in_place", "appended"],
    "network.normalize": [True, False, (True, False), (False, True)],
    "network.activity": ["rate", "count"],
    "network.goodness": list(GOODNESS),
    "learning.output": ["goodness", "mse"],
    "network.label_layers": ["first", "every"],
    "learning.rate_penalty": [0, 0.5],
    "labels": [2, 10, None],
}
COMBINATIONS = pairwise(CHOICES)


def test_every_pair_of_choices_occurs() -> None:
    assert every_pair_occurs(COMBINATIONS, CHOICES)


@pytest.fixture(scope="module")
def split() -> Split:
    return load(RunConfig.parse({"data": {"dataset": "digits"}}).data, 0, device=DEVICE)


def with_gradient(layer: DenseLayer, answer: LayerOutput, true: torch.Tensor) -> list[torch.Tensor]:
    """The answer, and the gradient of the layer's local loss, if there is a pair to lose."""
    seen = [it.detach() for it in (answer.spikes[..., : layer.weight.shape[1]], *answer[1:4])]
    if len(answer.goodness) != 2 * len(true):
        return seen
    return [*seen, torch.autograd.grad(layer.local_loss(answer, true), layer.weight)[0]]


@pytest.mark.parametrize("changes", COMBINATIONS, ids=name_of)
def test_a_layer_is_the_plain_one(changes: dict[str, Any], kernels: ModuleType, split: Split) -> None:
    """DenseLayer after layer of a network, under true and wrong labels, all ten, or the neutral one."""
    base = {
        "data": {"dataset": "digits"},
        "network": {"widths": [20, 10], "T": 3, "tau": 1.7, "v_threshold": 0.2, "label_amplitude": 1.3},
        "learning": {"alpha": 2.0},
    }
    network = Network(RunConfig.parse(base).replaced({k: v for k, v in changes.items() if k != "labels"})).to(DEVICE)
    x, true = split.train.x[:16], split.train.y[:16]
    every = torch.arange(10, device=DEVICE)[:, None].expand(-1, 16)
    wrong = uniform_negatives(true, 10, torch.Generator(DEVICE).manual_seed(1))
    y = {2: torch.cat([true[None], wrong]), 10: every, None: None}[changes["labels"]]
    copies = 1 if y is None else len(y)
    seen = Input(network.encode(x, generator(0, "noise", 0, device=DEVICE)))
    for number, layer in enumerate(network.each_layer):
        layer.fused = False
        answer = layer._on_gpu(seen, y, copies, spikes=True, rates=True)
        fast, slow = (with_gradient(layer, it, true) for it in (answer, layer(seen, y, copies)))
        assert torch.equal(fast[0], slow[0].float())
        assert torch.equal(fast[1], slow[1])
        for got, expected in zip(fast[2:], slow[2:], strict=True):
            assert expected.norm() > 0
            assert (got - expected).norm() / expected.norm() < 1e-5
        seen = network.hand_on(answer, generator(0, "noise", number + 1, device=DEVICE))


def on_gpu(
    layer: DenseLayer, seen: Input, y: Any, copies: int, spikes: bool, rates: bool, true: torch.Tensor | None
) -> LayerOutput:
    """In place of `DenseLayer._on_cpu`."""
    answer = layer._on_gpu(seen, y, copies, spikes, rates)
    return answer if true is None else answer._replace(loss=layer.local_loss(answer, true))


@pytest.mark.parametrize(("output", "loss"), [("goodness", "swish"), ("goodness", "softmax"), ("mse", "threshold")])
def test_several_negatives_dropout_and_averages_train_as_on_the_plain_path(
    output: str, loss: str, kernels: ModuleType, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps, the second with another size. 16 neurons, a tile: so dropout draws as many numbers on both."""
    monkeypatch.setattr(DenseLayer, "_on_cpu", on_gpu)
    monkeypatch.setattr(DenseLayer, "compiled", property(lambda layer: layer.fused))
    config = RunConfig.parse({
        "data": {"dataset": "digits"},
        "network": {"widths": [16, 10], "T": 3, "tau": 1.7, "v_threshold": 0.2},
        "learning": {"alpha": 2.0, "loss": loss, "theta": 0.1 if loss == "threshold" else None, "output": output,
                     "negatives_per_image": 3, "negatives": "uniform", "dropout": 0.3, "average": 1,
                     "schedule": "constant"},
    })  # fmt: skip
    trainers = []
    for fused in (True, False):
        trainer = Trainer(config, split)
        trainer.captured = None
        for layer in trainer.layers:
            layer.fused = fused  # type: ignore[assignment]
        trainers.append(trainer)
    assert trainers[0].averages is not None
    before = {name: weight.clone() for name, weight in trainers[0].averages.average.items()}
    for batch, index in enumerate(torch.arange(40, device=DEVICE).split([16, 8, 16])):
        fast, slow = (trainer.train_batch(index, batch) for trainer in trainers)
        torch.testing.assert_close(fast, slow, rtol=1e-3, atol=1e-4)
    for name, mean in trainers[0].averages.average.items():
        expected = trainers[1].averages.average[name]  # type: ignore[union-attr]
        assert (mean - expected).norm() < 1e-2 * (expected - before[name]).norm()
        assert not torch.equal(mean, before[name])


@pytest.mark.skipif(DEVICE.type == "cpu", reason="there is no GPU")
def test_a_layer_on_a_gpu_takes_the_kernels(split: Split) -> None:
    network = Network(RunConfig.parse({"data": {"dataset": "digits"}})).to(DEVICE)
    layer = network.each_layer[0]
    assert layer.compiled
    seen = Input(network.encode(split.train.x[:16], generator(0, "noise", 0, device=DEVICE)))
    assert len(layer(seen, split.train.y[None, :16], 1, spikes=False).spikes) == 0


BUILD = """
import itertools, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from ffsnn.kernels import lif_triton
from ffsnn.parts.registry import SURROGATES

def build(kernel, numbers, constants):
    types = {name: "i32" for name in ("T", "R", "H", "pieces", "copies")} | {"label_index": "*i64"}
    types |= {name: "fp32" for name in ("leak", "threshold", "alpha")} | dict.fromkeys(constants, "constexpr")
    types |= {"current": f"*{numbers}", "d_current": f"*{numbers}"}
    types |= {"spikes": f"*{numbers}", "potential": f"*{numbers}"}
    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    source = ASTSource(kernel, signature, constants)
    return triton.compile(source, target=GPUTarget("cuda", int(sys.argv[1]), 32)).asm["cubin"]

built = 0
for constant, hard, numbers in itertools.product((True, False), (True, False), ("fp32", "bf16")):
    shape = {"CONSTANT": constant, "LABELLED": constant, "HARD": hard, "BLOCK": lif_triton.BLOCK}
    built += len(build(lif_triton._forward, numbers, shape | {"SPIKES": hard, "COUNTS": constant})) > 0
    surrogate = list(SURROGATES)[built // 2 % len(SURROGATES)]
    built += len(build(lif_triton._backward, numbers, shape | {
        "DETACH": not hard, "SURROGATE": surrogate, "COUNTS": constant, "TOTAL": hard, "SQUARES": not hard,
    })) > 0
print(built, "built")
"""


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_are_built_for_a_gpu_that_is_not_here(capability: int, tmp_path: Any) -> None:
    """By Triton's compiler and ptxas, which need no GPU."""
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(capability)], capture_output=True, text=True, timeout=280,
        env={**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"},
    )  # fmt: skip
    assert done.stdout.strip() == "16 built", done.stderr[-2000:]
