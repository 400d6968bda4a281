"""Features: what a network sees of an image beside its pixels, worked out from them and not learned; by name.

They stand behind the pixels, are encoded as pixels are, and are worked out anew from every image as it is shown, after
it has been moved, bent or mirrored.

Legend: B images, F = channels * height * width pixels in [0, 1], E features, R rows and K columns of cells.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn.functional import avg_pool2d, pad

from ffsnn.parts.registry import FEATURES

Shape = tuple[int, int, int]  # channels, height, width; (1, 1, F) of what has no place in an image
Extract = Callable[[torch.Tensor, Shape], torch.Tensor]  # (B, F), shape -> (B, E), in [0, 1]

CELL = 2  # pixels a side
CONTRAST = 1 / 64  # in the neighbourhood of a cell, that counts as none


@dataclass(frozen=True)
class Features:
    """A kind of features."""

    extract: Extract
    of_images: bool = False  # pixels must have neighbours

    def count(self, shape: Shape) -> int:
        """E, of images of this shape."""
        return _count(self.extract, shape)


@cache
def _count(extract: Extract, shape: Shape) -> int:
    return extract(torch.zeros(1, math.prod(shape)), shape).shape[1]


register = FEATURES.decorator(Features)


@register("none")
def none(x_BF: torch.Tensor, shape: Shape) -> torch.Tensor:
    """(B, 0): the pixels are all."""
    return x_BF[:, :0]


@register("edges", of_images=True)
def edges(x_BF: torch.Tensor, shape: Shape) -> torch.Tensor:
    """(B, 4 R K): how strong edges of four orientations are in each cell of 2 x 2 pixels.

    Histograms of oriented gradients (Dalal & Triggs, CVPR 2005), made simple: of each pixel's gradient the part across
    edges that stand upright, lie flat, or lean either way, whatever its sign; averaged over the 4 x 4 pixels around a
    cell, and over the channels; divided by the root mean square of all orientations in the 3 x 3 cells around it; at
    most 1. 28 x 28 pixels have 14 x 14 cells.
    """
    _channels, height, width = shape
    light = pad(x_BF.view(-1, *shape), (1, 1, 1, 1))
    to_right = light[:, :, 1:-1, 2:] - light[:, :, 1:-1, :-2]
    down = light[:, :, 2:, 1:-1] - light[:, :, :-2, 1:-1]
    diagonal = math.sqrt(0.5)
    across = torch.stack([to_right, down, diagonal * (to_right + down), diagonal * (to_right - down)], 1)
    strength = across.abs().mean(2)
    cells = avg_pool2d(strength, 2 * CELL, CELL, CELL // 2)[..., : height // CELL, : width // CELL]
    around = avg_pool2d(cells.square().mean(1, keepdim=True), 3, 1, 1)
    return (cells / (around + CONTRAST**2).sqrt()).clamp(max=1).flatten(1)
