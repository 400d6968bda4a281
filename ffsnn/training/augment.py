"""Training images changed at random, each in its own way: moved, turned, scaled, sheared, bent, mirrored.

What moves in is black, what moves out is lost. All channels and time steps of an image change alike. Events stay
events: where an image is warped, a pixel takes the nearest one, for a value between 0 and 255 would be one, too.

Legend: B images, F = channels * height * width pixels, P planes of an image (channels, or channels * time steps).
"""

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import grid_sample, pad

if TYPE_CHECKING:
    from ffsnn.config import LearningConfig

KNOTS = 5  # of an elastic warp, along each axis: about one for six pixels of a 28 x 28 image


def augmented(
    x_BF: torch.Tensor,
    shape: tuple[int, int, int],
    how: "LearningConfig",
    generator: torch.Generator,
    events: bool = False,
) -> torch.Tensor:
    """Images (B, F) or (B, T, F), uint8, of a shape (channels, height, width), changed as a configuration says;
    `events`: their pixels are events, where they are not 0."""
    if how.rotation or how.scaling or how.shear or how.elastic:
        x_BF = _warped(x_BF, shape, how, generator, "nearest" if events else "bilinear")
    elif how.shift:
        x_BF = shifted(x_BF, shape, how.shift, generator)
    return _mirrored(x_BF, shape[2], generator) if how.mirror else x_BF


def shifted(
    x_BF: torch.Tensor, shape: tuple[int, int, int], by: int, generator: torch.Generator
) -> torch.Tensor:  # fmt: skip
    """Each image moved by its own whole number of pixels in -by..by along both axes."""
    (_, height, width), device, count = shape, x_BF.device, len(x_BF)
    moves = torch.randint(0, 2 * by + 1, (2, count, 1), generator=generator, device=device)
    rows, columns = (moves[axis] + torch.arange(n, device=device) for axis, n in enumerate((height, width)))
    framed = pad(x_BF.view(count, -1, height, width), (by, by, by, by))
    image = torch.arange(count, device=device)[:, None, None]
    moved = framed.movedim(1, 3)[image, rows[:, :, None], columns[:, None, :]]  # (B, height, width, planes)
    return moved.movedim(3, 1).reshape(x_BF.shape)


def _warped(
    x_BF: torch.Tensor, shape: tuple[int, int, int], how: "LearningConfig", generator: torch.Generator, between: str
) -> torch.Tensor:  # fmt: skip
    """Each image turned by -rotation..rotation degrees, each axis scaled by 1-scaling..1+scaling, sheared by
    -shear..shear, moved by -shift..shift pixels, and bent by a smooth field of `elastic` pixels' standard deviation at
    its knots (Simard et al. 2003, with a field between knots in place of a blurred one). `between` says how it is read
    between pixels: bilinear or nearest.
    """
    (_, height, width), count, device = shape, len(x_BF), x_BF.device
    drawn = torch.rand(6, count, 1, 1, generator=generator, device=device) * 2 - 1
    angle = drawn[0] * (how.rotation * math.pi / 180)
    wide, high, shear = 1 + how.scaling * drawn[1], 1 + how.scaling * drawn[2], how.shear * drawn[3]
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    cos, sin = angle.cos(), angle.sin()
    # Where each pixel of the new image is read from: turned, then sheared along x, then scaled.
    from_x = wide * (cos + shear * sin) * x + wide * (shear * cos - sin) * y + how.shift * drawn[4]
    from_y = high * sin * x + high * cos * y + how.shift * drawn[5]
    if how.elastic:
        knots = torch.randn(2, count, KNOTS, KNOTS, generator=generator, device=device) * how.elastic
        bent = _between(_between(knots.mT, width).mT.contiguous(), height)
        from_x, from_y = from_x + bent[0], from_y + bent[1]
    grid = torch.stack([from_x * (2 / width), from_y * (2 / height)], -1)  # in halves of a side, from the middle
    planes = x_BF.view(count, -1, height, width).float()
    seen = grid_sample(planes, grid, mode=between, padding_mode="zeros", align_corners=False)
    return seen.round_().to(torch.uint8).view(x_BF.shape)


def _between(knots: torch.Tensor, size: int) -> torch.Tensor:
    """(..., K, N) values at K knots -> (..., size, N) linearly between them."""
    at = torch.linspace(0, KNOTS - 1, size, device=knots.device)
    left = at.floor().clamp_(max=KNOTS - 2)
    share = (at - left)[:, None]
    number = left.long()
    return torch.lerp(knots.index_select(-2, number), knots.index_select(-2, number + 1), share)


def _mirrored(x_BF: torch.Tensor, width: int, generator: torch.Generator) -> torch.Tensor:
    """Half of the images, left and right exchanged."""
    chosen = torch.rand(len(x_BF), generator=generator, device=x_BF.device) < 0.5
    mirrored = x_BF.unflatten(-1, (-1, width)).flip(-1).flatten(-2)
    return torch.where(chosen.view(-1, *[1] * (x_BF.dim() - 1)), mirrored, x_BF)
