"""Averages of the weights over the last steps, which are validated and kept in place of the last step's.

Between epochs the network holds the averages, so that all who look at it see them; the weights that training goes on
from are kept aside. Within an epoch it is the other way round.
"""

import torch

from ffsnn.network import Network


class Averages:
    """Exponential averages of a network's weights (Polyak & Juditsky 1992; weighted as is usual now).

    A step changes them by 1 / horizon of the difference, or by more at first: 9 / (10 + steps done). Where layers
    learn one after another, steps are counted anew for each; otherwise its average would still hold much of its
    initial weights. Buffers of layers of one's own are not averaged.

    Args:
        network: whose weights.
    """

    def __init__(self, network: Network) -> None:
        self.weights = {name: weight.detach() for name, weight in network.named_parameters()}  # the network's memory
        self.trained = {name: weight.clone() for name, weight in self.weights.items()}
        self.average = {name: weight.clone() for name, weight in self.weights.items()}
        self.horizon = 1
        self.pace = torch.ones((), device=next(network.parameters()).device)  # a captured step reads it anew

    def begin_epoch(self, horizon: int) -> None:
        """Give the network the weights that training goes on from; averages reach back so many steps of this epoch."""
        self.horizon = horizon
        _copy(self.weights, self.average)
        _copy(self.trained, self.weights)

    def set_pace(self, steps: int) -> None:
        """Before a step: so many were done by the layers that learn now, over all epochs."""
        self.pace.fill_(max(1 / self.horizon, 9 / (10 + steps)))

    def step(self) -> None:
        """After a step of all weights."""
        for name, weight in self.weights.items():
            self.average[name].lerp_(weight, self.pace)

    def end_epoch(self) -> None:
        """Give the network the averages."""
        _copy(self.weights, self.trained)
        _copy(self.average, self.weights)

    def load(self, trained: dict[str, torch.Tensor]) -> None:
        """Go on from weights that were kept aside; the network has the averages already."""
        _copy(trained, self.trained)


def _copy(source: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> None:
    for name, weight in source.items():
        target[name].copy_(weight)
