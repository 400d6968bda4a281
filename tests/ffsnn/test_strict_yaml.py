"""A mapping says everything once, with keys of text; the rest is as YAML and JSON have it."""

import pytest

from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError, read_yaml


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network:\n  tau: 2\n  T: 3\n  tau: 4\n", r"'tau' stands in line 2 and again in line 4.*leave one out$"),
        ("network: {T: 3}\ndata: {}\nnetwork: {tau: 2}\n", "'network' stands in line 1 and again in line 3"),
        ("network: {tau: 2, T: 4, 'tau': 3}\n", "'tau' stands in line 1 and again in line 1"),
        ("on: 3\n", "line 1: the key on is read as bool, but must be text: correct it, or put it in quotes"),
        ("seed: 1\n2: 3\n", "line 2: the key 2 is read as int"),
        ("~: 3\n", "the key ~ is read as null"),
        ("? [1, 2]\n: 3\n", "the key a list or a mapping is read as seq"),
    ],
)
def test_what_would_be_lost_is_refused(tmp_path, text, said):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"^cannot read .*run\.yaml: .*{said}"):
        read_yaml(path)


def test_json_says_everything_once_too(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"network": {"tau": 2, "T": 4, "tau": 3}}')
    with pytest.raises(ConfigError, match=r"cannot read .*run\.json: 'tau' stands twice.*leave one out"):
        read_yaml(path)


def test_a_merged_mapping_may_be_overruled(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("a: &a {tau: 2, T: 3}\nb: &b {<<: *a, T: 4}\nc: {<<: *b, tau: 3}\nd: {tau: 5, <<: [*b, *a]}\n")
    read = read_yaml(path)
    assert read["c"] == {"tau": 3, "T": 4}  # yaml.safe_load of PyYAML 6.0.4: T is 3
    assert read["d"] == {"tau": 5, "T": 4}
    path.write_text("a: {<<: 3}\n")
    with pytest.raises(ConfigError, match="line 1: << takes a mapping"):
        read_yaml(path)


def test_a_document_that_holds_itself_is_one_line(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("&all {network: *all}\n")
    with pytest.raises(ConfigError, match=r"^network[^\n]*$"):
        RunConfig.load(path)
