"""Adam on a GPU, a step one kernel over all weights of a layer (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1).

torch's fused one deals in chunks of 65,536 numbers, of which a layer has too few for the multiprocessors of a GPU.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# (Triton gives the kernel's arguments their types.)

import math

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

BLOCK = 1024  # weights that a program takes


@triton.jit
def _adam(
    weight, grad, mean, square, step, lr, N, beta1, beta2, eps, decay,
    LOG_BETA1: tl.constexpr, LOG_BETA2: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < N
    w = tl.load(weight + at, mask=inside)
    g = tl.load(grad + at, mask=inside) + decay * w
    m = tl.load(mean + at, mask=inside)
    m += (1.0 - beta1) * (g - m)
    s = beta2 * tl.load(square + at, mask=inside) + (1.0 - beta2) * g * g
    done = tl.load(step).to(tl.float64)
    bias1, bias2 = 1.0 - tl.exp(done * LOG_BETA1), 1.0 - tl.exp(done * LOG_BETA2)  # in float32 they would be far off
    size = (tl.load(lr) / bias1).to(tl.float32)
    w -= size * m / (tl.sqrt(s) / tl.sqrt(bias2).to(tl.float32) + eps)
    tl.store(weight + at, w, mask=inside)
    tl.store(mean + at, m, mask=inside)
    tl.store(square + at, s, mask=inside)


def adam_step(
    weight: torch.Tensor, grad: torch.Tensor, state: dict[str, torch.Tensor], lr: torch.Tensor, beta1: float,
    beta2: float, eps: float, decay: float,
) -> None:  # fmt: skip
    """Step float32 weights by their gradient, in place.

    Args:
        state: `step` (), `exp_avg` and `exp_avg_sq` of the weights' shape, as torch's Adam names them; in place.
        lr: (), beside the weights.
        decay: of the weights, that is added to the gradient.
    """
    state["step"] += 1
    with torch.cuda.device_of(weight):  # Triton launches on the current one
        _adam[(triton.cdiv(weight.numel(), BLOCK),)](
            weight, grad.contiguous(), state["exp_avg"], state["exp_avg_sq"], state["step"], lr, weight.numel(),
            beta1, beta2, eps, decay, LOG_BETA1=math.log(beta1), LOG_BETA2=math.log(beta2), BLOCK=BLOCK,
        )  # fmt: skip
