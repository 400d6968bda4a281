"""Presets: every one is valid, goes by its name, and an unknown one is answered with those that there are."""

import pytest

from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError
from spaces import presets


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_is_valid(name):
    config = presets.load(name)
    assert config == RunConfig.load(presets.PRESETS / f"{name}.yaml")
    assert len(presets.published(name).test) == len(presets.published(name).seeds) >= 3


def test_a_file_is_taken_as_it_is(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 3")
    assert presets.load(file).seed == 3


@pytest.mark.parametrize("name", ["mnis", "mnist.yaml", "there/is/none"])
def test_what_is_not_there(name):
    with pytest.raises(
        ConfigError, match=r"there is no configuration .*: .*give a YAML file, or one of .*mnist, mnist_125, mnist_200"
    ):
        presets.load(name)


def test_a_mistyped_one_is_told_the_nearest():
    with pytest.raises(ConfigError, match=r"'mnst': did you mean mnist\?"):
        presets.load("mnst")
