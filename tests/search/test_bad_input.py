"""Each mistake is one line that names the rule, the value and the mend; exit code 2; nothing is begun."""

import os
import re

import pytest

from ffsnn.datasets.data import load
from tests.search.conftest import refused

SPACE = "base: {{data: {{dataset: digits}}, learning: {{batch_size: 64}}}}\nparameters: {{{parameters}}}\n"


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["serch"], ["serch"]),
        (["search", "nope"], ["no space 'nope'", "mnist"]),
        (["search", "--trials", "0"], ["trials", "0"]),
        (["search", "--nope"], ["--nope"]),
        (["search", "--trials", "x"], ["--trials", "integer"]),
        (["ui", "--port", "99999"], ["--port", "65535", "99999"]),
        (["search", "--resume", "nope"], ["no search 'nope'"]),
        (["search", "digits_smoke", "--gpus-per-trial", "99"], ["gpus_per_trial", "99"]),
        (["search", "digits_smoke", "--gpus-per-trial", "half"], ["gpus_per_trial", "auto", "half"]),
        (["search", "digits_smoke", "--device", "cuda:1"], ["auto, cpu or cuda", "cuda:1", "CUDA_VISIBLE_DEVICES"]),
        (["search", "digits_smoke", "--gpus-per-trial", "auto", "--address", "h:1"], ["auto", "cluster", "0.25"]),
        (["best", "nope"], ["no search 'nope'"]),
        (["status"], ["NAME is missing: type ", "ffsnn status NAME. NAME: of the search; ", "ffsnn list shows"]),
        (["rename", "x"], ["NEW is missing: type ", "ffsnn rename NAME NEW. NEW: its new name"]),
        (["search", "digits_smoke", "--objective", "accuracy,acuracy"], ["val_accuracy", "parameters", "'acuracy'"]),
        (["search", "digits_smoke", "--objective", "synops,accuracy,synops"], ["stands twice", "leave one out"]),
        (["search", "digits_smoke", "--objective", "accuracy:min"], ["larger it is", "val_accuracy:max"]),
        (
            ["search", "digits_smoke", "--objective", "accuracy,T", "--sampler", "gp"],
            ["several objectives need a sampler", "forecast, ", "nsga2", "sampler=gp"],
        ),
        (["search", "digits_smoke", "--objective", "accuracy,T", "--scheduler", "asha"], ["promotion, none"]),
        (["search", "digits_smoke", "--limit", "T<=3", "--limit", "T>=4"], ["no value keeps T<=3 and T>=4"]),
        (
            ["search", "digits_smoke", "--objective", "accuracy,synops", "--limit", "synops>=2e6"],
            ["synops is an objective", "synops>=2000000", "synops<=NUMBER"],
        ),
        (["search", "digits_smoke", "--limit", "accuracy<=50%"], ["accuracy is an objective", "accuracy>=NUMBER"]),
        (["search", "digits_smoke", "--limit", "T<=1"], ["no configuration of the space", "T=2 is the nearest"]),
        (["search", "digits_smoke", "--limit", "nope<=1"], ["limit", "synaptic_operations_per_sample", "'nope'"]),
        (["retrain", "nope", "--front"], ["no search 'nope'"]),
        (["retrain", "nope", "--front", "--top", "3"], ["--front takes all", "--top 3", "leave one"]),
        (["predict", "nope", "x.png", "--tolerance", "0.01"], ["--tolerance", "add --exit"]),
        (["export", "nope", "out", "--bits", "8"], ["'nope'"]),
        (["train", "--dataset", "cifar"], ["data.dataset", "'mnist'", "cifar"]),
        (["train", "--taau", "2"], ["--taau", "--tau"]),
        (["train", "--widths", "[100,"], ["--widths [100,", "YAML", "brackets"]),
        (["train", "--tau", "1"], ["network.tau", "greater than 1", "1"]),
        (["train", "--T", "0"], ["network.T", "0"]),
        (["train", "--v-threshold", "0"], ["network.v_threshold", "0"]),
        (["train", "--dataset", "digits", "--batch-size", "5000"], ["batch_size <= 1293", "5000"]),
        (["train", "--device", "cuda:7"], ["cuda:7", "--device cpu"]),
        (["train", "nope.yaml"], ["nope.yaml"]),
    ],
)
def test_commands(home, arguments, fragments):
    said = refused(*arguments, home=home)
    assert [fragment for fragment in fragments if fragment not in said] == []
    assert not list(home.glob("mlruns/searches/*"))


@pytest.mark.parametrize(
    ("parameters", "fragments"),
    [
        ("taau: {float: [1.5, 2]}", ["'taau' is no field", "did you mean tau?"]),
        ("tau: {float: [2, 2]}", ["low < high", "2"]),
        ("tau: {float: [3, 2]}", ["low < high", "3"]),
        ("lr: {float: [0, 1], log: true}", ["low > 0", "log"]),
        ("tau: {float: [1.5, 2], when: {T: 3}}", ["when names 'network.T'", "no parameter"]),
        ("tau: {float: [0.5, 2]}", ["network.tau", "greater than 1"]),
        ("tau: {range: [1.5, 2]}", ["float: [low, high]"]),
        ("theta: {float: [0.1, 0.2]}", ["theta", "swish"]),
    ],
)
def test_spaces(home, tmp_path, parameters, fragments):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.format(parameters=parameters))
    said = refused("search", str(path), home=home)
    assert [fragment for fragment in fragments if fragment not in said] == []
    assert not list(home.glob("mlruns/searches/*"))


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "mlruns").write_text("a file where the folder should be")
    assert re.search("cannot write to .*--home", refused("search", "digits_smoke", home=tmp_path))


def test_a_name_that_is_taken(home):
    folder = home / "mlruns" / "searches" / "mine"
    folder.mkdir(parents=True)
    (folder / "search.json").write_text("{}")
    said = refused("search", "digits_smoke", "--name", "mine", home=home)
    assert re.search("mine has format None.*reads format 1", said)


def test_a_search_goes_on_only_as_it_was_begun(home):
    """Refused before anything starts: the second command differs in what may not change."""
    from search.config import SearchConfig
    from search.store.folder import SearchFolder
    from spaces.space import Space

    space = Space.load("digits_smoke")
    config = SearchConfig(name="mine", space=space, space_name="digits_smoke", trials=8, epochs=9)
    SearchFolder.create(home / "mlruns", config, "checksum")
    asked = ["search", "digits_smoke", "--name", "mine"]
    assert re.search("seed=0 became 1.*another --name", refused(*asked, "--seed", "1", home=home))
    assert 'sampler="forecast" became "gp"' in refused(*asked, "--sampler", "gp", home=home)
    assert re.search("sampler.*cmaes", refused(*asked, "--sampler", "cmaes", home=home))
    assert "epochs=9 became 3" in refused("search", "--resume", "mine", "--epochs", "3", home=home)
    assert 'dataset="digits" became "mnist"' in refused("search", "mnist", "--name", "mine", home=home)


def test_two_drivers_on_one_search(home):
    from search.config import SearchConfig
    from search.store.folder import SearchFolder
    from spaces.space import Space

    config = SearchConfig(name="mine", space=Space.load("digits_smoke"), space_name="digits_smoke", trials=8, epochs=9)
    folder = SearchFolder.create(home / "mlruns", config, load(config.space.base.data, 0).checksum)
    with folder.lease():
        assert f"is being run by process {os.getpid()}" in refused("search", "--resume", "mine", home=home)
    with folder.lease():  # what it had is free again
        pass


def test_room_on_the_disk_is_for_the_largest_trial(home, tmp_path, monkeypatch):
    """Of the space, not of its base: widths can be searched."""
    from collections import namedtuple

    disk = namedtuple("disk", "total used free")
    monkeypatch.setattr("search.preflight.shutil.disk_usage", lambda path: disk(10**9, 0, 60_000_000))
    space = tmp_path / "space.yaml"
    space.write_text(SPACE.format(parameters="widths: {choice: [[10], [2000, 2000]]}"))
    said = refused("search", str(space), "--trials", "1", home=home)
    assert re.search("the search may need 1[0-9]{2} MB, but 60 MB are free", said)
    assert not list(home.glob("mlruns/searches/*"))
