"""The notes' method: each quirk pinned down, and the fast code beside a literal one.

Noise is taken out where two computations are compared: black-and-white images are their own Poisson spikes, and with
T=1 so are the rates between layers.
"""

import hashlib
import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import nn

from ffsnn.config import RunConfig
from ffsnn.datasets.builtin import TEST_FILES, TRAIN_FILES
from ffsnn.datasets.dataset import Images
from ffsnn.randomness import generator
from ffsnn.reproduction import method as m
from ffsnn.reproduction.report import MARKDOWN, render, reproduce
from ffsnn.reproduction.table import RECIPE_LINE, ResultFolder, Setting, Task, make, run_task, tasks
from ffsnn.validation import ConfigError

TINY = m.Protocol(T=5, iterations=3, batch=16)
MEAN_5, MSE_7, GOODNESS_8 = m.GROUPS[4], m.GROUPS[6], m.GROUPS[7]


def images(n: int, seed: int = 0, black_and_white: bool = False) -> Images:
    """Ten blurred blots, one a class, with noise."""
    draw = torch.Generator().manual_seed(seed)
    blots = torch.rand(10, 784, generator=torch.Generator().manual_seed(99))
    y = torch.randint(10, (n,), generator=draw)
    x = 0.8 * (blots[y] > 0.7) + 0.2 * torch.rand(n, 784, generator=draw)
    if black_and_white:
        x = (x > 0.5).float()
    return Images((255 * x).to(torch.uint8), y)


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Literal(nn.Module):
    """A layer step by step, with SpikingJelly's node and the norm over axis 1 whatever that axis is."""

    def __init__(self, group: m.Group, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        function = surrogate.ATan() if group.surrogate == "atan" else surrogate.Sigmoid()
        self.node = neuron.LIFNode(tau=group.tau, v_threshold=group.v_threshold, surrogate_function=function)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x / (x.norm(2, 1, keepdim=True) + 1e-4)
        return self.node(nn.functional.linear(x.flatten(1), self.weight))


def square(x: torch.Tensor) -> torch.Tensor:
    return x.view(-1, 1, 28, 28)


def test_label_goes_to_column_0_while_row_0_is_cleared() -> None:
    x = torch.full((2, 784), 0.25)
    x[1, 500] = 0.75
    labelled = square(m.overlay(x, torch.tensor([0, 7])))[:, 0]
    assert labelled[0, 0, 0] == 0.75  # the largest pixel of the batch, not of the image
    assert labelled[1, 7, 0] == 0.75
    assert not labelled[1, 0, :10].any()
    assert not labelled[0, 0, 1:10].any()
    assert (labelled[:, 0, 10:] == 0.25).all()
    assert labelled[0, 7, 0] == 0.25  # column 0 is not cleared
    assert (x[0] == 0.25).all()


def test_layer_1_is_not_normalised_and_later_layers_are() -> None:
    spikes = (torch.rand(6, 784, generator=noise()) < 0.3).float()
    weight = torch.randn(5, 784, generator=noise())
    for first, x in ((True, square(spikes)), (False, spikes)):
        current, scale = m.currents(weight, spikes, first, 2, noise())
        literal = nn.functional.linear((x / (x.norm(2, 1, keepdim=True) + 1e-4)).flatten(1), weight)
        torch.testing.assert_close(current * scale[..., None], literal.expand(2, -1, -1), rtol=1e-4, atol=1e-5)
        if first:
            torch.testing.assert_close(literal, 0.9999 * spikes @ weight.T, rtol=1e-4, atol=1e-5)


def test_positive_and_negative_share_one_membrane() -> None:
    current = torch.rand(6, 4, 3, generator=noise()) * 1.2  # 2 positives, 2 negatives
    node = neuron.LIFNode(tau=2.0, v_threshold=0.45, surrogate_function=surrogate.ATan())
    total = torch.zeros(2, 2, 3)
    for positive, negative in (step.chunk(2) for step in current):
        total[0] += node(positive)
        total[1] += node(negative)
    shared = m.stream_rates(MEAN_5, current, torch.ones(6, 4))
    torch.testing.assert_close(shared, total / 6)
    node.reset()
    alone = sum(node(step[2:]) for step in current) / 6
    assert not torch.equal(shared[1], alone)


def test_the_loss_in_code_is_log_of_2_plus_exp() -> None:
    z = torch.tensor([-3.0, 0.0, 2.0])
    torch.testing.assert_close(m.log_2_exp(z), (2 + z.exp()).log())
    assert m.log_2_exp(torch.tensor(0.0)).item() == pytest.approx(math.log(3))
    torch.testing.assert_close(m.log_exp(z), z)
    good_pos, good_neg = torch.tensor([0.5]), torch.tensor([0.2])
    mean = (math.log(2 + math.exp(0.35 - 0.5)) + math.log(2 + math.exp(0.2 - 0.35))) / 2
    assert m.formula_loss("log_2_exp", good_pos, good_neg, 0.35).item() == pytest.approx(mean)
    assert m.formula_loss("log_exp", good_pos, good_neg, 0.35).item() == pytest.approx(-0.3 / 2)


def test_theta_cancels_in_the_formula_of_the_text_alone() -> None:
    moved = {formula: m.theta_matters(formula, images(16), T=5) for formula in m.FORMULAS}
    assert moved["log_exp"] < 1e-5
    assert min(moved["softplus"], moved["log_2_exp"]) > 0.05


def test_an_mse_output_learns_from_positives_alone() -> None:
    rates = torch.rand(2, 4, 10, generator=noise(), requires_grad=True)
    y = torch.tensor([0, 1, 2, 3])
    m.layer_loss(MSE_7, rates, y, last=True).backward()
    assert rates.grad is not None
    torch.testing.assert_close(rates.grad[0], 2 * (rates[0].detach() - torch.eye(10)[:4]) / 40)
    assert not rates.grad[1].any()
    hidden = m.layer_loss(MSE_7, rates, y, last=False)
    torch.testing.assert_close(hidden, m.layer_loss(GOODNESS_8, rates, y, last=True))


@pytest.mark.parametrize(("group", "T"), [(m.GROUPS[3], 4), (MEAN_5, 4), (MSE_7, 1), (GOODNESS_8, 1)])
def test_training_and_prediction_do_what_a_literal_loop_does(group: m.Group, T: int) -> None:
    group = replace(group, widths=(20, 10)[-len(group.widths) :], v_threshold=0.1)
    protocol = m.Protocol(T=T, iterations=5, batch=16)
    batch = images(16, black_and_white=True)
    weights = m.initial_weights(group, 3)
    literals = [Literal(group, weight) for weight in weights]
    rate = m.positives_and_negatives(batch, 3)
    h_pos, h_neg = (square(part) for part in rate.chunk(2))
    for number, (weight, literal) in enumerate(zip(weights, literals, strict=True)):
        rate = m.train_layer(group, m.Learner.of(weight, protocol), rate, batch.y, number, protocol, noise())
        optimiser = torch.optim.Adam(literal.parameters(), lr=protocol.lr)
        for _ in range(protocol.iterations):
            total_pos, total_neg = torch.zeros(2, 16, len(weight)).unbind()
            for _ in range(T):
                total_pos = total_pos + literal(h_pos)
                total_neg = total_neg + literal(h_neg)
            loss = m.layer_loss(group, torch.stack([total_pos, total_neg]) / T, batch.y, literal is literals[-1])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            functional.reset_net(literal)
        h_pos, h_neg = total_pos.detach() / T, total_neg.detach() / T
        torch.testing.assert_close(weight, literal.weight.detach(), rtol=0, atol=1e-5)
        torch.testing.assert_close(rate, torch.cat([h_pos, h_neg]))  # before the last update
    assert (weights[0] != m.initial_weights(group, 3)[0]).any()

    x = batch.x.float() / 255
    expected = torch.zeros(16, 10)
    with torch.no_grad():
        for label in range(10):
            h = square(m.overlay(x, torch.full((16,), label)))
            for literal in literals:
                h = sum(literal(h) for _ in range(T)) / T
                functional.reset_net(literal)
                if group.prediction == "goodness":
                    expected[:, label] += h.square().mean(1)
            if group.prediction == "output_rate":
                expected += h
        torch.testing.assert_close(m.scores(group, weights, x, T, noise()), expected)


def test_rates_are_coded_afresh_each_step() -> None:
    rate = torch.full((1, 784), 0.5)
    current, _ = m.currents(torch.eye(784), rate, True, 400, noise())
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(current[:5]))
    assert current.mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("group", [m.GROUPS[0], m.GROUPS[1], m.GROUPS[2], MSE_7, GOODNESS_8])
def test_a_small_run_repeats_by_seed(group: m.Group) -> None:
    train, test = images(60), images(24, seed=1)
    first = m.run_group(group, 0, train, test, TINY)
    assert first == m.run_group(group, 0, train, test, TINY)
    for accuracy, of in ((first.train, 16), (first.test_batch, 16), (first.test_all, 24)):
        assert 0 <= accuracy <= 1
        assert accuracy * of == pytest.approx(round(accuracy * of), abs=1e-4)


def test_an_mse_output_learns_its_batch() -> None:
    train = images(60)
    group, protocol = replace(MSE_7, widths=(50, 10)), m.Protocol(T=10, iterations=30, batch=32, lr=0.02)
    assert m.run_group(group, 2, train, images(2, seed=1), protocol).train > 0.3  # by chance: 0.1


def test_seeds_draw_another_batch_other_weights_and_other_negatives() -> None:
    assert not torch.equal(m.initial_weights(MEAN_5, 0)[0], m.initial_weights(MEAN_5, 1)[0])
    batch = images(30)
    first, second = (m.positives_and_negatives(batch, seed) for seed in (0, 1))
    assert torch.equal(first[:30], second[:30])
    assert not torch.equal(first[30:], second[30:])
    assert (first[:30] != first[30:]).any(1).all()  # a negative never bears the true label
    assert generator(0, "order").initial_seed() != generator(1, "order").initial_seed()


@pytest.fixture
def folder(tmp_path: Path) -> ResultFolder:
    return ResultFolder(tmp_path, Setting(TINY, recipe=None, test_images=20))


def test_a_kept_result_is_taken_only_for_its_own_setting(folder: ResultFolder) -> None:
    task = Task(4, 1)
    assert folder.read(task) is None
    result = run_task(task, folder, images(60), images(24, seed=1), None)
    assert folder.read(task) == result
    assert folder.read(Task(4, 0)) is None
    other = ResultFolder(folder.path, replace(folder.setting, protocol=replace(TINY, T=6)))
    assert other.read(task) is None
    folder.file(task).write_text("{")
    assert folder.read(task) is None


def test_a_full_table_starts_no_process(folder: ResultFolder) -> None:
    for task in tasks(range(2), folder.setting):
        folder.write(task, m.ReproductionResult(0.5, 0.25 + 0.25 * task.seed, 0.125), 1.0)
    assert list(make(range(2), folder, None, processes=2)) == []
    console = Console(record=True, width=200)
    console.print(render(2, folder))
    text = console.export_text()
    assert "37.5 ±17.7" in text
    assert "98.5 " in text
    assert [task.line for task in tasks([0], Setting(recipe=RunConfig()))] == [RECIPE_LINE, 8, 7, 6, 5, 4, 3, 2, 1]


def test_the_command_goes_on_with_what_is_missing(folder: ResultFolder, tmp_path: Path) -> None:
    data = tmp_path / "data" / "mnist"
    data.mkdir(parents=True)
    for names, kept in ((TRAIN_FILES, images(100)), (TEST_FILES, images(24, seed=1))):
        for name, values in zip(names, (kept.x.view(-1, 28, 28), kept.y), strict=True):
            sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
            raw = bytes((0, 0, 8, values.ndim)) + sizes + values.to(torch.uint8).numpy().tobytes()
            (data / name).write_bytes(raw)
            (data / f"{name}.sha256").write_text(hashlib.sha256(raw).hexdigest())
    for task in tasks([0], folder.setting)[:-2]:
        folder.write(task, m.ReproductionResult(0.5, 0.25, 0.123), 1.0)
    console = Console(record=True, width=200)
    reproduce(1, folder.path, data.parent, console, folder.setting, processes=1)
    text = console.export_text()
    assert "8 results, 6 of them kept" in text
    assert "8/8" in text
    assert text.count("12.3 ") == 6
    assert "Theta cancels" in text
    assert folder.read(Task(1, 0)) is not None
    document = (folder.path / MARKDOWN).read_text()
    assert document.count("\n| ") == 10  # a header, the line under it, eight groups
    assert "Theta cancels" in document


def test_a_table_of_no_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seeds >= 1 must hold, but got 0"):
        reproduce(0, tmp_path, None, Console(), Setting())
