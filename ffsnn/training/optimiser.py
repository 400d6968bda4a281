"""What steps the weights of a layer: torch's Adam and SGD.

Not their classes but the functions behind them, for the first use of a class of `torch.optim` imports torch's compiler:
1.4 s in every process that trains.
"""

from abc import ABC, abstractmethod

import torch
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from ffsnn.config import LearningConfig

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # Adam's, as torch has them


class Optimiser(ABC):
    """Steps one layer's weights. `state` holds its moments from step to step, in place, named as torch does."""

    def __init__(self, weight: torch.nn.Parameter, learning: LearningConfig) -> None:
        self.weight, self.learning = weight, learning
        # On a GPU a tensor there, which a captured step reads anew each time it runs.
        self.lr: float | torch.Tensor = learning.lr
        if weight.is_cuda:
            self.lr = torch.tensor(learning.lr, device=weight.device)
        self.state: dict[str, torch.Tensor] = {}

    def set_lr(self, lr: float) -> None:
        if isinstance(self.lr, torch.Tensor):
            self.lr.fill_(lr)
        else:
            self.lr = lr

    def forget_gradient(self) -> None:
        self.weight.grad = None

    @abstractmethod
    def step(self) -> None:
        """Step by the weights' gradient."""


class Adam(Optimiser):
    """Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1; `weight_decay` is added to the gradient."""

    def __init__(self, weight: torch.nn.Parameter, learning: LearningConfig, compiled: bool) -> None:
        super().__init__(weight, learning)
        self.kernel = weight.is_cuda and compiled  # take our own
        self.state = {
            "step": torch.zeros((), device=weight.device),
            "exp_avg": torch.zeros_like(weight),
            "exp_avg_sq": torch.zeros_like(weight),
        }

    @torch.no_grad()
    def step(self) -> None:
        state, decay = self.state, self.learning.weight_decay
        assert self.weight.grad is not None
        if self.kernel:
            from ffsnn.kernels.adam_triton import adam_step  # triton is needed on this path alone

            assert isinstance(self.lr, torch.Tensor)
            adam_step(self.weight, self.weight.grad, state, self.lr, BETA1, BETA2, EPS, decay)
            return
        adam(
            [self.weight], [self.weight.grad], [state["exp_avg"]], [state["exp_avg_sq"]], [], [state["step"]],
            fused=True, capturable=self.weight.is_cuda, amsgrad=False, beta1=BETA1, beta2=BETA2, lr=self.lr,
            weight_decay=decay, eps=EPS, maximize=False,
        )  # fmt: skip


class Joint(Optimiser):
    """Steps a layer's weights, and what its neurons learn besides, each by an optimiser of its own.

    Args:
        weights: of the weights, whose state keeps its names.
        others: by name, which stands before the names of their state.
    """

    def __init__(self, weights: Optimiser, others: dict[str, Optimiser]) -> None:
        self.each = [weights, *others.values()]
        self.state = dict(weights.state)
        for name, it in others.items():
            self.state |= {f"{name}_{key}": value for key, value in it.state.items()}

    def set_lr(self, lr: float) -> None:
        for it in self.each:
            it.set_lr(lr)

    def forget_gradient(self) -> None:
        for it in self.each:
            it.forget_gradient()

    def step(self) -> None:
        for it in self.each:
            it.step()


class SGD(Optimiser):
    """With momentum, if asked for; `weight_decay` is added to the gradient."""

    def __init__(self, weight: torch.nn.Parameter, learning: LearningConfig) -> None:
        super().__init__(weight, learning)
        if learning.momentum:
            self.state = {"momentum_buffer": torch.zeros_like(weight)}

    @torch.no_grad()
    def step(self) -> None:
        assert self.weight.grad is not None
        sgd(
            [self.weight], [self.weight.grad], [self.state.get("momentum_buffer")], fused=self.weight.is_cuda or None,
            weight_decay=self.learning.weight_decay, momentum=self.learning.momentum or 0.0, lr=self.lr, dampening=0.0,
            nesterov=False, maximize=False,
        )  # fmt: skip
