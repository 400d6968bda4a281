"""Adam's kernel against torch's: on a GPU where there is one, else by Triton's interpreter on the CPU."""

import importlib

import pytest
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("shape", [(7,), (33, 65), (784, 30)], ids=str)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_steps_as_torch_does(shape: tuple[int, ...], weight_decay: float) -> None:
    """Learning rates that change, and gradients that are sometimes 0 or tiny; the same state, in the same places."""
    pytest.importorskip("triton")
    ours_is = importlib.import_module("ffsnn.adam_triton").Adam
    draw, lr = torch.Generator().manual_seed(len(shape)), torch.tensor(0.01, device=DEVICE)
    start = torch.randn(shape, generator=draw).to(DEVICE)
    mine, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    ours = ours_is([mine], lr=lr, weight_decay=weight_decay, capturable=True)
    torchs = torch.optim.Adam([theirs], lr=0.01, weight_decay=weight_decay)
    for step in range(12):
        grad = torch.randn(shape, generator=draw).to(DEVICE) * 10.0 ** (-step) * (step % 3 > 0)
        mine.grad, theirs.grad = grad.clone(), grad.clone()
        lr.fill_(0.01 / (1 + step))
        torchs.param_groups[0]["lr"] = 0.01 / (1 + step)
        ours.step()
        torchs.step()
        torch.testing.assert_close(mine, theirs, rtol=2e-6, atol=2e-7)
    state, expected = ours.state_dict()["state"][0], torchs.state_dict()["state"][0]
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(state[name].cpu(), value.cpu(), rtol=1e-5, atol=1e-7)


def test_a_weight_without_a_gradient_stays() -> None:
    pytest.importorskip("triton")
    weight = torch.ones(3, device=DEVICE, requires_grad=True)
    importlib.import_module("ffsnn.adam_triton").Adam([weight], lr=torch.tensor(0.1, device=DEVICE)).step()
    assert weight.tolist() == [1.0, 1.0, 1.0]
