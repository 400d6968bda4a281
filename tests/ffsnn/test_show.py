"""From a run's folder: `ffsnn.load`, its pictures, labels for images in files."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ffsnn
from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.inspection.show import chosen_exit, predict, show, trained
from ffsnn.training.run import Run
from ffsnn.training.run_folder import BEST, CONFIG, LAST
from ffsnn.validation import ConfigError

RUN = RunConfig.parse({
    "data": {"dataset": "digits"},
    "network": {"widths": [32, 24], "T": 3},
    "learning": {"batch_size": 128, "epochs": 2, "lr": 0.01, "alpha": 20},
})  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    assert len(list(Run(RUN, data.load(RUN.data, RUN.seed), path, checkpoint_interval_s=0))) == 2
    return path


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, ffsnn; assert 'load' in ffsnn.__all__; "
        "sys.exit(bool({'torch', 'torchvision', 'numpy', 'matplotlib', 'ray', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_load_rebuilds_the_network(folder: Path) -> None:
    network = ffsnn.load(folder)
    validation = data.load(RUN.data, RUN.seed).validation
    assert network.accuracy(validation.x, validation.y) > 0.5
    with pytest.raises(AttributeError, match="module 'ffsnn' has no attribute 'lode'"):
        _ = ffsnn.lode


def test_show_writes_into_the_run_or_elsewhere(folder: Path, tmp_path: Path) -> None:
    assert {path.parent for path in show(folder)} == {folder / "pictures"}
    elsewhere = show(folder / LAST, tmp_path / "here")
    assert [path.exists() for path in elsewhere] == [True] * 5
    assert elsewhere[0].parent == tmp_path / "here"
    _, images = trained(folder / BEST)
    assert torch.equal(images.x, data.load(RUN.data, RUN.seed).validation.x)


def test_show_refuses_by_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere is not there: name a run's folder, or one of its"):
        show(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"cannot read .*config\.json"):
        show(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write to .*file: File exists; choose another with --out"):
        show(folder, tmp_path / "file")


def test_predict_is_the_networks_prediction(folder: Path, tmp_path: Path) -> None:
    network, images = trained(folder)
    np.save(tmp_path / "one.npy", images.x[5].view(8, 8).numpy())
    header = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in (100, 8, 8))
    (tmp_path / "many.gz").write_bytes(gzip.compress(header + images.x[:100].numpy().tobytes()))
    one, *many = predict(folder, [str(tmp_path / "one.npy"), tmp_path / "many.gz"])
    assert one.name == str(tmp_path / "one.npy")
    assert [many[0].name, many[99].name] == [f"{tmp_path}/many.gz[{number}]" for number in (0, 99)]
    assert [int(answer.label) for answer in many] == network.predict(images.x[:100]).tolist()
    assert one._replace(name="") == many[5]._replace(name="")
    best = network.scores(images.x[:100]).sort(1, descending=True).values
    assert [answer.margin for answer in many] == pytest.approx((best[:, 0] - best[:, 1]).tolist())
    assert min(answer.margin for answer in many) >= 0


def test_predict_refuses_before_it_answers(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "right.npy", np.zeros((8, 8), np.uint8))
    np.save(tmp_path / "wrong.npy", np.zeros((28, 28), np.uint8))
    with pytest.raises(ConfigError, match=r"wrong\.npy must hold gray images of 8x8 pixels"):
        predict(folder, [tmp_path / "right.npy", tmp_path / "wrong.npy"])
    (tmp_path / CONFIG).write_bytes((folder / CONFIG).read_bytes())
    (tmp_path / BEST).write_bytes((folder / BEST).read_bytes()[:1000])
    for path in (tmp_path, tmp_path / BEST):
        with pytest.raises(ConfigError, match=rf"cannot load weights from .*{BEST}"):
            predict(path, [tmp_path / "right.npy"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match=r"cannot write to .*: Permission denied"):
        show(folder, tmp_path / "out")


def test_an_image_that_is_decided_is_shown_no_further(folder: Path, tmp_path: Path) -> None:
    network, images = trained(folder)
    np.save(tmp_path / "x.npy", images.x[:60].view(-1, 8, 8).numpy())
    found = chosen_exit(folder, tolerance=0.1)
    answers = list(predict(folder, [tmp_path / "x.npy"], threshold=found.chosen.threshold))
    steps = [answer.steps for answer in answers]
    assert min(steps) < network.T
    assert all(answer.margin >= found.chosen.threshold or answer.steps == network.T for answer in answers)
    assert [answer.steps for answer in predict(folder, [tmp_path / "x.npy"])] == [None] * 60
