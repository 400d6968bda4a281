"""Images that look inverted: all inverse ones, and none of a data set's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.datasets.add import keep_arrays
from ffsnn.inspection.ground import ground, inverted, of_training
from ffsnn.inspection.show import predict
from ffsnn.training.run import Run
from ffsnn.validation import ConfigError

RUN = RunConfig.parse({
    "data": {"dataset": "digits"}, "network": {"widths": [16], "T": 2}, "learning": {"batch_size": 128, "epochs": 1},
})  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    assert len(list(Run(RUN, data.load(RUN.data, RUN.seed), path))) == 1
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six digits, by every way, and what is none."""
    path = tmp_path_factory.mktemp("images")
    x = data.load(RUN.data, RUN.seed).validation.x[:6].view(-1, 8, 8).numpy()
    Image.fromarray(x[0]).save(path / "a.png")
    Image.fromarray(x[1]).save(path / "b.jpg", quality=100)
    np.save(path / "c.npy", x[2:])
    (path / "notes.txt").write_text("none")
    (path / ".hidden.png").write_bytes((path / "a.png").read_bytes())
    (path / "more").mkdir()
    return path


def test_the_ground_is_the_mean_of_the_outermost_pixels():
    x = torch.zeros(2, 2, 3, 4, dtype=torch.uint8)
    x[:, :, 1, 1:3] = 255  # inner ones do not count
    x[1, 0] = 255
    assert ground(x.flatten(1), (2, 3, 4)).tolist() == [0, 0.5]


def test_of_digits_none_looks_inverted_and_all_that_are_do():
    x, shape = data.load(RUN.data, 0).train.x, RUN.data.facts.shape
    assert of_training(RUN.data) == 0
    assert not inverted(x, shape, of_training(RUN.data)).any()
    assert inverted(255 - x, shape, of_training(RUN.data)).all()


@pytest.mark.parametrize(("level", "seen"), [(20, True), (235, True), (128, False)])
def test_of_a_data_set_of_ones_own_the_ground_is_measured(level: int, seen: bool, tmp_path: Path):
    """One that is neither dark nor light has no inverse that could be told."""
    x = np.full((12, 6, 6), level, np.uint8)
    x[:, 2:4, 2:4] = 255 - level
    name = keep_arrays((x, np.arange(12) % 2), tmp_path)
    config = RunConfig.parse({
        "data": {"dataset": name, "validation": 0.2}, "network": {"widths": [4]}, "learning": {"batch_size": 2},
        "data_dir": str(tmp_path),
    })  # fmt: skip
    shape, flat = config.data.facts.shape, torch.from_numpy(x.reshape(12, -1))
    training = of_training(config.data, tmp_path)
    assert training == pytest.approx(level / 255)
    assert not inverted(flat, shape, training).any()
    assert bool(inverted(255 - flat, shape, training).all()) == seen
    assert of_training(config.data, tmp_path / "elsewhere") is None  # where the images are not at hand


def test_a_folder_is_its_files_of_images(folder: Path, images: Path):
    said: list[str] = []
    answers = list(predict(folder, [images], say=said.append))
    assert [Path(answer.name).name for answer in answers] == ["a.png", "b.jpg", *(f"c.npy[{n}]" for n in range(4))]
    assert said == [f"{images}: 1 files are no images, and are passed over (notes.txt)"]
    (images / "more" / "x.txt").touch()
    with pytest.raises(ConfigError, match=r"more must hold images \(PNG, JPEG, IDX, \.npy\), but none of its 1 files"):
        predict(folder, [images / "more"])


def test_inverse_images_are_said_and_inverted_where_it_is_asked(folder: Path, images: Path, tmp_path: Path):
    files = [images / "a.png", images / "c.npy"]
    upright = [answer.label for answer in predict(folder, files)]
    Image.fromarray(255 - np.asarray(Image.open(files[0]))).save(tmp_path / "a.png")
    np.save(tmp_path / "c.npy", 255 - np.load(files[1]))
    inverse, said = [tmp_path / "a.png", tmp_path / "c.npy"], list[str]()
    list(predict(folder, inverse, say=said.append))
    (line,) = said
    assert line.startswith("5 of 5 images look inverted: their border is ")
    assert line.endswith("but the network was trained on light on dark; --invert makes them so")
    said.clear()
    assert [answer.label for answer in predict(folder, inverse, invert=True, say=said.append)] == upright
    assert said == []
    list(predict(folder, files, invert=True, say=said.append))
    assert said[0].endswith("leave --invert out")
