"""Images that look inverted: dark on a light ground, where the training images are light on a dark one, or the reverse.

A network has learned the ground it was trained on, and gives a label for the inverse image, too, mostly a wrong one.

The rule: an image's ground is the mean of its outermost pixels, 0 black to 1 white. That of the training images must be
clear, at most 0.25 or at least 0.75 in the mean; then an image looks inverted whose own lies on the other side of 0.5.
Of photographs, whose borders are of any kind, nothing is said.
"""

import torch

from ffsnn.config.data import DataConfig
from ffsnn.datasets.dataset import Images
from ffsnn.datasets.folder import Folder, reading_from
from ffsnn.parts.registry import DATASETS

CLEAR = 0.25  # distance from black or white, at most, of a ground that can be told from its inverse


def ground(x_NF: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Mean (N,) of the outermost pixels of images (N, channels * height * width), uint8; 0 black to 1 white."""
    edge = torch.ones(shape, dtype=torch.bool)
    edge[:, 1:-1, 1:-1] = False
    return x_NF[:, edge.flatten()].double().mean(1) / 255


def of_training(config: DataConfig, data_dir: Folder = None) -> float | None:
    """Mean ground of the images that a configuration is trained on; None: it has none, or they are not here any more.

    Those of a shipped data set are not opened, nor fetched: theirs is a fact.
    """
    if not config.facts.is_image or config.facts.temporal:
        return None
    with reading_from(data_dir):
        dataset = DATASETS.get(config.dataset)
        if dataset is None or (config.own is not None and dataset.checksum != config.own.checksum):
            return None
        if dataset.ground is not None or config.own is None:
            return dataset.ground
        images = dataset.train(data_dir)
    return float(ground(images.x, config.facts.shape).mean()) if isinstance(images, Images) else None


def inverted(x_NF: torch.Tensor, shape: tuple[int, int, int], training: float | None) -> torch.Tensor:
    """Which of some images (N,) look inverted beside training images of a mean ground; none where it is not clear."""
    if training is None or min(training, 1 - training) > CLEAR:
        return torch.zeros(len(x_NF), dtype=torch.bool)
    own = ground(x_NF, shape)
    return own > 0.5 if training < 0.5 else own < 0.5
