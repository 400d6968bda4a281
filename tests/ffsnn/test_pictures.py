"""Pictures: what is drawn is what the network does; files are whole; nothing global is touched."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.datasets.dataset import Images
from ffsnn.inspection import pictures
from ffsnn.inspection.pictures import confusion, goodness_histograms, raster, samples, save_all
from ffsnn.inspection.trace import trace
from ffsnn.network import Network

T, WIDTHS, C = 5, (24, 16), 10


def network(learning: dict[str, Any] | None = None, **changes: Any) -> Network:
    tree = {"data": {"dataset": "digits"}, "network": {"T": T, "widths": WIDTHS} | changes, "learning": learning or {}}
    return Network(RunConfig.parse(tree))


@pytest.fixture(scope="module")
def images() -> Images:
    return data.load(RunConfig.parse({"data": {"dataset": "digits"}}).data, 0).validation


def text(figure: Figure) -> str:
    """All titles, axis labels and notes."""
    parts = [figure.get_suptitle(), *(note.get_text() for note in figure.texts)]
    for axes in figure.axes:
        parts += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
    return "\n".join(parts)


@pytest.mark.parametrize("encoder", ["direct", "poisson"])
def test_raster_has_a_dash_for_every_spike(encoder: str, images: Images) -> None:
    net, x, y = network(encoder=encoder), images.x[3], 7
    figure = raster(net, x, y)
    for axes, seen, width in zip(figure.axes[1:], trace(net, x[None], torch.tensor([y])), WIDTHS, strict=True):
        dashes = axes.collections[0].get_segments()
        assert {(round(d[0, 0] - 0.6), round(d[0, 1])) for d in dashes} == {
            (at, neuron) for at, neuron in seen.spikes[:, 0].nonzero().tolist()
        }
        assert len(dashes) == seen.spikes.sum() > 0
        assert f"{width} neurons\n{len(dashes)} spikes" in axes.get_title()
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("time step", "neuron")
    assert "under label 7" in text(figure)


def test_samples_show_the_input(images: Images) -> None:
    net = network()
    figure = samples(net, images, count=3)
    positive, negative = figure.axes[:3], figure.axes[3:]
    assert len(negative) == 3
    for axes, below, x, true in zip(positive, negative, images.x, images.y.tolist(), strict=False):
        grey, other = (np.asarray(each.images[0].get_array()).flatten() for each in (axes, below))
        assert grey[:C].tolist() == np.eye(C)[true].tolist()
        assert grey[C:] == pytest.approx(x[C:].numpy() / 255)
        assert other[C:].tolist() == grey[C:].tolist()
        assert other[:C].sum() == 1
        assert other[true] == 0
        assert axes.get_title() == f"label {true}"
        assert below.get_title() == f"label {other[:C].argmax()}\n(true: {true})"


def test_an_appended_label_stands_above_the_whole_image(images: Images) -> None:
    figure = samples(network(label="appended"), images, count=1)
    grey = np.asarray(figure.axes[0].images[0].get_array())
    assert grey[0].tolist() == np.eye(C)[images.y[0]].tolist()
    assert grey[2:, :8].flatten() == pytest.approx(images.x[0].numpy() / 255)
    assert "on inputs of its own" in text(figure)


@pytest.mark.parametrize(
    ("changes", "axis"),
    [
        ({}, "goodness: mean square of rates, (spikes / step)²"),
        ({"goodness": "mean", "activity": "count"}, "goodness: mean of counts, spikes"),
    ],
)
def test_histograms_hold_every_image(changes: dict[str, Any], axis: str, images: Images) -> None:
    figure = goodness_histograms(network(**changes), images)
    assert len(figure.axes) == len(WIDTHS)
    for axes in figure.axes:
        bars = [patch.get_height() for patch in axes.patches if hasattr(patch, "get_height")]
        assert sum(bars) == len(images)  # the filled one; the outlines are polygons
        assert axes.get_xlabel() == axis
        entries = [entry.get_text() for entry in axes.get_legend().get_texts()]
        assert entries == ["positive (true label)", "negative (wrong label)"]


def test_theta_stands_in_the_histograms_and_a_readout_does_not(images: Images) -> None:
    threshold = goodness_histograms(network({"loss": "threshold", "theta": 0.1}), images)
    assert [line.get_xdata()[0] for axes in threshold.axes for line in axes.lines] == [0.1, 0.1]
    assert len(goodness_histograms(network({"output": "mse"}, widths=(24, 10)), images).axes) == 1
    alone = network({"output": "mse", "negatives": "uniform"}, widths=(10,), prediction="one_pass")
    assert "none learns by goodness" in text(goodness_histograms(alone, images))


def test_confusion_counts() -> None:
    y, predicted = torch.tensor([0, 0, 0, 1, 2, 2]), torch.tensor([0, 0, 2, 1, 1, 2])
    figure = confusion(y, predicted, ["0", "1", "2"])
    axes = figure.axes[0]
    cells = {note.get_position(): note.get_text() for note in axes.texts}  # (predicted, true)
    assert {at: int(cell) for at, cell in cells.items() if cell != "·"} == {
        (0, 0): 2, (2, 0): 1, (1, 1): 1, (1, 2): 1, (2, 2): 1,
    }  # fmt: skip
    assert len(cells) == 9
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")
    assert "66.67% of 6 images right" in text(figure)


def test_four_whole_files_of_the_same_bytes_each_time(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "DPI", 50)  # quick
    net = network(encoder="poisson")
    first, second = save_all(net, images, tmp_path / "new" / "a"), save_all(net, images, str(tmp_path / "b"))
    assert [path.name for path in first] == ["raster.png", "samples.png", "goodness.png", "confusion.png"]
    assert sorted(first[0].parent.iterdir()) == sorted(first)  # no temporary file is left
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        with Image.open(one) as image:
            image.verify()
            assert image.width > 300


def test_no_image_no_picture(images: Images, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="drawn from images, but got 0"):
        save_all(network(), Images(images.x[:0], images.y[:0]), tmp_path)


def test_pyplot_and_its_global_state_stay_out() -> None:
    imports = [line for line in Path(pictures.__file__).read_text().splitlines() if "import" in line.split()]
    assert len(imports) > 10
    assert [line for line in imports if "pyplot" in line or "pylab" in line] == []
