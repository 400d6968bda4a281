"""Pictures of a trained network: what fires when, what it is shown, how it tells right labels from wrong ones.

Every function returns a matplotlib `Figure` of its own; no pyplot, so no global state and no window. Colours are Okabe
and Ito's blue and vermilion, which all eyes tell apart, and nothing is told by colour alone: positive is also solid,
negative dashed.

A positive sample is an image under its true label, a negative one the same image under a wrong label, here drawn
evenly from all wrong ones, whatever the training drew.

Legend: T time steps, N images, F inputs, H neurons of a layer, C classes.
"""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ffsnn import atomic
from ffsnn.config import NetworkConfig
from ffsnn.datasets.dataset import DatasetFacts, Images
from ffsnn.inspection.trace import trace
from ffsnn.labels import clear
from ffsnn.network import Network
from ffsnn.parts.negatives import uniform_negatives
from ffsnn.parts.registry import GOODNESS
from ffsnn.randomness import generator

POSITIVE, NEGATIVE, INK = "#0072B2", "#D55E00", "#333333"
DPI = 150
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def raster(network: Network, x: torch.Tensor, y: int) -> Figure:
    """Spikes of every layer, neuron x time step, while one uint8 image (F,) is shown under the label `y`."""
    seen = trace(network, x[None], torch.tensor([y], device=x.device))
    figure = Figure(figsize=(3.2 + 3.0 * len(seen), 7.2), layout="constrained")
    figure.suptitle(f"Spikes while one image is shown under label {y}", fontsize=13)
    shown, *panels = figure.subplots(1, 1 + len(seen), width_ratios=[0.9] + [1] * len(seen))
    _draw_sample(shown, network, x, y, POSITIVE)
    shown.set_title(f"input, {network.config.network.encoder} encoding\n(label framed)", fontsize=10)
    for number, (axes, layer) in enumerate(zip(panels, seen, strict=True)):
        spikes_TH = layer.spikes[:, 0].float().cpu().numpy()
        steps, width = spikes_TH.shape
        at, neuron = spikes_TH.nonzero()
        dash = min(5.0, max(0.4, 400 / width))  # points; the panel is about 400 high
        axes.hlines(neuron, at + 0.6, at + 1.4, color=POSITIVE, linewidth=dash, snap=False)
        for edge in range(1, steps if steps <= 20 else 1):
            axes.axvline(edge + 0.5, color="#DDDDDD", linewidth=0.6)
        axes.set(xlim=(0.5, steps + 0.5), ylim=(-0.5, width - 0.5), xlabel="time step", ylabel="neuron")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=min(steps, 8), min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10]))
        name = f"layer {number} (reads out)" if network.each_layer[number].reads_out else f"layer {number}"
        axes.set_title(
            f"{name}: {width} neurons\n{len(at):,} spikes, {spikes_TH.mean():.2f} a neuron and step",
            fontsize=10,
        )
    return figure


def samples(network: Network, images: Images, count: int = 8) -> Figure:
    """The first `count` images as they are shown: above under the true label, below under a wrong one."""
    few = images[torch.arange(min(count, len(images)), device=images.y.device)]
    wrong = _wrong_labels(network, few)
    figure = Figure(figsize=(max(6.4, 1 + 1.45 * len(few)), 4.1), layout="constrained")
    where = "on inputs of its own, above it" if network.appended else f"over its first {network.classes} pixels"
    figure.suptitle(f"Samples: an image, and a label {where} (framed)", fontsize=13)
    rows = figure.subplots(2, len(few), squeeze=False)
    for row, labels, name, colour, style in (
        (rows[0], few.y, "positive", POSITIVE, "solid"),
        (rows[1], wrong, "negative", NEGATIVE, (0, (2, 1))),
    ):
        for axes, x, true, label in zip(row, few.x, few.y.tolist(), labels.tolist(), strict=True):
            _draw_sample(axes, network, x, label, colour, style)
            axes.set_title(f"label {label}" + ("" if label == true else f"\n(true: {true})"), fontsize=10)
        row[0].set_ylabel(name, fontsize=12, color=colour)
    return figure


def goodness_histograms(network: Network, images: Images) -> Figure:
    """Goodness of positive and negative samples over the images; a panel for each layer that learns by it."""
    layers = [number for number, layer in enumerate(network.each_layer) if not layer.reads_out]
    figure = Figure(figsize=(max(6.4, 4.4 * len(layers)), 4.0), layout="constrained")
    figure.suptitle(f"Goodness of {len(images):,} images under the true and a wrong label", fontsize=13)
    if not layers:
        figure.text(0.5, 0.45, "The only layer reads the label out; none learns by goodness.", ha="center")
        return figure
    goodness_L2N, bars = _goodness(network, images), int(np.clip(2 * len(images) ** 0.5, 12, 50))
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for axes, number in zip(panels, layers, strict=True):
        good_pos, good_neg = goodness_L2N[number]
        bins = np.histogram_bin_edges(np.concatenate([good_pos, good_neg]), bins=bars)
        axes.hist(good_pos, bins, color=POSITIVE, alpha=0.35, label="positive (true label)")
        axes.hist(good_pos, bins, histtype="step", color=POSITIVE, linewidth=1.5)
        axes.hist(
            good_neg,
            bins,
            histtype="step",
            color=NEGATIVE,
            linewidth=1.5,
            linestyle="--",
            label="negative (wrong label)",
        )
        if (theta := network.config.learning.theta) is not None:
            axes.axvline(theta, color=INK, linewidth=1.2, linestyle=":", label="threshold θ")
        axes.set(xlabel=_goodness_axis(network.config.network), ylabel="images")
        axes.set_title(f"layer {number}: positive above negative for {(good_pos > good_neg).mean():.1%}", fontsize=10)
        axes.set_ylim(top=1.3 * axes.get_ylim()[1])  # room for the legend
        axes.legend(fontsize=8, framealpha=0.9, edgecolor="none", ncols=2, loc="upper center")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def confusion(y: torch.Tensor, predicted: torch.Tensor, names: Sequence[str]) -> Figure:
    """Confusion matrix: true labels in rows, predictions in columns, from labels (N,), predictions (N,) and the names
    of the classes."""
    classes = len(names)
    counts_CC = torch.bincount((y * classes + predicted).cpu(), minlength=classes**2).view(classes, classes).numpy()
    errors = counts_CC * (1 - np.eye(classes, dtype=counts_CC.dtype))
    figure = Figure(figsize=(1.8 + 0.55 * classes, 1.4 + 0.5 * classes), layout="constrained")
    right = np.trace(counts_CC) / max(1, len(y))
    figure.suptitle(f"Confusion: {right:.2%} of {len(y):,} images right", fontsize=13)
    axes = figure.subplots()
    most = max(5, errors.max())  # a single error is no dark one
    shades = axes.imshow(errors, cmap="Oranges", vmin=0, vmax=most, aspect="auto")
    figure.colorbar(shades, ax=axes, label="wrong (images)", ticks=MaxNLocator(integer=True, nbins=6))
    for true in range(classes):
        for label in range(classes):
            count = counts_CC[true, label]
            if true == label:
                axes.add_patch(Rectangle((label - 0.5, true - 0.5), 1, 1, facecolor="#E8EEF4", edgecolor="none"))
            dark = true != label and count > 0.6 * most
            axes.text(
                label, true, f"{count:,}" if count else "·", ha="center", va="center", fontsize=9,
                color="white" if dark else INK if count else "#AAAAAA", weight="bold" if true == label else "normal",
            )  # fmt: skip
    axes.set_xticks(range(classes), names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(classes), names)
    axes.set(xlabel="predicted label", ylabel="true label")
    axes.tick_params(length=0)
    return figure


def save_all(network: Network, images: Images, folder: str | Path) -> list[Path]:
    """Write the four pictures of a trained network as PNG; each file is there whole or not at all.

    Raises:
        ValueError: there is no image.
        OSError: the folder cannot be written.
    """
    if not len(images):
        raise ValueError("pictures are drawn from images, but got 0 of them")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "raster.png": raster(network, images.x[0], int(images.y[0])),
        "samples.png": samples(network, images),
        "goodness.png": goodness_histograms(network, images),
        "confusion.png": confusion(images.y, network.predict(images.x), network.config.data.facts.labels),
    }
    for name, figure in figures.items():
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DPI)
        atomic.write(folder / name, content.getvalue())
    return [folder / name for name in figures]


def _wrong_labels(network: Network, images: Images) -> torch.Tensor:
    draw = generator(network.seed, "pictures", device=images.y.device)
    return uniform_negatives(images.y, network.classes, draw)[0]


@torch.no_grad()
def _goodness(network: Network, images: Images) -> list[Any]:
    """For each layer, (2, N) goodness of positive and negative samples."""
    wrong, parts = _wrong_labels(network, images), []
    for batch, index in enumerate(torch.arange(len(images), device=images.y.device).split(network.prediction_batch)):
        noise = partial(generator, network.seed, "prediction", batch, device=images.x.device)
        answers = network.answers(images.x[index], torch.stack([images.y[index], wrong[index]]), noise)
        parts.append([answer.goodness.view(2, -1) for answer in answers])
    return [torch.cat(layer, 1).cpu().numpy() for layer in zip(*parts, strict=True)]


def _goodness_axis(network: NetworkConfig) -> str:
    of, unit = {"rate": ("rate", "spikes / step"), "count": ("count", "spikes")}[network.activity]
    power = GOODNESS[network.goodness].power
    said = unit if power == 1 else f"({unit}){str(power).translate(SUPERSCRIPT)}"
    return f"goodness: {network.goodness.replace('_', ' ')} of {of}s, {said}"


def _draw_sample(axes: Axes, network: Network, x: torch.Tensor, label: int, colour: str, style: Any = "solid") -> None:
    """One uint8 image (F,) or recording (T, F) with its label; the same greys for every image, white is an input of 1.

    The label's C inputs are framed where they stand in one row, else the label's own pixel.
    """
    facts, classes = network.config.data.facts, network.classes
    amplitude = network.config.network.label_amplitude
    pixels = x.cpu().float() / 255
    if not network.appended:
        clear(pixels, classes)[..., label] = amplitude
    grey = picture_of(pixels, facts)
    corner, width = (0, 0), classes
    if network.appended:
        (height, side), image = grey.shape, grey
        grey = np.full((height + 2, max(side, classes)), np.nan)  # the label's inputs, a gap, the image
        grey[0, :classes] = 0
        grey[0, label] = amplitude
        grey[2:, :side] = image
    elif classes > facts.shape[2]:
        corner, width = (label % facts.shape[2], label // facts.shape[2]), 1
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, aspect="equal" if facts.is_image else "auto")
    (column, row), line = corner, {"edgecolor": colour, "linestyle": style, "linewidth": 1.6}
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), width, 1, fill=False, clip_on=False, **line))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(not network.appended)


def picture_of(pixels: torch.Tensor, facts: DatasetFacts) -> npt.NDArray[np.float32]:
    """Intensities (F,) or (T, F) as one grey picture: channels beside each other, an image's time steps as their mean;
    features in one row, a series or events as inputs x time steps."""
    if not facts.is_image:
        series: npt.NDArray[np.float32] = np.atleast_2d(pixels.numpy().T) if pixels.dim() == 2 else pixels[None].numpy()
        return series
    still = pixels.mean(0) if pixels.dim() == 2 else pixels
    beside: npt.NDArray[np.float32] = torch.cat([*still.view(facts.shape)], 1).numpy()
    return beside
