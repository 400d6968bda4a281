"""A trained network looked at and used: its pictures, and labels for a user's own images.

Both take a run's folder (its best epoch) or one of its weight files, beside which `config.json` must stand.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import torch

from ffsnn import atomic
from ffsnn.config import DataConfig, RunConfig
from ffsnn.datasets import data
from ffsnn.datasets.dataset import Images
from ffsnn.datasets.folder import Folder
from ffsnn.datasets.images import Shape, in_folder, of_array, read
from ffsnn.datasets.scale import Scale
from ffsnn.inference import exits, stepping
from ffsnn.inference.exit_rule import TOLERANCE
from ffsnn.inspection import ground, pictures
from ffsnn.network import Network
from ffsnn.training.run_folder import RunFolder, load
from ffsnn.validation import ConfigError

PICTURES = "pictures"  # the folder within the run's, unless another one is named


class Prediction(NamedTuple):
    """The network's prediction for one image."""

    name: str  # the file's, with the image's number in brackets where the file holds several
    label: str  # its class's name, or number
    margin: float  # the best label's score less the second best's, in the units of the configured prediction
    steps: int | None = None  # time steps that it was shown for, with early exit


def trained(path: str | Path, data_dir: Folder = None) -> tuple[Network, Images]:
    """A run's network and its validation images, both on the CPU; of a final fit, a tenth of its training images.

    Raises:
        ConfigError: no such run, or a damaged one, or its data set cannot be had.
    """
    config = _config(path)
    network = load(path)
    split = data.load(config.data, config.seed, data_dir or config.data_dir, T=config.network.T)
    return network, split.train[torch.arange(0, len(split.train), 10)] if config.is_final else split.validation


def show(path: str | Path, out: str | Path | None = None, data_dir: Folder = None) -> list[Path]:
    """Draw a run's pictures from its validation images, into `out` (None: `pictures/` beside its weights); that of
    early exit, where its network can be read before its last step.

    Raises:
        ConfigError: no such run, or a damaged one; its data set cannot be had; `out` cannot be written.
    """
    network, images = trained(path, data_dir)
    return draw(path, network, images, None if exits.refusal(network) else exits.choose(network, images), out)


def draw(
    path: str | Path, network: Network, images: Images, early: exits.Exits | None, out: str | Path | None = None
) -> list[Path]:  # fmt: skip
    """As `show`, of a network with images and early exit that are at hand.

    Raises:
        ConfigError: `out` cannot be written.
    """
    folder = Path(out) if out is not None else _folder(path) / PICTURES
    try:
        drawn = pictures.save_all(network, images, folder)
        if early is not None:
            from ffsnn.inspection.exit_curve import exit_curve

            content = io.BytesIO()
            exit_curve(early).savefig(content, format="png", dpi=pictures.DPI)
            drawn.append(folder / "exit.png")
            atomic.write(drawn[-1], content.getvalue())
        return drawn
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror or error}; choose another with --out") from error


def chosen_exit(path: str | Path, tolerance: float = TOLERANCE, data_dir: Folder = None) -> exits.Exits:
    """Early exit of a run's network: its curve over its validation images, and what is chosen on it.

    Raises:
        ConfigError: as `trained`; or the network cannot be read before its last step.
    """
    network, images = trained(path, data_dir)
    return exits.choose(network, images, tolerance)


def predict(
    checkpoint: str | Path, images: Iterable[str | Path | npt.NDArray[Any]], invert: bool = False,
    say: Callable[[str], None] = lambda _: None, threshold: float | None = None, data_dir: Folder = None,
) -> Iterator[Prediction]:  # fmt: skip
    """Labels for the images in files (IDX, PNG, JPEG, .npy), folders and arrays; all are read before the first answer.

    A file's answers do not depend on which others are asked for with it. Numbers in arrays are scaled as those of the
    training set were (`ffsnn data add`). With a `threshold`, an image is shown no
    longer than until its margin is no less.

    Args:
        checkpoint: a run's folder, or one of its weight files.
        images: paths of files, and of folders whose files of images are meant; arrays, as a .npy file holds one.
        invert: black becomes white, and white black.
        say: is told what was passed over, and whether images look inverted.
        threshold: margin at which an image is shown no longer; None: all time steps.
        data_dir: the data folder, for the training set's scale and ground; None: the run's.

    Raises:
        ConfigError: no such checkpoint, or a damaged one; a file that holds no images of the right kind; or its
            training set has a scale of its own, which is not at hand.
    """
    config = _config(checkpoint)
    facts = config.data.facts
    network = load(checkpoint)
    if facts.temporal:
        raise ConfigError(
            f"predict must be given a network of images, but {checkpoint} was trained on recordings over time: see how "
            "it does with ffsnn show"
        )
    data_dir = data_dir or config.data_dir
    scale = data.scale_of(config.data, data_dir)
    files = [(name, 255 - x if invert else x) for name, x in _read(images, facts.shape, scale, say)]
    if facts.is_image:
        _warn_of_inverted([x for _, x in files], config.data, data_dir, invert, say)
    return (answer for name, x in files for answer in _answers(network, name, x, threshold))


def _read(
    images: Iterable[str | Path | npt.NDArray[Any]], shape: Shape, scale: Scale | None, say: Callable[[str], None]
) -> Iterator[tuple[str, torch.Tensor]]:
    """The images (N, F) of each file, those in folders too, and of each array; with the name that they go by."""
    for number, it in enumerate(images):
        if not isinstance(it, str | Path):
            yield f"array {number}", of_array(it, shape, f"array {number}", scale)
        elif not Path(it).is_dir():
            yield str(it), read(it, shape, scale)
        else:
            files, others = in_folder(Path(it))
            if others:
                shown = ", ".join(file.name for file in others[:3]) + (", ..." if len(others) > 3 else "")
                say(f"{it}: {len(others)} files are no images, and are passed over ({shown})")
            yield from ((str(file), read(file, shape, scale)) for file in files)


def _warn_of_inverted(
    files: list[torch.Tensor], data: DataConfig, data_dir: Folder, invert: bool, say: Callable[[str], None]
) -> None:  # fmt: skip
    """Say so where more than half of the images look inverted (`ffsnn.inspection.ground`)."""
    shape, training = data.facts.shape, ground.of_training(data, data_dir)
    looks = torch.cat([ground.inverted(x, shape, training) for x in files]) if files else torch.zeros(0)
    if training is not None and 2 * int(looks.sum()) > len(looks):
        own = torch.cat([ground.ground(x, shape) for x in files]).mean()
        mend = "leave --invert out" if invert else "--invert makes them so"
        said = "light on dark" if training < 0.5 else "dark on light"
        say(
            f"{int(looks.sum())} of {len(looks)} images look inverted: their border is {own:.0%} white, but the "
            f"network was trained on {said}; {mend}"
        )


def _answers(network: Network, name: str, x: torch.Tensor, threshold: float | None) -> Iterator[Prediction]:
    number, names = 0, network.config.data.facts.labels
    for batch, part in enumerate(x.split(network.prediction_batch)):  # as `Network.predict` does
        shown: list[int | None] = [None] * len(part)
        if threshold is None:
            scores = network.scores(part, batch)
            (best, second), labels = scores.topk(2, 1).values.T, scores.argmax(1)
            margins = best - second
        else:
            labels, margins, steps = stepping.decide(network, part, threshold, batch)
            shown = steps.tolist()
        for label, margin, step in zip(labels.tolist(), margins.tolist(), shown, strict=True):
            yield Prediction(name if len(x) == 1 else f"{name}[{number}]", names[label], margin, step)
            number += 1


def _folder(path: str | Path) -> Path:
    return Path(path) if Path(path).is_dir() else Path(path).parent


def _config(path: str | Path) -> RunConfig:
    """The configuration beside the weights.

    Raises:
        ConfigError: there is none, or it breaks a rule.
    """
    if not Path(path).exists():
        raise ConfigError(f"{path} is not there: name a run's folder, or one of its .safetensors files")
    return RunFolder(_folder(path)).config()
