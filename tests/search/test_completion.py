"""What a shell completes, and what is answered to words that other programs have for ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ffsnn.config import RunConfig
from ffsnn.validation import Config, ConfigError, words
from search.cli import app
from search.cli.suggestions import COMMANDS, OPTIONS
from search.config import SearchConfig
from spaces.space import Space
from tests.search.conftest import FFSNN, refused

SHELL = {"_FFSNN_COMPLETE": "complete_bash"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    for name in ("first", "second"):
        (home / "mlruns" / "searches" / name).mkdir(parents=True)
        (home / "mlruns" / "searches" / name / "search.json").write_text("{}")
    (home / "mlruns" / "searches" / "none").mkdir()
    (home / "mlruns" / "runs" / "mnist-seed0").mkdir(parents=True)
    return home


def completed(typed: str, home: Path, cwd: Path | None = None) -> list[str]:
    """Words that bash is offered behind what is typed."""
    typed_words = typed.split(" ")
    asked = SHELL | {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed_words) - 1), "FFSNN_HOME": str(home)}
    result = subprocess.run([FFSNN], env={**os.environ, **asked}, cwd=cwd, text=True, capture_output=True, timeout=60)
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ffsnn best ", ["first", "second"]), ("ffsnn search --resume fi", ["first"]),
        ("ffsnn search --warm-start first,s", ["first,second"]), ("ffsnn predict ", ["first", "second", "mnist-seed0"]),
        ("ffsnn search digits", ["digits_smoke"]), ("ffsnn search --sampler gp", ["gp"]),
        ("ffsnn search --set v_thr", ["v_threshold="]), ("ffsnn train mnist_f", ["mnist_fast"]),
        ("ffsnn train --v-thr", ["--v-threshold"]), ("ffsnn comp", ["compare"]),
    ],
)  # fmt: skip
def test_a_shell_completes(typed, offered, home):
    assert completed(typed, home) == offered


def test_completing_a_network_imports_none_of_its_libraries(home):
    code = (
        "import sys; from types import SimpleNamespace; from search.cli import completion; "
        f"print(completion.networks(SimpleNamespace(params={{'home': {str(home)!r}}}), ''), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "['first', 'second', 'mnist-seed0'] False", done.stderr


def test_completing_makes_nothing_and_forgives_a_broken_file(tmp_path):
    (tmp_path / "ffsnn.toml").write_text("home = 3")
    assert completed("ffsnn best ", tmp_path / "nowhere", cwd=tmp_path) == []
    assert [file.name for file in tmp_path.iterdir()] == ["ffsnn.toml"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["search", "--workers", "2"], "there is no option --workers: did you mean --concurrency?"),
        (["search", "--n-trials=2"], "did you mean --trials?"),
        (["search", "--trails", "2"], "did you mean --trials?"),
        (["search", "--learning-rate", "2"], "learning.lr is a field of the configuration: --set lr=VALUE"),
        (["search", "--nothing-like-it"], "see ffsnn search --help"),
        (["train", "--learning-rate", "0.1"], "did you mean --lr?"),
        (["train", "--threshold", "0.1"], "did you mean --v_threshold?"),
        (["train", "--set", "timesteps=4"], "did you mean T?"),
        (["best", "x", "--n", "3"], "did you mean --top?"),
        (["compair", "x"], "there is no command compair: did you mean compare?"),
        (["resume", "x"], "did you mean ffsnn search --resume NAME?"),
        (["data", "lst"], "there is no command lst: did you mean list?"),
    ],
)
def test_other_words_are_answered_with_ours(typed, said, home):
    assert said in refused(*typed, home=home)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"base": {"network": {"threshold": 0.5}}}, "base.network.threshold: .* did you mean v_threshold"),
        ({"base": {"learning": {"learning_rate": 0.5}}}, "base.learning.learning_rate: .* did you mean lr"),
        ({"base": {"learning_rate": 0.5}}, "base.learning_rate: .* did you mean base.learning.lr"),
        ({"budget": {"n_trials": 5}}, "budget.n_trials: .* did you mean trials"),
        ({"params": {}}, "params: .* did you mean parameters"),
        ({"parametres": {}, "parameters": None}, "^parametres: .* did you mean parameters[?]$"),
        ({"parameters": {"hidden_size": {"choice": [[3]]}}}, "'hidden_size' is no field .* did you mean widths"),
    ],
)
def test_so_are_those_in_a_space(tree, said):
    whole = {"parameters": {"tau": {"float": [2, 3]}}} | tree
    with pytest.raises(ConfigError, match=said):
        Space.parse({key: value for key, value in whole.items() if value is not None})


def test_all_that_is_suggested_is_there():
    models: list[type[Config]] = [RunConfig, SearchConfig, Space]
    for model in models:
        fields = {name for kind in _within(model) for name in kind.model_fields}
        assert set(words(model).values()) <= fields
        assert all(not set(kind.also) & set(kind.model_fields) for kind in _within(model))
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    assert {meant.split()[0] for meant in COMMANDS.values()} <= commands.keys()
    assert not COMMANDS.keys() & commands.keys()
    options = {name.lstrip("-") for it in commands.values() for p in it.params for name in p.opts} | {"out"}
    assert {meant.replace("_", "-") for meant in OPTIONS.values()} <= options


def _within(model: type[Config]) -> list[type[Config]]:
    inner = [info.annotation for info in model.model_fields.values()]
    return [model, *(kind for it in inner if isinstance(it, type) and issubclass(it, Config) for kind in _within(it))]
