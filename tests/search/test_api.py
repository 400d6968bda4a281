"""From Python, as the package's own docstring says it."""

import textwrap
from pathlib import Path

import pytest

import search
from ffsnn.config import ConfigError, RunConfig
from search.config import SearchConfig
from search.folder import SearchFolder
from search.warm_start import points
from spaces.space import Space


def test_the_example_in_the_docstring(tmp_path, monkeypatch, capsys):
    """Run as it stands."""
    (tmp_path / "mlruns").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FFSNN_HOME", raising=False)
    text = search.__doc__
    example = textwrap.dedent(text[text.index("    import search") : text.index("`search.load")])
    exec(compile(example.replace("trials=8", "trials=3, epochs=2"), "example", "exec"), {})
    shown = capsys.readouterr().out
    assert "state" in shown
    assert "\nseed: 0\n" in shown  # the best configuration
    again = search.load("first")
    assert list(again.table().index) == [0, 1, 2]
    assert list(again.table()["state"]).count("complete") >= 1
    best = again.best()
    assert RunConfig.parse(best.model_dump(mode="json")) == best
    assert again.table()["val_accuracy"].max() == again.table()["best_val_accuracy"].max()
    with pytest.raises(ConfigError, match="did you mean first"):
        search.load("frist")


def fake(home: Path, name: str, space: Space, samples: list[dict], accuracies: list[float]) -> None:
    """A search that found these accuracies."""
    import json

    from ffsnn.trainer import EpochMetrics

    config = SearchConfig(name=name, space=space, trials=len(samples), epochs=1)
    folder = SearchFolder.create(home, config, "")
    for number, (sample, accuracy) in enumerate(zip(samples, accuracies, strict=True)):
        trial = folder.trial(number)
        trial.create(space.apply(sample, config.base))
        line = EpochMetrics(1, (0.0,), (0.0,), (0.0,), (0.0,), accuracy, 1.0, 1.0)
        (trial.path / "history.jsonl").write_text(json.dumps(line.json()) + "\n")


def test_a_warm_start_takes_the_best_points_that_lie_in_the_space(tmp_path):
    wide = Space.parse({
        "base": {"data": {"dataset": "digits"}, "learning": {"batch_size": 64}},
        "parameters": {"tau": {"float": [1.1, 9]}, "T": {"int": [1, 20]}},
    })  # fmt: skip
    samples = [{"network.tau": 8.0, "network.T": 4}, {"network.tau": 2.0, "network.T": 4}]
    samples += [{"network.tau": 3.0, "network.T": n} for n in range(2, 9)]
    fake(tmp_path, "old", wide, samples, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    narrow = Space.parse({
        "base": {"data": {"dataset": "digits"}, "network": {"v_threshold": 0.7}, "learning": {"batch_size": 64}},
        "parameters": {"tau": {"float": [1.1, 5]}, "v_threshold": {"float": [0.1, 2]}},
    })  # fmt: skip
    first, remark = points(tmp_path, ("old",), narrow)
    v_threshold = wide.base.network.v_threshold
    assert first == [
        {"network.tau": 2.0, "network.v_threshold": v_threshold},
        {"network.tau": 3.0, "network.v_threshold": v_threshold},  # the others are the same point here
    ]
    assert "the best 2 points of old are tried first; 1 better" in remark
    with pytest.raises(ConfigError, match="no search 'odl'"):
        points(tmp_path, ("odl",), narrow)
