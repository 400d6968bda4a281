"""Where things are, by option, environment and file; and passwords, which stay in memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ffsnn.parts import own
from ffsnn.parts.registry import GOODNESS
from ffsnn.validation import ConfigError, parse
from search import settings
from search.config import SearchConfig
from search.resolve import use_parts
from search.settings import find_home, own_files, redacted, setting, without_password
from search.store.folder import SearchFolder
from spaces.space import Space
from tests.search.conftest import refused

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with no places said, in no environment."""
    for name in settings.ENVIRONMENT.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_option_goes_before_the_environment_and_that_before_the_file(nowhere, monkeypatch):
    assert setting("storage") is None
    (nowhere / "ffsnn.toml").write_text('storage = "postgresql://file/d"\nhome = "there"\n')
    (nowhere / "deeper").mkdir()
    monkeypatch.chdir(nowhere / "deeper")
    assert setting("storage") == "postgresql://file/d"
    assert find_home() == nowhere / "there" / "mlruns"  # relative to the file
    monkeypatch.setenv("FFSNN_STORAGE", "postgresql://environment/d")
    assert setting("storage") == "postgresql://environment/d"
    assert setting("storage", "postgresql://option/d") == "postgresql://option/d"


def test_files_of_parts_that_it_names_are_relative_to_it(nowhere, monkeypatch):
    assert own_files() == []
    (nowhere / "ffsnn.toml").write_text('use = ["parts/mine.py"]\n')
    (nowhere / "parts").mkdir()
    (nowhere / "parts" / "mine.py").write_text(
        "from ffsnn import goodness, layers\nfrom search import objectives, samplers, schedulers\n"
        "goodness.register('largest')(lambda rate_BF: rate_BF.amax(1))\n"
    )
    monkeypatch.chdir(nowhere / "parts")
    assert own_files() == [nowhere / "parts" / "mine.py"]
    assert setting("storage") is None
    use_parts(None)
    (file,) = own.used()
    assert file.parts == [(GOODNESS, "largest")]
    own.forget(file)
    (nowhere / "ffsnn.toml").write_text("use = 'mine.py'\n")
    with pytest.raises(ConfigError, match=r"use in .* must be a list of Python files, .* but is .mine.py"):
        own_files()
    (nowhere / "ffsnn.toml").write_text('use = ["mine.py"]')
    if os.getuid() == 0:  # whose own files are anyone's
        os.chown(nowhere / "ffsnn.toml", 4321, -1)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(ConfigError, match=r"is another user's, and use in it would run their code: give --use instead"):
        own_files()


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ('adress = "auto"', "'adress', which is no place: did you mean address"),
        ("address = 6379", "address in .* must be a text in quotes, but is 6379"),
        ("address = ", "cannot be read as TOML"),
    ],
)
def test_a_file_that_is_wrong(nowhere, content, fragment):
    (nowhere / "ffsnn.toml").write_text(content)
    with pytest.raises(ConfigError, match=fragment):
        setting("address")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (f"postgresql://me:{SECRET}@db:5432/d", "postgresql://me@db:5432/d"),
        (f"postgresql://me:{SECRET}/@{SECRET}@db/d", "postgresql://me@db/d"),  # a password that should be quoted
        (f"postgresql://me@db/d?password={SECRET}&sslmode=require", "postgresql://me@db/d?sslmode=require"),
        (f"https://:{SECRET}@host/", "https://@host/"),
        ("http://host:5000/#/experiments", "http://host:5000/#/experiments"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    ],
)
def test_a_password_is_neither_kept_nor_shown(url, kept):
    assert without_password(url) == kept
    assert SECRET not in redacted(f"GET '{url}' failed: {url}")


def test_a_search_writes_no_password(nowhere):
    config = SearchConfig(
        name="s", space=Space.load("digits_smoke"), trials=2, epochs=2,
        storage=f"postgresql://me:{SECRET}@db/d", tracking_uri=f"http://me:{SECRET}@host:5000",
    )  # fmt: skip
    assert SECRET in config.storage
    assert SECRET not in repr(config)
    folder = SearchFolder.create(nowhere, config, "")
    assert [file for file in folder.path.rglob("*") if file.is_file() and SECRET in file.read_text()] == []
    assert folder.config.storage == "postgresql://me@db/d"
    folder.write(config, "")
    identity = folder.id
    assert len(identity) == 32
    folder.write(config, "")
    assert folder.id == identity


@pytest.mark.parametrize(
    ("field", "value", "fragment"),
    [
        ("storage", f"mysql://me:{SECRET}@db/d", "postgresql://user@host/database"),
        ("storage", "postgresql://db", "postgresql://user@host/database"),
        ("address", "10.0.0.1", "auto, HOST:PORT"),
        ("address", "http://10.0.0.1:8265", "auto, HOST:PORT"),
    ],
)
def test_addresses_that_are_none(field, value, fragment):
    space = Space.load("digits_smoke").model_dump(mode="json")
    with pytest.raises(ConfigError, match=fragment) as refusal:
        parse(SearchConfig, {"name": "s", "space": space, "trials": 2, "epochs": 2, field: value})
    assert SECRET not in str(refusal.value)


def test_a_message_of_the_command_shows_no_password(nowhere):
    said = refused("search", "digits_smoke", "--storage", f"postgresql://me:{SECRET}@127.0.0.1:9/d", home=nowhere)
    assert "postgresql://me@127.0.0.1:9/d cannot be used" in said
    assert SECRET not in said
    assert not list((nowhere / "mlruns" / "searches").iterdir())


def test_a_password_leaves_the_command_line(nowhere):
    script = (
        "import sys, os, json, psutil; from search.settings import hide_passwords; hide_passwords(); "
        "print(json.dumps([psutil.Process().cmdline(), os.environ.get('FFSNN_STORAGE')]))"
    )
    url = f"postgresql://me:{SECRET}@db/d"
    for option in (["--storage", url], [f"--storage={url}"]):
        command = [sys.executable, "-c", script, "search", "mnist", *option, "--trials", "3"]
        environment = os.environ | {"PYTHONPATH": str(Path(settings.__file__).parents[1])}
        line, storage = json.loads(subprocess.run(command, text=True, capture_output=True, env=environment).stdout)
        assert line[3:] == ["search", "mnist", "--trials", "3"]
        assert storage == url
