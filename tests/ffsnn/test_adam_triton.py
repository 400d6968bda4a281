"""Adam's kernel against torch's: on a GPU where there is one, else by Triton's interpreter on the CPU."""

import importlib

import pytest
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("shape", [(7,), (33, 65), (784, 30)], ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_steps_as_torch_does(shape: tuple[int, ...], decay: float) -> None:
    """Learning rates that change, and gradients that are sometimes 0 or tiny."""
    pytest.importorskip("triton")
    adam_step = importlib.import_module("ffsnn.kernels.adam_triton").adam_step
    draw, lr = torch.Generator().manual_seed(len(shape)), torch.tensor(0.01, device=DEVICE)
    mine = torch.randn(shape, generator=draw).to(DEVICE)
    state = {"step": torch.zeros((), device=DEVICE)}
    state |= {name: torch.zeros_like(mine) for name in ("exp_avg", "exp_avg_sq")}
    theirs = mine.clone().requires_grad_()
    torchs = torch.optim.Adam([theirs], lr=0.01, weight_decay=decay)
    for step in range(12):
        theirs.grad = torch.randn(shape, generator=draw).to(DEVICE) * 10.0 ** (-step) * (step % 3 > 0)
        torchs.param_groups[0]["lr"] = 0.01 / (1 + step)
        adam_step(mine, theirs.grad, state, lr.fill_(0.01 / (1 + step)), 0.9, 0.999, 1e-8, decay)
        torchs.step()
        torch.testing.assert_close(mine, theirs.detach(), rtol=2e-6, atol=2e-7)
    for name, value in torchs.state_dict()["state"][0].items():
        torch.testing.assert_close(state[name].cpu(), value.cpu(), rtol=1e-5, atol=1e-7)
