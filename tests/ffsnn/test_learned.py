"""Learned v_threshold and tau: by hand, against autograd through a literal neuron, and all that takes a network."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron as spikingjelly

from ffsnn.config import NetworkConfig, RunConfig
from ffsnn.datasets.data import load
from ffsnn.dense import DenseLayer
from ffsnn.inference import exits, stepping
from ffsnn.kernels import sparse_input
from ffsnn.kernels.lif_cpu import SpikingLayer, compile_once
from ffsnn.kernels.loss_gradients import LossGradients
from ffsnn.learned import LearnedNeurons
from ffsnn.network import Network
from ffsnn.neuron import LIF, lif
from ffsnn.parts.registry import SURROGATES
from ffsnn.training import run_folder
from ffsnn.training.run import Run
from ffsnn.training.trainer import Trainer
from ffsnn.validation import ConfigError
from spaces.space import Space

RUN = RunConfig.parse({
    "data": {"dataset": "digits"}, "network": {"widths": [20, 16], "T": 4, "learn": "both", "learn_scope": "neuron"},
    "learning": {"batch_size": 128, "epochs": 2, "lr": 0.01, "alpha": 20, "weight_decay": 0.001},
})  # fmt: skip
T, B, F, H = 5, 6, 12, 70  # more than a vector of neurons, so that some fill a tile


def literal(one: LIF, current: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Counts (B, H) by SpikingJelly's three steps, written out."""
    (leak, gain, threshold), v, counts = own, torch.zeros_like(current[0]), torch.zeros_like(current[0])
    function = SURROGATES[one.surrogate].make(alpha=one.surrogate_alpha)
    for x in current:
        v = leak * v + gain * x
        spike = function(v - threshold)
        fall = spike.detach() if one.detach_reset else spike
        v = v - fall * threshold if one.reset == "soft" else v * (1 - fall)
        counts = counts + spike
    return counts


def fused(one: LIF, x: torch.Tensor, weight: torch.Tensor, own: torch.Tensor, by: torch.Tensor) -> tuple[Any, Any]:
    """Counts and a loss, the sum of counts times `by` (B, H)."""

    def loss_of(begin: int, end: int, *_: Any) -> LossGradients:
        zero = torch.zeros(end - begin).numpy()
        return LossGradients(0.0, zero, zero, by[begin:end].numpy())

    compile_once(own=True)
    _, _, _, counts, loss = SpikingLayer.apply(
        weight, sparse_input.of_spikes(x, 1), torch.linspace(0.8, 1.2, T * B).view(T, B), T, one, False, loss_of, own
    )
    return counts, loss


@pytest.mark.parametrize("compiled", [True, False])
def test_gradients_by_hand(compiled: bool) -> None:
    """As `test_a_gradient_by_hand` of a neuron: h1 = 0.5, h2 = 1.25 (a spike), slopes 0.5 and 0.75, dL/dh 0.6875 and
    0.75, dL/dv1 = 0.375. By the threshold: -0.75 at step 2; -0.5 + 0.375 * 1 * 0.5 = -0.3125 at step 1. By the decay
    1/tau, of h = v + (x - v) / tau: 0.75 * (2 - 0.5) + 0.6875 * (1 - 0) = 1.8125.
    """
    config = NetworkConfig(
        tau=2.0, v_threshold=1.0, surrogate="piecewise_quadratic", surrogate_alpha=1.0, learn="both", widths=(1,)
    )
    learned, x = LearnedNeurons(config, 1), torch.eye(2, dtype=torch.uint8)[:, None]
    weight = torch.tensor([[1.0], [2.0]], requires_grad=True)
    if compiled:
        compile_once(own=True)
        none, one = torch.zeros(1).numpy(), torch.ones(1, 1).numpy()
        *_, loss = SpikingLayer.apply(
            weight, sparse_input.of_spikes(x, 1), torch.ones(2, 1), 2, learned.neuron, False,
            lambda *_: LossGradients(0.0, none, none, one), learned(),
        )  # fmt: skip
    else:
        loss = lif(learned.neuron, 2, x.float() @ weight, learned())[1].sum()
    loss.backward()
    assert learned.log_threshold is not None
    assert learned.decay_logit is not None
    assert learned.log_threshold.grad is not None
    assert learned.decay_logit.grad is not None
    assert learned.log_threshold.grad.item() == pytest.approx(-1.0625 * 1.0)  # times dv_threshold/dlog
    assert learned.decay_logit.grad.item() == pytest.approx(1.8125 * 0.25)  # times the sigmoid's slope
    assert weight.grad is not None
    assert weight.grad.flatten().tolist() == pytest.approx([0.34375, 0.375])


@pytest.mark.parametrize(
    ("reset", "detach", "decay_input", "surrogate"),
    [("soft", False, True, "atan"), ("soft", True, False, "erf"), ("hard", False, False, "sigmoid"),
     ("hard", True, True, "piecewise_quadratic"), ("soft", False, False, "soft_sign"),
     ("hard", False, True, "super_spike")],
)  # fmt: skip
def test_the_compiled_gradients_are_those_of_autograd(
    reset: str, detach: bool, decay_input: bool, surrogate: str
) -> None:
    draw = torch.Generator().manual_seed(3)
    config = NetworkConfig(
        tau=1.8,
        v_threshold=0.4,
        reset=reset,
        detach_reset=detach,
        decay_input=decay_input,
        surrogate=surrogate,
        learn="both",
        learn_scope="neuron",
        widths=(H,),
    )
    learned = LearnedNeurons(config, H)
    for parameter in learned.parameters():
        parameter.data += 0.3 * torch.randn(H, generator=draw)
    x = (torch.rand(T, B, F, generator=draw) < 0.4).to(torch.uint8)
    weight = torch.randn(F, H, generator=draw).requires_grad_()
    by = torch.randn(B, H, generator=draw)
    wanted, (counts, loss) = [weight, *learned.parameters()], fused(learned.neuron, x, weight, learned(), by)
    mine = torch.autograd.grad(loss, wanted)
    current = (x.float() @ weight) * torch.linspace(0.8, 1.2, T * B).view(T, B, 1)
    others = (literal(learned.neuron, current, learned()), lif(learned.neuron, T, current, learned())[1])
    for other in others:
        assert torch.equal(counts, other)
        for one, theirs in zip(mine, torch.autograd.grad((other * by).sum(), wanted, retain_graph=True), strict=True):
            torch.testing.assert_close(one, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("reset", "decay_input"), list(itertools.product(("soft", "hard"), (True, False))))
def test_tau_is_learned_as_spikingjellys_plif_learns_it(reset: str, decay_input: bool) -> None:
    config = NetworkConfig(tau=2.5, v_threshold=0.6, reset=reset, decay_input=decay_input, learn="tau", widths=(H,))
    learned, current = LearnedNeurons(config, H), torch.randn(T, B, H, generator=torch.Generator().manual_seed(0))
    node = spikingjelly.ParametricLIFNode(
        init_tau=2.5, decay_input=decay_input, v_threshold=0.6, v_reset=None if reset == "soft" else 0.0,
        surrogate_function=SURROGATES["atan"].make(alpha=2.0),
    )  # fmt: skip
    _, counts = lif(learned.neuron, T, current, learned())
    theirs = torch.stack([node(x) for x in current]).sum(0)
    assert torch.equal(counts, theirs)
    assert learned.decay_logit is not None
    (mine,) = torch.autograd.grad(counts.square().sum(), learned.decay_logit)
    (other,) = torch.autograd.grad(theirs.square().sum(), node.w)
    torch.testing.assert_close(mine.squeeze(), other.squeeze(), rtol=1e-4, atol=1e-4)


def test_what_is_learned_is_resumed_loaded_and_used_by_every_path(tmp_path: Path) -> None:
    split = load(RUN.data, RUN.seed)
    whole = Trainer(RUN, split)
    whole.train_epoch()
    half = Trainer(RUN, split)
    half.load_state_dict({name: value.clone() for name, value in whole.state_dict().items()})
    whole.train_epoch()
    half.train_epoch()
    state = whole.state_dict()
    assert state.keys() >= {"network.layers.0.learned.log_threshold", "optimiser.1.decay_logit_exp_avg"}
    assert all(torch.equal(value, state[name]) for name, value in half.state_dict().items())
    list(Run(RUN, split, tmp_path))
    network = run_folder.load(tmp_path)
    first = network.each_layer[0]
    assert isinstance(first, DenseLayer)
    assert first.compiled
    assert first.learned is not None
    tau, threshold = first.learned.taus_and_thresholds()
    assert tau.std() > 0.01
    assert threshold.std() > 0.001
    assert first.learned_words().startswith("v_threshold 0.")
    images, fresh = split.validation[torch.arange(40)], Network(RUN)
    scores = network.scores(images.x)
    assert not torch.equal(scores, fresh.scores(images.x))
    shown = stepping.decide(network, images.x, float("inf"))
    assert torch.equal(shown.labels, scores.argmax(1))
    torch.testing.assert_close(exits.over_time(network, images.x)[0][-1], scores)
    for layer in network.each_layer:
        assert isinstance(layer, DenseLayer)
        layer.fused = False
    torch.testing.assert_close(network.scores(images.x), scores)


def test_one_value_a_layer_and_only_what_is_asked_for_is_learned() -> None:
    config = RUN.replaced({"network.learn": "threshold", "network.learn_scope": "layer"})
    names = {name: tuple(it.shape) for name, it in Network(config).named_parameters() if "learned" in name}
    assert names == {"layers.0.learned.log_threshold": (1,), "layers.1.learned.log_threshold": (1,)}
    plain = RunConfig.parse({})
    assert plain.replaced({"network.learn": "none", "network.learn_scope": "layer"}).id == plain.id
    assert not any("learned" in name for name, _ in Network(plain).named_parameters())


def test_what_cannot_learn_them_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"learn='none' learns nothing .* learn_scope='neuron': leave"):
        RUN.replaced({"network.learn": "none"})
    with pytest.raises(ConfigError, match=r"network\.learn: .*'none', 'threshold', 'tau' or 'both', but got 'alpha'"):
        RUN.replaced({"network.learn": "alpha"})


def test_it_is_searched_as_on_or_off() -> None:
    space = Space.parse({
        "base": {"data": {"dataset": "digits"}},
        "parameters": {
            "learn": {"choice": ["none", "threshold"]},
            "learn_scope": {"choice": ["layer", "neuron"], "when": {"learn": "threshold"}},
        },
    })  # fmt: skip
    found = {(it.network.learn, it.network.learn_scope) for it in map(space.apply, space.probes())}
    assert found == {("none", "layer"), ("threshold", "layer"), ("threshold", "neuron")}
