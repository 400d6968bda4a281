"""An encoder of one's own: rank-order coding (Thorpe & Gautrais 1998), one spike a pixel, in the order of brightness.

    ffsnn train --use examples/rank_order.py --encoder rank_order --T 8 --dataset digits --batch-size 128

Only the order counts, so an image and the same image in a dimmer light give the same spikes; the shipped `latency`
tells them apart.

Legend: T time steps, B images, F pixels in [0, 1].
"""

import torch

from ffsnn import encoders


@encoders.register("rank_order", least_T=2)
def rank_order(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(T, B, F), uint8: the pixels that are not black, the brightest first, an equal share of them a time step.

    Pixels of the same intensity go in the order of their places.
    """
    brightest_first = x_BF.argsort(dim=1, descending=True, stable=True)
    rank = brightest_first.argsort(dim=1)
    lit = (x_BF > 0).sum(1, keepdim=True)
    when = rank * T // lit.clamp(min=1)  # a black pixel's rank is `lit` at least, so it comes at T or later: never
    steps = torch.arange(T, device=x_BF.device)
    return (when == steps[:, None, None]).to(torch.uint8)
