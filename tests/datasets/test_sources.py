"""Each source of a data set of one's own: read, kept, and read back as it was."""

import csv
import gzip
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ffsnn.config import RunConfig
from ffsnn.config.data import DataConfig
from ffsnn.datasets import data
from ffsnn.datasets.add import add
from ffsnn.datasets.dataset import Images
from ffsnn.datasets.images import of_array
from ffsnn.datasets.own import Card, Events, Series, bring, found, own_file, read_card, remove, share, write
from ffsnn.datasets.sources.raw import Options
from ffsnn.parts.registry import DATASETS
from ffsnn.validation import ConfigError
from tests.datasets.made import SERIES, nmnist, shd, ts_file

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (12, 5, 4), dtype=np.uint8)
COLOUR = DRAW.integers(0, 256, (12, 5, 4, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFSNN_DATA", str(tmp_path / "data"))


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


def class_folders(root: Path, pictures: np.ndarray, names: tuple[str, ...] = ("ant", "bee", "cat")) -> Path:
    for number, (image, label) in enumerate(zip(pictures, LABELS, strict=True)):
        (root / names[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / names[label] / f"{number}.png")
    return root


def all_of(name: str) -> list[tuple[bytes, int]]:
    """Images and labels of training and test, in an order of their own."""
    dataset = DATASETS[name]
    parts = [dataset.train(None), dataset.test(None)]
    assert all(isinstance(part, Images) for part in parts)
    return sorted((x.numpy().tobytes(), int(y)) for part in parts for x, y in zip(part.x, part.y, strict=True))


def wanted(images: np.ndarray) -> list[tuple[bytes, int]]:
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, LABELS, strict=True))


def grey_folder(path: Path) -> str:
    return str(class_folders(path / "pictures", GREY))


def npz(path: Path) -> str:
    np.savez(path / "a.npz", x=GREY, y=LABELS)
    return str(path / "a.npz")


def npy_pair(path: Path) -> str:
    np.save(path / "x.npy", GREY / 255)  # as shares of white
    np.save(path / "y.npy", LABELS)
    return f"{path / 'x.npy'}, {path / 'y.npy'}"


def idx_folder(path: Path) -> str:
    (path / "idx").mkdir()
    for stem, part in (("train", slice(0, 9)), ("t10k", slice(9, 12))):
        (path / "idx" / f"{stem}-images-idx3-ubyte").write_bytes(idx(GREY[part]))
        (path / "idx" / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[part])))
    return str(path / "idx")


def parquet(path: Path) -> str:
    pandas, rows = pytest.importorskip("pandas"), []
    for image in GREY:
        content = io.BytesIO()
        Image.fromarray(image).save(content, format="png")
        rows.append({"bytes": content.getvalue(), "path": None})
    pandas.DataFrame({"image": rows, "label": LABELS}).to_parquet(path / "a.parquet")
    return str(path / "a.parquet")


@pytest.mark.parametrize("source", [grey_folder, npz, npy_pair, idx_folder, parquet])
def test_grey_images_are_kept_as_they_are(source: Callable[[Path], str], tmp_path: Path) -> None:
    card = add("mine", source(tmp_path))
    assert (card.kind, card.shape, len(card.names)) == ("images", (1, 5, 4), 3)
    assert all_of("mine") == wanted(GREY)


def test_colour_is_kept_channel_after_channel_or_made_grey(tmp_path: Path) -> None:
    folder = str(class_folders(tmp_path / "pictures", COLOUR))
    assert add("coloured", folder).shape == (3, 5, 4)
    assert all_of("coloured") == wanted(np.moveaxis(COLOUR, -1, 1))
    assert add("grey", folder, Options(grey=True)).shape == (1, 5, 4)
    assert add("small", folder, Options(side=3)).shape == (3, 3, 3)


@pytest.mark.parametrize("top", [1, 16, True], ids=["ones", "sixteens", "bools"])
def test_images_of_another_range_are_brought_to_bytes(top: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=(GREY > 99).astype(type(top)) * top, y=LABELS)
    add("mine", str(tmp_path / "a.npz"))
    assert all_of("mine") == wanted((GREY > 99).astype(np.uint8) * 255)


def test_channels_may_come_first(tmp_path: Path) -> None:
    wide = np.repeat(COLOUR, 2, axis=2)  # 5x8
    np.savez(tmp_path / "a.npz", x=wide.transpose(0, 3, 1, 2), y=LABELS)
    assert add("mine", str(tmp_path / "a.npz")).shape == (3, 5, 8)
    assert all_of("mine") == wanted(wide.transpose(0, 3, 1, 2))


def test_training_and_test_folders_and_class_names(tmp_path: Path) -> None:
    class_folders(tmp_path / "pictures" / "train", GREY)
    class_folders(tmp_path / "pictures" / "test", GREY[::-1].copy())
    card = add("mine", str(tmp_path / "pictures"))
    assert card.names == ("ant", "bee", "cat")
    assert card.train == card.test == (4, 4, 4)
    assert DataConfig(dataset="mine").facts.labels[1] == "bee"


def test_a_table_whose_features_are_scaled_each_by_itself(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w") as file:
        rows = [(label, -number, number * 1000) for number, label in enumerate("abcabcabcabc")]
        csv.writer(file).writerows([("kind", "first", "second"), *rows])
    card = add("table", str(tmp_path / "a.csv"))
    assert (card.shape, card.names) == ((1, 1, 2), ("a", "b", "c"))
    assert card.remarks[0] == "labels are those of the column 'kind'"
    train = DATASETS["table"].train(None)
    assert isinstance(train, Images)
    assert (train.x.amin(0).tolist(), train.x.amax(0).tolist()) == ([0, 0], [255, 255])


def test_a_learned_scale_is_kept_for_what_is_predicted(tmp_path: Path) -> None:
    x = np.stack([np.linspace(0.2, 0.3, 12), np.linspace(-5, 400, 12)], 1)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=LABELS, x_test=x, y_test=LABELS)
    add("rows", str(tmp_path / "a.npz"))
    config, train = DataConfig(dataset="rows"), DATASETS["rows"].train(None)
    assert isinstance(train, Images)
    scale = data.scale_of(config)
    assert scale is not None
    assert torch.equal(of_array(x, config.facts.shape, "x", scale), train.x)
    with pytest.raises(ConfigError, match="x must hold rows of 2 numbers, but has the shape 12x3"):
        of_array(np.zeros((12, 3)), config.facts.shape, "x", scale)
    with pytest.raises(ConfigError, match="x must hold finite numbers"):
        of_array(np.full((12, 2), np.nan), config.facts.shape, "x", scale)
    own_file("rows").unlink()
    with pytest.raises(ConfigError, match="the scale of the data set rows is needed, but"):
        data.scale_of(config)
    class_folders(tmp_path / "pictures", GREY)
    add("pictures", str(tmp_path / "pictures"))
    assert data.scale_of(DataConfig(dataset="pictures")) is None


def test_a_card_of_before_scales_were_kept_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=DRAW.random((12, 2)), y=LABELS)
    card = add("rows", str(tmp_path / "a.npz"))
    config = DataConfig(dataset="rows")
    write(replace(card, low=(), high=()), load_file(own_file("rows")))
    with pytest.raises(ConfigError, match="the data set rows was added before its scale was kept: remove rows, and"):
        data.scale_of(config)


def test_labels_may_be_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=np.array([b"no", b"yes"])[np.arange(12) % 2])
    assert add("mine", str(tmp_path / "a.npz")).names == ("no", "yes")


def test_a_class_may_lack_in_the_test_folder_of_recordings(tmp_path: Path) -> None:
    nmnist(tmp_path / "camera", "train")
    nmnist(tmp_path / "camera", "test")
    shutil.rmtree(tmp_path / "camera" / "test" / "1")
    assert "the class '1' has no recording in the test" in add("camera", str(tmp_path / "camera")).remarks


def test_without_test_files_a_share_is_drawn_by_a_fixed_seed_and_said(tmp_path: Path) -> None:
    cards = [add(name, npz(tmp_path)) for name in ("one", "two")]
    assert cards[0].checksum == cards[1].checksum
    assert sum(cards[0].test) == 2
    assert "2 of 12 recordings are the test's, drawn by a fixed seed" in cards[0].remarks
    assert sum(add("three", npz(tmp_path), test_share=0.5).test) == 6


def test_a_class_that_the_test_has_none_of_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=LABELS)
    card = add("mine", str(tmp_path / "a.npz"), test_share=0.1)
    assert card.test == (1, 0, 0)
    assert "the class '1' has no recording in the test: take a larger --test-share, or more recordings of it" in (
        card.remarks
    )


def test_labels_that_are_not_0_to_c_are_mapped_and_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=np.array([7, 3, 40])[LABELS])
    card = add("mine", str(tmp_path / "a.npz"))
    assert card.names == ("3", "7", "40")
    assert "labels were mapped to 0..2: 3 -> 0, 7 -> 1, 40 -> 2" in card.remarks


def test_series_of_the_archive_keep_each_moment(tmp_path: Path) -> None:
    ts_file(tmp_path / "Made_TRAIN.ts")
    ts_file(tmp_path / "Made_TEST.ts")
    card = add("series", str(tmp_path / "Made_TRAIN.ts"))
    assert (card.kind, card.shape, card.names, card.test) == ("series", (1, 1, 2), ("down", "up"), (3, 3))
    train = DATASETS["series"].train(None)
    assert isinstance(train, Series)
    assert train.start.diff().tolist() == [5, 3, 4, 2, 6, 5]
    (low, high), first = (2, 11), train.x[:5, 0]
    assert first.tolist() == np.rint((SERIES[0][:, 0] - low) / (high - low) * 255).tolist()


def test_series_are_stretched_over_the_time_steps() -> None:
    x = torch.arange(1, 7, dtype=torch.uint8)[:, None] * 10  # one recording of 6 moments, another of 2
    series = Series(torch.cat([x, torch.tensor([[100], [200]], dtype=torch.uint8)]), torch.tensor([0, 6, 8]),
                    torch.tensor([0, 1]))  # fmt: skip
    assert series.binned(3, None).x.squeeze(2).tolist() == [[15, 35, 55], [100, 150, 200]]
    assert series.binned(6, None).x[0].flatten().tolist() == [10, 20, 30, 40, 50, 60]
    assert series.binned(4, None).x[1].flatten().tolist() == [100, 100, 200, 200]


def test_series_of_an_array_with_lengths(tmp_path: Path) -> None:
    x = DRAW.random((6, 4, 3))
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(6) % 2, lengths=np.array([4, 2, 4, 3, 4, 4]))
    assert add("mine", str(tmp_path / "a.npz")).kind == "series"
    train = DATASETS["mine"].train(None)
    assert isinstance(train, Series)
    assert sum(train.start.diff().tolist()) < 21
    lengths = {"lengths_train": [4, 2, 4, 3, 4, 4], "lengths_test": [4] * 6}
    np.savez(tmp_path / "c.npz", x_train=x, y_train=np.arange(6) % 2, x_test=x, y_test=np.arange(6) % 2, **lengths)
    assert add("both", str(tmp_path / "c.npz")).kind == "series"
    np.savez(tmp_path / "b.npz", x=x[:, :1], y=np.arange(6) % 2, time=np.zeros(0))
    with pytest.raises(ConfigError, match="must have two moments at least, but have 1: add them as features"):
        add("short", str(tmp_path / "b.npz"))


def test_event_cameras(tmp_path: Path) -> None:
    nmnist(tmp_path / "N-MNIST", "Train")
    nmnist(tmp_path / "N-MNIST", "Test")
    card = add("camera", str(tmp_path / "N-MNIST"))
    assert (card.kind, card.shape, card.milliseconds) == ("events", (2, 34, 34), 4.0)
    train = DATASETS["camera"].train(None)
    assert isinstance(train, Events)
    images = train.binned(5, None)
    assert images.x.shape == (6, 5, 2 * 34 * 34)
    view = images.x.view(6, 5, 2, 34, 34)
    assert view[1, :, 0, 32, 1].tolist() == [255] * 5
    assert view[4, :, 1, 32, 1].tolist() == [255] * 5
    assert int((images.x > 0).sum()) == 6 * 5
    assert int((train.binned(5, 2.0).x > 0).sum(2)[0].sum()) == 2  # events at 0 and 1 ms


def test_folders_of_events_in_hdf5_and_aedat4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = np.array([(9000, 1, 2, True), (9500, 3, 0, False)], [("t", "u8"), ("x", "u2"), ("y", "u2"), ("on", "?")])
    for name in [f"{kind}/{number}" for kind in ("off", "on") for number in range(3)]:
        for place, ending in ((tmp_path / "h5", ".h5"), (tmp_path / "aedat4", ".aedat4")):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / f"{name}{ending}").touch()
        with h5py.File(tmp_path / "h5" / f"{name}.h5", "w") as file:
            for key, column in zip("xypt", ("x", "y", "on", "t"), strict=True):
                file[f"events/{key}"] = events[column]
    decoder = SimpleNamespace(
        Decoder=lambda path: iter([{"frame": None}, {"events": events[:1]}, {"events": events[1:]}])
    )
    monkeypatch.setitem(sys.modules, "aedat", decoder)
    for kind in ("h5", "aedat4"):
        card = add(kind, str(tmp_path / kind))
        assert (card.shape, card.names, card.train, card.milliseconds) == ((2, 3, 4), ("off", "on"), (2, 3), 0.5)
        kept = DATASETS[kind].train(None)
        assert isinstance(kept, Events)
        assert kept.time.view(-1, 2)[0].tolist() == [0, 500]
        assert kept.unit.view(-1, 2)[0].tolist() == [(3 + 2) * 4 + 1, 3]
    (tmp_path / "h5" / "on" / "0.h5").write_bytes(b"no")
    with pytest.raises(ConfigError, match=r"on/0.h5 must be HDF5 with x, y, p and t"):
        add("other", str(tmp_path / "h5"))


def test_the_cochlea(tmp_path: Path) -> None:
    card = add("spoken", f"{shd(tmp_path / 'train.h5')},{shd(tmp_path / 'test.h5')}")
    assert (card.kind, card.shape, card.names) == ("events", (1, 1, 700), ("zero", "null"))
    images = data.load(DataConfig(dataset="spoken", validation=0.34), 0, T=10).train
    assert images.x.shape == (4, 10, 700)
    assert images.x[:, 0, 0].tolist() == images.x[:, 9, 699].tolist() == [255] * 4


def test_tonic_by_name(tmp_path: Path) -> None:
    pytest.importorskip("tonic", reason="needs the extra ffsnn[events]")
    folder = tmp_path / "data" / "tonic" / "SHD"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        shd(folder / f"shd_{part}.h5")
        (folder / f"shd_{part}.h5.zip").touch()  # tonic looks whether it is there
    card = add("mine", "tonic:SHD")
    assert (card.kind, card.shape, card.train, card.names) == ("events", (1, 1, 700), (3, 3), ("zero", "null"))
    with pytest.raises(ConfigError, match="tonic has no data set 'SHE'"):
        add("other", "tonic:SHE")


def test_torchvision_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "torchvision" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for stem in ("train", "t10k"):
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx(GREY))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(LABELS))
    card = add("mine", "torchvision:MNIST")
    assert (card.train, card.names) == ((4, 4, 4), ("0 - zero", "1 - one", "2 - two"))
    with pytest.raises(ConfigError, match="torchvision has no data set 'CIFAR11'"):
        add("other", "torchvision:CIFAR11")


def test_a_torchvision_set_without_a_test_has_none_of_its_training_images_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain:
        classes = ("ant", "bee", "cat")

        def __init__(self, root: str, download: bool = False) -> None:
            self.held = [(Image.fromarray(image), label) for image, label in zip(GREY, LABELS, strict=True)]

        def __iter__(self) -> Any:
            return iter(self.held)

    monkeypatch.setattr("torchvision.datasets.EuroSAT", Plain)
    card = add("mine", "torchvision:EuroSAT", test_share=0.25)
    assert (sum(card.train), sum(card.test)) == (9, 3)
    assert all_of("mine") == wanted(GREY)


def test_emnist_is_turned_upright(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "torchvision" / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / f"emnist-letters-{part}-images-idx3-ubyte").write_bytes(idx(GREY.transpose(0, 2, 1)))
        (folder / f"emnist-letters-{part}-labels-idx1-ubyte").write_bytes(idx(LABELS + 1))
    letters = DATASETS["emnist_letters"]
    assert len(DATASETS["emnist_balanced"].facts.labels) == 47
    for images in (letters.train(None), letters.test(None)):
        assert isinstance(images, Images)
        assert images.x.numpy().tobytes() == GREY.tobytes()
        assert images.y.tolist() == LABELS.tolist()
    assert letters.facts.labels[0] == "a"


def broken_class(path: Path) -> str:
    class_folders(path / "pictures", GREY)
    (path / "pictures" / "dog").mkdir()
    return str(path / "pictures")


def broken_image(path: Path) -> str:
    folder = class_folders(path / "pictures", GREY)
    file = folder / "ant" / "0.png"
    file.write_bytes(file.read_bytes()[:-20])
    return str(folder)


def two_sizes(path: Path) -> str:
    folder = class_folders(path / "pictures", GREY)
    Image.fromarray(GREY[0, :3]).save(folder / "ant" / "0.png")
    return str(folder)


def unknown_class(path: Path) -> str:
    class_folders(path / "pictures" / "train", GREY)
    class_folders(path / "pictures" / "test", GREY, ("ant", "bee", "dog"))
    return str(path / "pictures")


def saved(**arrays: np.ndarray) -> Callable[[Path], str]:
    def save(path: Path) -> str:
        np.savez(path / "a.npz", **arrays)
        return str(path / "a.npz")

    return save


def text(name: str, content: str) -> Callable[[Path], str]:
    def write(path: Path) -> str:
        (path / name).write_text(content)
        return str(path / name)

    return write


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (broken_class, "dog must hold PNG or JPEG images of its class, but holds none"),
        (broken_image, "cannot read images from .*ant/0.png"),
        (two_sizes, r"ant/3.png is 5x4, but 0.png 3x4: bring all images to one size with --side, e.g. --side 3"),
        (saved(x_train=GREY, y_train=LABELS, x_test=GREY / 255, y_test=LABELS), "training values are bytes of"),
        (saved(x=GREY, y=LABELS * 0), r"two classes at least must be there, but there is 1 \(0\)"),
        (saved(x=GREY, y=[0, 1] * 5 + [0, 2]), "the class '2' must have 3 recordings at least, .* but has 1"),
        (saved(x=np.where(GREY > 250, np.nan, 1.0), y=LABELS), r"must be finite, but \d+ rows hold NaN or infinity"),
        (saved(x=GREY, y=LABELS[:-1]), "must hold a label for each of 12 recordings, but there are 11 labels"),
        (saved(x=GREY, y=LABELS + 0.5), "labels must be names or whole numbers, but one is"),
        (saved(x=GREY), "must hold x_train and y_train, or x and y, but holds x"),
        (saved(x=np.zeros(12), y=LABELS), r"must hold \(N, features\), .* but holds 12"),
        (saved(x_train=GREY, y_train=LABELS, x_test=GREY), "x_test and y_test, or neither of them, but has no y_test"),
        (unknown_class, "the class 'dog' has test recordings, but none for training"),
        (saved(x=GREY, y=LABELS, lengths=[5] * 11), "lengths must be a whole number for each of 12 recordings"),
        (saved(x=GREY, y=LABELS, lengths=[5] * 11 + [0]), "lengths must be 1 to 5, .* but one is 0"),
        (text("a.npz", "no"), "cannot read .*a.npz: "),
        (text("a.parquet", "no"), "cannot read .*a.parquet: "),
        (text("a.csv", ""), "must hold rows of numbers, but holds none"),
        (text("a.csv", "label;a\n1;2\n"), "must have columns with commas between them, but .* is 'label;a'"),
        (lambda path: class_folders(path / "test", GREY).parent.as_posix(), "has test/ but no train/ beside it"),
        (lambda path: "torchvision:CIFAR10/nix", "torchvision's CIFAR10 has no splits, but got 'nix'"),
        (text("a.csv", "label,a\n1,2\n0,x\n"), "line 3: could not convert string to float: 'x'"),
        (text("a.csv", "1,2\n\n0,x\n"), "line 3: could not convert string to float: 'x'"),
        (text("a.csv", "label,a\n1,2,3\n"), "line 2: 2 columns must be there, but 3 are"),
        (text("a.ts", "@data\n1,2:3:a\n"), "line 2: channels of numbers, alike in length"),
        (text("a.doc", ""), "is of no known kind"),
        (text("a.h5", "no"), "must be HDF5 with spikes/times, spikes/units and labels"),
        (lambda path: str(path / "nothing"), "is not there: name a folder, a file, or torchvision, aeon, tonic"),
    ],
    ids=lambda it: it if isinstance(it, str) else it.__name__,
)  # fmt: skip
def test_what_is_refused(source: Callable[[Path], str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        add("mine", source(tmp_path))
    assert "\n" not in str(refusal.value)
    assert not found()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(side=4), "--side is for pictures .* but .*a.npz holds none"),
        (Options(grey=True), "--grey is for pictures"),
        (Options(labels="kind"), "--labels names a column of a table .* but .*a.npz is none"),
    ],
)
def test_an_option_that_means_nothing_is_refused(options: Options, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        add("mine", npz(tmp_path), options)


def test_names_that_are_taken_or_none(tmp_path: Path) -> None:
    add("mine", npz(tmp_path))
    for name in ("mine", "mnist"):
        with pytest.raises(ConfigError, match=f"there is a data set '{name}' already"):
            add(name, npz(tmp_path))
    with pytest.raises(ConfigError, match="a data set's name must have letters, digits and '_' alone"):
        add("my set", npz(tmp_path))
    with pytest.raises(ConfigError, match=r"must be 'mnist', .* or 'mine', but got 'mime': did you mean 'mine'"):
        RunConfig.parse({"data": {"dataset": "mime"}})
    with pytest.raises(ConfigError, match="but got 'xyz': add one of your own with ffsnn data add NAME SOURCE"):
        RunConfig.parse({"data": {"dataset": "xyz"}})
    with pytest.raises(ConfigError, match="'mnist' ships with ffsnn: only your own are removed"):
        remove("mnist")
    remove("mine")
    with pytest.raises(ConfigError, match="there is no data set 'mine'"):
        remove("mine")


def test_a_damaged_file_is_refused_and_a_foreign_one_left_out(tmp_path: Path) -> None:
    add("mine", npz(tmp_path))
    file = own_file("mine")
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"the data set mine in .* is damaged: remove it, and add it again"):
        found()["mine"].train(None)
    file.write_bytes(b"something else")
    assert "mine" not in DATASETS


def test_another_machine_brings_it_here_once(tmp_path: Path) -> None:
    card = add("mine", npz(tmp_path))
    shared = share("mine", tmp_path / "shared")
    assert shared is not None
    for _ in range(2):
        bring(shared, tmp_path / "there")
    assert read_card(own_file("mine", tmp_path / "there")) == card
    assert share("mnist", tmp_path / "shared") is None
    np.savez(tmp_path / "a.npz", x=GREY[::-1], y=LABELS)
    add("mine", str(tmp_path / "a.npz"), data_dir=tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is another one than the search's: remove it there"):
        bring(shared, tmp_path / "elsewhere")


def test_the_card_survives_its_file(tmp_path: Path) -> None:
    card = add("mine", npz(tmp_path))
    assert isinstance(card, Card)
    assert read_card(own_file("mine")) == card
    config = RunConfig.parse({"data": {"dataset": "mine"}, "network": {"label": "appended"},
                              "learning": {"batch_size": 2}})  # fmt: skip
    remove("mine")
    assert config.data.facts.names == ("0", "1", "2")  # a configuration that was read knows them
