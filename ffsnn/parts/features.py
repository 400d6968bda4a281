"""Features: what a network sees of an image beside its pixels, computed from them and not learned; by name.

They stand behind the pixels, are encoded as pixels are, and are computed anew from every image as it is shown, after
it has been moved, bent or mirrored.

Legend: B images, F = channels * height * width pixels in [0, 1], E features, R rows and K columns of cells (of CELL x
CELL pixels).
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
CONTRAST = 1 / 64  # added in square under the root, so that noise in flat regions is not amplified


@dataclass(frozen=True)
class Features:
    """A kind of features."""

    extract: Extract
    of_images: bool = False  # pixels must have neighbours
    scratch: int = 0  # numbers for each pixel that memory holds while they are computed

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


@register("edges", of_images=True, scratch=17)
def edges(x_BF: torch.Tensor, shape: Shape) -> torch.Tensor:
    """(B, 4 R K): gradient magnitude in four orientations for each cell of 2 x 2 pixels.

    A short form of histograms of oriented gradients (Dalal & Triggs, CVPR 2005): |dx|, |dy|, |dx + dy| / sqrt 2 and
    |dx - dy| / sqrt 2 by central differences (0 outside of the image), averaged over channels and over the 4 x 4 pixels
    around the cell, divided by sqrt(m + CONTRAST^2), where m is the mean square of all orientations in the surrounding
    3 x 3 cells, and clipped to 1. Cells beyond the border count as 0. An odd last row or column has no cell of its own;
    28 x 28 pixels have 14 x 14 cells.
    """
    padded = pad(x_BF.view(-1, *shape), (1, 1, 1, 1))
    dx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    dy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    diagonal = math.sqrt(0.5)
    oriented = torch.stack([dx, dy, diagonal * (dx + dy), diagonal * (dx - dy)], 1)
    cells = avg_pool2d(oriented.abs().mean(2), 2 * CELL, CELL, CELL // 2)
    around = avg_pool2d(cells.square().mean(1, keepdim=True), 3, 1, 1)
    return (cells / (around + CONTRAST**2).sqrt()).clamp(max=1).flatten(1)
