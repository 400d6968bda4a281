"""The learning rate over a training, as a factor of `learning.lr`: a pure function of how far it has come.

    warmup    linear from 0 over the first epochs (Goyal et al. 2017, arXiv 1706.02677, section 2.2)
    cosine    half a cosine from 1 to 0 over the epochs behind it (Loshchilov & Hutter 2017, arXiv 1608.03983)
    restarts  that many times the cosine begins anew, each as long as the first (the same, "SGDR", with T_mult = 1)

Since a factor depends on nothing but the place in the training, a run that is resumed has the same ones.
"""

import math

from ffsnn.config import LearningConfig

ROUNDING = 1e-9  # of a cosine: so much of it may be left where the next one is due


def factor(learning: LearningConfig, done: float, epochs: float) -> float:
    """Factor of the learning rate for the next step.

    Args:
        learning: its schedule, warmup and restarts.
        done: epochs done, with the share of the one that runs.
        epochs: in all, more than the warm-up takes.
    """
    warmup = learning.warmup
    if done < warmup:
        return done / warmup
    if learning.schedule == "constant":
        return 1.0
    angle = math.pi * (done - warmup) / (epochs - warmup) * (1 + learning.restarts)
    begun = int(angle / math.pi + ROUNDING)
    return 0.5 * (1 + math.cos(max(0.0, angle - begun * math.pi)))
