"""Label embedding: the pairs that forward-forward learns from (Hinton 2022, section 3.3).

The first C inputs carry the label: the image's own pixels there are cleared, and the label's one is set to an
amplitude. A positive sample carries the true label, a negative one a wrong label; they differ in nothing else.

Legend: B images, F pixels, C classes.
"""

import torch


def accuracy_of(right_N: torch.Tensor) -> float:
    """Share of images (N,) that are predicted rightly: counted, and divided in double precision; 97 of 100 are 0.97."""
    return int(right_N.sum()) / len(right_N)


def every_label(classes: int, images: int, device: torch.device) -> torch.Tensor:
    """Each label for each image, (C, B)."""
    return torch.arange(classes, device=device)[:, None].expand(-1, images)


def clear(x_BF: torch.Tensor, classes: int) -> torch.Tensor:
    """The images (B, F) or (B, T, F) without the pixels that the label takes; in place."""
    x_BF[..., :classes] = 0
    return x_BF


def embed(x_BF: torch.Tensor, y_B: torch.Tensor, classes: int, amplitude: float) -> torch.Tensor:
    """Images (B, F) with labels (B,) written to the first C inputs; a copy."""
    x_BF = clear(x_BF.clone(), classes)
    x_BF[torch.arange(len(y_B), device=y_B.device), y_B] = amplitude
    return x_BF
