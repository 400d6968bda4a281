"""The final fit: once an epoch is chosen on validation images, all training images are trained on, those too.

It follows the schedule of the trainings that the epoch was chosen in, and stops where they were best: the same steps of
the same learning rate, on a ninth more images where a tenth had been held out. Nothing is left to validate with, so its
accuracy is known from test images alone, or not at all.
"""

import statistics
from collections.abc import Sequence

from ffsnn.config import RunConfig
from ffsnn.training.epoch_metrics import EpochMetrics, best_of
from ffsnn.validation import ConfigError


def of(config: RunConfig, histories: Sequence[Sequence[EpochMetrics]]) -> RunConfig:
    """The configuration of a final fit.

    Args:
        config: of the trainings, but for the seed, which is the fit's.
        histories: theirs, one a seed; the epoch is the median of their best ones.

    Raises:
        ConfigError: a training has not come to its end, or is a final fit itself.
    """
    if config.is_final:
        raise ConfigError(f"this is a final fit already ({config.final_fit}): name the run that it was chosen by")
    done, asked = min(map(len, histories), default=0), config.learning.epochs
    if done < asked:
        raise ConfigError(
            f"a final fit stops after the epoch that a whole training chose, but got {done} of {asked} epochs: train "
            "it to its end first"
        )
    epoch = statistics.median_low(best_of(history).epoch for history in histories)
    return config.replaced({"data.validation": 0, "data.train_images": None, "learning.chosen_epoch": epoch})
