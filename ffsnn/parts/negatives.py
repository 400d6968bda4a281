"""Negatives: how the wrong label of a negative sample is drawn; by name.

Legend: B images, K negative samples of each, F pixels, C classes, N training images.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch

from ffsnn.parts.registry import NEGATIVES

if TYPE_CHECKING:
    from ffsnn.config import LearningConfig
    from ffsnn.network import Network

Random = Callable[..., torch.Generator]  # (purpose, place) -> the generator of a batch for it


class Negatives(ABC):
    """Draws the wrong labels of one training.

    Args:
        network: that is trained.
        learning: its configuration.
        images: number of training images, N.
        device: of the images.
    """

    by_goodness = False  # it needs a layer that learns by goodness

    def __init__(self, network: "Network", learning: "LearningConfig", images: int, device: torch.device) -> None:
        self.network, self.learning, self.count = network, learning, learning.negatives_per_image

    @abstractmethod
    def draw(self, index_B: torch.Tensor, x_BF: torch.Tensor, y_B: torch.Tensor, random: Random) -> torch.Tensor:
        """Different wrong labels (K, B) for each uint8 image of `x_BF`, whose numbers are `index_B` and true labels
        `y_B`; K is `learning.negatives_per_image`."""

    def learn(self, index_B: torch.Tensor, wrong_KB: torch.Tensor, margin_KB: torch.Tensor) -> None:  # noqa: B027
        """Take note of goodness of the negative less that of the positive samples, summed over layers; or do not."""

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """Tensors that it keeps from batch to batch, for checkpoints."""
        return {}


register = NEGATIVES.decorator(lambda kind: kind)


def hard_negatives(
    scores_BC: torch.Tensor, y_B: torch.Tensor, generator: torch.Generator, count: int = 1
) -> torch.Tensor:  # fmt: skip
    """Wrong labels (count, B) for each true one, drawn from softmax(scores) without it and without replacement."""
    logits = scores_BC.scatter(1, y_B[:, None], float("-inf"))
    noise = torch.rand(logits.shape, generator=generator, device=logits.device).clamp_min_(1e-20)
    return (logits - noise.log().neg().log()).topk(count, 1).indices.T  # Gumbel's trick: a sample of the softmax


def uniform_negatives(
    y_B: torch.Tensor, classes: int, generator: torch.Generator, count: int = 1
) -> torch.Tensor:  # fmt: skip
    """Wrong labels (count, B) for each true one, all wrong ones alike, without replacement."""
    if count == 1:
        shift = torch.randint(1, classes, (1, len(y_B)), generator=generator, device=y_B.device)
    else:
        drawn = torch.rand(classes - 1, len(y_B), generator=generator, device=y_B.device)
        shift = 1 + drawn.topk(count, 0).indices
    return (y_B + shift) % classes


class GoodnessTable:
    """Remembers how well each (training image, wrong label) pair last fooled the network.

    An entry is the goodness of the negative less that of the positive sample, summed over layers, written whenever
    the pair is trained and faded at each visit of its image. Negatives are drawn from softmax(sharpness * entries).
    """

    fade = 0.98

    def __init__(self, images: int, classes: int, sharpness: float, device: torch.device) -> None:
        self.margins_NC = torch.zeros(images, classes, device=device)
        self.sharpness = sharpness

    def draw(
        self, index_B: torch.Tensor, y_B: torch.Tensor, generator: torch.Generator, count: int = 1
    ) -> torch.Tensor:  # fmt: skip
        """Wrong labels (count, B) for the training images `index_B` with true labels `y_B`."""
        return hard_negatives(self.sharpness * self.margins_NC[index_B], y_B, generator, count)

    def write(self, index_B: torch.Tensor, wrong_KB: torch.Tensor, margin_KB: torch.Tensor) -> None:
        rows = self.margins_NC[index_B] * self.fade
        rows.scatter_(1, wrong_KB.T, margin_KB.to(rows.dtype).T)
        self.margins_NC[index_B] = rows


@register("table")
class Remembered(Negatives):
    """Labels that have fooled the network before, without extra passes."""

    def __init__(self, network: "Network", learning: "LearningConfig", images: int, device: torch.device) -> None:
        super().__init__(network, learning, images, device)
        self.table = GoodnessTable(images, network.classes, learning.alpha, device)

    def draw(self, index_B: torch.Tensor, x_BF: torch.Tensor, y_B: torch.Tensor, random: Random) -> torch.Tensor:
        return self.table.draw(index_B, y_B, random("negatives"), self.count)

    def learn(self, index_B: torch.Tensor, wrong_KB: torch.Tensor, margin_KB: torch.Tensor) -> None:
        self.table.write(index_B, wrong_KB, margin_KB)

    @property
    def state(self) -> dict[str, torch.Tensor]:
        return {"table": self.table.margins_NC}


@register("fresh")
class Fresh(Negatives):
    """Labels by their goodness now, at the cost of a prediction (Hinton 2022, section 3.3)."""

    by_goodness = True

    def draw(self, index_B: torch.Tensor, x_BF: torch.Tensor, y_B: torch.Tensor, random: Random) -> torch.Tensor:
        draw = random("negatives")
        scores = self.network.scores(x_BF, prediction="goodness", noise=partial(random, "prediction"))
        return hard_negatives(self.learning.alpha * scores, y_B, draw, self.count)


@register("uniform")
class Uniform(Negatives):
    """Labels drawn evenly from all wrong ones."""

    def draw(self, index_B: torch.Tensor, x_BF: torch.Tensor, y_B: torch.Tensor, random: Random) -> torch.Tensor:
        return uniform_negatives(y_B, self.network.classes, random("negatives"), self.count)
