"""Classification sets of torchvision, by the name of their class."""

import inspect
from typing import Any

import numpy as np
from PIL import Image

from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.folder import cache_folder
from ffsnn.datasets.sources.raw import Options, Part, Raw, Shape, images
from ffsnn.validation import brief


def read_torchvision(name: str, options: Options) -> Raw:
    """`CIFAR10`, `EMNIST/letters` where a set has several, or `OxfordIIITPet/trainval,test`; torchvision fetches it.

    A set that knows no test recordings has none: a share of it is split off.

    Raises:
        DataError: torchvision has no such set, or cannot fetch it.
    """
    from torchvision import datasets  # type: ignore[import-untyped, unused-ignore]

    name, _, split = name.partition("/")
    kind = getattr(datasets, name, None)
    if kind is None or not inspect.isclass(kind):
        raise DataError(f"torchvision has no data set {name!r}: see its documentation for the names")
    takes = inspect.signature(kind.__init__).parameters
    if "root" not in takes or (split and "split" not in takes):
        wanted = f"has no splits, but got {split!r}" if "root" in takes else "is no set of files"
        raise DataError(f"torchvision's {name} {wanted}: name another, or files of your own")
    splits = split.split(",")
    if len(splits) > 2:
        raise DataError(f"one split of {name} is needed, or training and test, but got {split!r}")
    if len(splits) < 2:
        splits = [split, split] if "train" in takes else [split] if split else ["train", "test"]
    root, names = str(cache_folder() / "torchvision"), None
    parts: list[tuple[Shape, Part]] = []
    for train, part in zip((True, False), splits if {"train", "split"} & takes.keys() else [""], strict=False):
        given: dict[str, Any] = {"root": root, "download": True} if "download" in takes else {"root": root}
        if "train" in takes:
            given["train"] = train
        if part and "split" in takes:
            given["split"] = part
        try:
            held = kind(**given)
        except Exception as error:  # whatever a download raises
            raise DataError(f"torchvision cannot give {name} ({brief(error)}): is there a network?") from error
        names = getattr(held, "classes", None)
        shape, read = _part(held, options, f"torchvision:{name}")
        if parts and shape != parts[0][0]:
            raise DataError(f"torchvision:{name} has images of several sizes: bring all to one with --side")
        parts.append((shape, read))
    known = tuple(map(str, names)) if names is not None else None
    return Raw("images", parts[0][0], parts[0][1], parts[1][1] if len(parts) > 1 else None, known)


def _part(held: Any, options: Options, path: str) -> tuple[Shape, Part]:
    rows, labels = [], []
    for image, label in held:
        image = image.convert("L") if options.grey else image
        if path == "torchvision:EMNIST":  # whose files are on their side
            image = image.transpose(Image.Transpose.TRANSPOSE)
        rows.append(np.asarray(image if options.side is None else image.resize((options.side, options.side))))
        labels.append(int(label))
    if len({row.shape for row in rows}) > 1:
        raise DataError(f"{path} has images of several sizes: bring all to one with --side, e.g. --side 32")
    return images(np.stack(rows), labels, path)
