"""A goodness of one's own: the highest firing rate among a layer's neurons.

    ffsnn train --use examples/max_goodness.py --goodness max --dataset digits --batch-size 128
    ffsnn search examples/own_goodness.yaml

Of two tied neurons each takes half of the gradient (`torch.amax`).

Legend: B samples, F neurons; rates in [0, 1] (spikes / T).
"""

import torch

from ffsnn import goodness


@goodness.register("max")
def largest(rate_BF: torch.Tensor) -> torch.Tensor:
    """The highest rate (B,)."""
    return rate_BF.amax(1)
