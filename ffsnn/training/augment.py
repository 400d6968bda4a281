"""Small shifts of training images: what moves in is black, what moves out is lost.

Legend: B images, F = channels * height * width pixels.
"""

import torch
from torch.nn.functional import pad


def shifted(
    x_BF: torch.Tensor, shape: tuple[int, int, int], by: int, generator: torch.Generator
) -> torch.Tensor:  # fmt: skip
    """Images (B, F) or (B, T, F) of a shape (channels, height, width), each moved by its own whole number of pixels in
    -by..by along both axes; all channels and time steps of an image alike."""
    (_, height, width), device, count = shape, x_BF.device, len(x_BF)
    moves = torch.randint(0, 2 * by + 1, (2, count, 1), generator=generator, device=device)
    rows, columns = (moves[axis] + torch.arange(n, device=device) for axis, n in enumerate((height, width)))
    framed = pad(x_BF.view(count, -1, height, width), (by, by, by, by))
    image = torch.arange(count, device=device)[:, None, None]
    moved = framed.movedim(1, 3)[image, rows[:, :, None], columns[:, None, :]]  # (B, height, width, planes)
    return moved.movedim(3, 1).reshape(x_BF.shape)
