"""A data set looked at: how many recordings each class has, and a picture with some of each."""

import io
from pathlib import Path

import torch
from matplotlib.figure import Figure

from ffsnn import atomic
from ffsnn.datasets.dataset import Dataset, Recordings
from ffsnn.datasets.folder import Folder
from ffsnn.inspection.pictures import DPI, picture_of

EACH, CLASSES, STEPS = 8, 26, 50  # samples of a class, classes at most, time steps that recordings are binned to


def save_samples(dataset: Dataset, file: Path, data_dir: Folder = None) -> dict[str, int]:
    """Draw samples of each class into a PNG; the number of training recordings of each class, by name.

    Raises:
        DataError: the data set cannot be read.
        OSError: the file cannot be written.
    """
    facts, held = dataset.facts, dataset.train(data_dir)
    images = held.binned(STEPS, None) if isinstance(held, Recordings) else held
    shown = min(facts.classes, CLASSES)
    figure = Figure(figsize=(1.6 + 0.9 * EACH, 0.4 + 0.9 * shown), layout="constrained")
    panels = figure.subplots(shown, EACH, squeeze=False)
    for label in range(shown):
        members = (images.y == label).nonzero().squeeze(1)
        for axes, index in zip(panels[label], members[:EACH].tolist(), strict=False):
            pixels = images.x[index].float() / 255
            channels, height, width = facts.shape
            if channels == 3 and not facts.temporal:
                axes.imshow(pixels.view(3, height, width).movedim(0, -1).numpy())
            else:
                picture = picture_of(pixels, facts)
                axes.imshow(picture, cmap="gray", aspect="equal" if facts.is_image else "auto")
        for axes in panels[label]:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        panels[label][0].set_ylabel(facts.labels[label], rotation=0, ha="right", va="center")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    atomic.write(file, content.getvalue())
    counts = torch.bincount(images.y, minlength=facts.classes).tolist()
    return {facts.labels[label]: count for label, count in enumerate(counts)}
