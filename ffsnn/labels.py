"""Label embedding, and the pairs that forward-forward learns from (Hinton 2022, section 3.3).

The first C inputs carry the label: the image's own pixels there are cleared, and the label's one is set to an
amplitude. A positive sample carries the true label, a negative one a wrong label; they differ in nothing else.

Legend: B images, F pixels, C classes, N training images.
"""

import torch


def clear(x_BF: torch.Tensor, classes: int) -> torch.Tensor:
    """The images without the pixels that the label takes; in place."""
    x_BF[:, :classes] = 0
    return x_BF


def embed(x_BF: torch.Tensor, y_B: torch.Tensor, classes: int, amplitude: float) -> torch.Tensor:
    """Images (B, F) with labels (B,) written to the first C inputs; a copy."""
    x_BF = clear(x_BF.clone(), classes)
    x_BF[torch.arange(len(y_B), device=y_B.device), y_B] = amplitude
    return x_BF


def hard_negatives(scores_BC: torch.Tensor, y_B: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A wrong label for each true one, drawn from softmax(scores) without the true label."""
    logits = scores_BC.scatter(1, y_B[:, None], float("-inf"))
    noise = torch.rand(logits.shape, generator=generator, device=logits.device).clamp_min_(1e-20)
    return (logits - noise.log().neg().log()).argmax(1)  # Gumbel's trick: a sample of the softmax


def uniform_negatives(y_B: torch.Tensor, classes: int, generator: torch.Generator) -> torch.Tensor:
    """A wrong label for each true one, all wrong ones alike."""
    shift = torch.randint(1, classes, y_B.shape, generator=generator, device=y_B.device)
    return (y_B + shift) % classes


class GoodnessTable:
    """Hard negatives without extra passes: how well each (training image, wrong label) pair last fooled the network.

    An entry is the goodness of the negative less that of the positive sample, summed over layers, written whenever
    the pair is trained and faded at each visit of its image. Negatives are drawn from softmax(sharpness * entries).
    """

    fade = 0.98

    def __init__(self, images: int, classes: int, sharpness: float, device: torch.device) -> None:
        self.margins_NC = torch.zeros(images, classes, device=device)
        self.sharpness = sharpness

    def draw(self, index_B: torch.Tensor, y_B: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Wrong labels (B,) for the training images `index_B` with true labels `y_B`."""
        return hard_negatives(self.sharpness * self.margins_NC[index_B], y_B, generator)

    def write(self, index_B: torch.Tensor, wrong_B: torch.Tensor, margin_B: torch.Tensor) -> None:
        rows = self.margins_NC[index_B] * self.fade
        rows.scatter_(1, wrong_B[:, None], margin_B.to(rows.dtype)[:, None])
        self.margins_NC[index_B] = rows
