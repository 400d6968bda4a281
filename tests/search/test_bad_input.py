"""Each mistake is one line that names the rule, the value and the mend; exit code 2; nothing is begun."""

import os

import pytest

from ffsnn.data import load
from tests.search.conftest import ffsnn

SPACE = "base: {{data: {{dataset: digits}}, learning: {{batch_size: 64}}}}\nparameters: {{{parameters}}}\n"


def one_line(result, *fragments: str) -> None:
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.startswith("ffsnn: ")
    assert result.stderr.count("\n") == 1
    for fragment in fragments:
        assert fragment in result.stderr


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["serch"], ["serch"]),
        (["search", "nope"], ["no space 'nope'", "mnist"]),
        (["search", "--trials", "0"], ["trials", "0"]),
        (["search", "--nope"], ["--nope"]),
        (["search", "--resume", "nope"], ["no search 'nope'"]),
        (["search", "digits_smoke", "--gpus-per-trial", "99"], ["gpus_per_trial", "99"]),
        (["best", "nope"], ["no search 'nope'"]),
        (["train", "--dataset", "cifar"], ["data.dataset", "'mnist'", "cifar"]),
        (["train", "--taau", "2"], ["--taau", "--tau"]),
        (["train", "--tau", "1"], ["network.tau", "greater than 1", "1"]),
        (["train", "--T", "0"], ["network.T", "0"]),
        (["train", "--v-threshold", "0"], ["network.v_threshold", "0"]),
        (["train", "--dataset", "digits", "--batch-size", "5000"], ["batch_size <= 1293", "5000"]),
        (["train", "--device", "cuda:7"], ["cuda:7", "--device cpu"]),
        (["train", "nope.yaml"], ["nope.yaml"]),
    ],
)
def test_commands(home, arguments, fragments):
    one_line(ffsnn(*arguments, home=home), *fragments)
    assert not list((home / "mlruns" / "searches").glob("*")) if (home / "mlruns" / "searches").exists() else True


@pytest.mark.parametrize(
    ("parameters", "fragments"),
    [
        ("taau: {float: [1.5, 2]}", ["'taau' is no field", "tau"]),
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
    one_line(ffsnn("search", str(path), home=home), *fragments)
    assert not list((home / "mlruns" / "searches").glob("*"))


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "mlruns").write_text("a file where the folder should be")
    one_line(ffsnn("search", "digits_smoke", home=tmp_path), "cannot write to", "--home")


def test_a_name_that_is_taken(home):
    folder = home / "mlruns" / "searches" / "mine"
    folder.mkdir(parents=True)
    (folder / "search.json").write_text("{}")
    one_line(ffsnn("search", "digits_smoke", "--name", "mine", home=home), "mine has format None", "reads format 1")


def test_a_search_goes_on_only_as_it_was_begun(home):
    """Refused before anything starts: the second command differs in what may not change."""
    from search.config import SearchConfig
    from search.folder import SearchFolder
    from spaces.space import Space

    space = Space.load("digits_smoke")
    config = SearchConfig(name="mine", space=space, space_name="digits_smoke", trials=8, epochs=9)
    SearchFolder.create(home / "mlruns", config, "checksum")
    asked = ["search", "digits_smoke", "--name", "mine"]
    one_line(ffsnn(*asked, "--seed", "1", home=home), "seed=0 became 1", "another --name")
    one_line(ffsnn(*asked, "--sampler", "gp", home=home), 'sampler="tpe" became "gp"')
    one_line(ffsnn(*asked, "--sampler", "cmaes", home=home), "sampler", "cmaes")
    one_line(ffsnn("search", "--resume", "mine", "--epochs", "3", home=home), "epochs=9 became 3")
    one_line(ffsnn("search", "mnist", "--name", "mine", home=home), 'dataset="digits" became "mnist"')


def test_two_drivers_on_one_search(home):
    from search.config import SearchConfig
    from search.folder import SearchFolder
    from spaces.space import Space

    config = SearchConfig(name="mine", space=Space.load("digits_smoke"), space_name="digits_smoke", trials=8, epochs=9)
    folder = SearchFolder.create(home / "mlruns", config, load(config.space.base.data, 0).checksum)
    with folder.lease():
        refused = ffsnn("search", "--resume", "mine", home=home)
    assert refused.returncode == 2
    assert f"is being run by process {os.getpid()}" in refused.stderr
    with folder.lease():  # what it had is free again
        pass
