"""Layers that can learn nothing, found in a tenth of the first epoch."""

import torch

LOOKED_AT, AT_LEAST = 0.1, 20  # share of the first epoch's batches, and batches, after which it may be found dead


class DeadLayerError(RuntimeError):
    """Nothing can be learned: the first layer never fires, or a layer fires at every time step."""


def dead_layer(rates: torch.Tensor, batches: int) -> str | None:
    """Reason why no layer can learn, by the firing rates (batches, layers) of an epoch's first batches; None: it may.

    A first layer without a single spike leaves all later ones without input, and one that fires at every step tells
    images apart no more. Of 63 configurations that were silent so one came to 86 % in the end and 57 to nothing
    (docs/search_quality.md); a later layer that is silent at first often wakes up.
    """
    so_far = f"in the first {len(rates)} of {batches} batches"
    if not rates[:, 0].any():
        return f"layer 0 has not fired once {so_far}: lower v_threshold, or raise T or tau"
    always = (rates >= 1).all(0).nonzero()
    if len(always):
        return f"every neuron of layer {always[0].item()} has fired at every step {so_far}: raise v_threshold"
    return None
