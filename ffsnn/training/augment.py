"""Small shifts of training images: what moves in is black, what moves out is lost.

Legend: B images, F = side * side pixels.
"""

import torch
from torch.nn.functional import pad


def shifted(x_BF: torch.Tensor, side: int, by: int, generator: torch.Generator) -> torch.Tensor:
    """Images (B, F), each moved by its own whole number of pixels in -by..by along both axes."""
    device, count = x_BF.device, len(x_BF)
    moves = torch.randint(0, 2 * by + 1, (2, count, 1), generator=generator, device=device)
    rows, columns = moves + torch.arange(side, device=device)
    framed = pad(x_BF.view(count, side, side), (by, by, by, by))
    image = torch.arange(count, device=device)[:, None, None]
    return framed[image, rows[:, :, None], columns[:, None, :]].reshape(count, -1)
