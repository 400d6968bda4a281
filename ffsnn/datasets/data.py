"""Images and labels, whole, as uint8 tensors on the device; no loader, no workers.

The training files give training and validation images (`load`); the test files are opened by `load_test` alone, and
are not even fetched before it asks. A 28x28 set is 47 MB as uint8, so an epoch is an index into one tensor.

Shapes: N images, F inputs, T time steps, C classes.
"""

import hashlib
from dataclasses import dataclass

import torch

from ffsnn.config.data import DataConfig
from ffsnn.datasets.dataset import Dataset, Device, Images, Recordings, stratified
from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.folder import Folder, cache_folder, reading_from
from ffsnn.datasets.own import own_file, read_card
from ffsnn.datasets.scale import Scale
from ffsnn.hardware.memory import uploading
from ffsnn.parts.registry import DATASETS


@dataclass(frozen=True)
class Split:
    train: Images
    validation: Images
    checksum: str  # sha256 of the bytes of train.x, then train.y: two runs with the same one saw the same images


def load(config: DataConfig, seed: int, data_dir: Folder = None, device: Device = "cpu", T: int = 1) -> Split:
    """Training and validation images, both from the training files, stratified by label.

    `seed` alone decides which images are held out: `train_images` never changes the validation images. `T` is the
    network's time steps, which what was recorded over time is binned to; other images do not depend on it.

    Raises:
        DataError: the training files are neither in the cache nor to be had, or the cache cannot be written.
        OutOfMemory: a GPU is too full for them.
    """
    images = _images(_dataset(config, data_dir).train(data_dir), config, T)
    generator = torch.Generator().manual_seed(seed)
    held_out, rest = stratified(images.y, round(len(images) * config.validation), generator)
    train = images[rest]
    if config.train_images is not None:
        train = train[stratified(train.y, config.train_images, generator)[0]]
    checksum = hashlib.sha256(train.x.numpy().tobytes() + train.y.numpy().tobytes()).hexdigest()
    with uploading(torch.device(device)):
        return Split(train.to(device), images[held_out].to(device), checksum)


def load_test(config: DataConfig, data_dir: Folder = None, device: Device = "cpu", T: int = 1) -> Images:
    """The test images: for the one final figure, never for a choice.

    Raises:
        DataError: the test files are neither in the cache nor to be had, or the cache cannot be written.
        OutOfMemory: a GPU is too full for them.
    """
    images = _images(_dataset(config, data_dir).test(data_dir), config, T)
    with uploading(torch.device(device)):
        return images.to(device)


def _dataset(config: DataConfig, data_dir: Folder) -> Dataset:
    """The data set of a configuration.

    Raises:
        DataError: it is one's own, and is not here, or is another one by now.
    """
    with reading_from(data_dir):
        try:
            dataset = DATASETS[config.dataset]
        except KeyError:
            raise DataError(
                f"the data set {config.dataset} is not in {cache_folder()}: add it there (ffsnn data add), or name its "
                "folder with --data-dir"
            ) from None
    if config.own is not None and dataset.checksum != config.own.checksum:
        raise DataError(
            f"the data set {config.dataset} in {cache_folder(data_dir)} is another one than the configuration's: it "
            "was removed and added anew since"
        )
    return dataset


def _images(held: Images | Recordings, config: DataConfig, T: int) -> Images:
    return held.binned(T, config.window_ms) if isinstance(held, Recordings) else held


def scale_of(data: DataConfig, data_dir: Folder = None) -> Scale | None:
    """The learned scale by which the numbers of a data set of one's own became bytes; None: they kept their meaning.

    Raises:
        DataError: they were scaled, or may have been, and the data set's file does not say how.
    """
    if data.own is None:
        return None
    mend = f"remove {data.dataset}, and add it again from its source"
    try:
        card = read_card(own_file(data.dataset, data_dir))
    except DataError as error:
        if data.facts.is_image:
            return None
        raise DataError(f"the scale of the data set {data.dataset} is needed, but {error}") from error
    if not card.low and any("were scaled to 256" in remark for remark in card.remarks):
        raise DataError(f"the data set {data.dataset} was added before its scale was kept: {mend}")
    if card.checksum != data.own.checksum:
        raise DataError(f"the data set {data.dataset} is another one than the network was trained on: {mend}")
    return Scale.kept(card.low, card.high) if card.low else None
