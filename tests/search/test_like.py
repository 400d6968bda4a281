"""A search as another one with changes; and more epochs for one that has ended, where longer trials begin alike."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ffsnn.validation import ConfigError
from search import launch, names
from search.config import SearchConfig
from search.resolve import requested
from search.store.folder import SearchFolder
from search.study.reconcile import reconcile
from search.study.starts import starts
from search.tracking.store import all_runs, open_store
from spaces.space import Space
from tests.search.conftest import refused
from tests.search.test_api import fake
from tests.search.test_best import finished
from tests.search.test_promotion import found, searched

TREE = {
    "base": {"data": {"dataset": "digits"}, "network": {"widths": [16]}, "learning": {"batch_size": 256}},
    "parameters": {"v_threshold": {"float": [0.2, 1.5]}, "tau": {"float": [1.1, 5]}},
    "budget": {"trials": 6, "epochs": 9},
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    samples = [{"network.v_threshold": 0.5, "network.tau": 2.0}, {"network.v_threshold": 0.9, "network.tau": 3.0}]
    fake(tmp_path, "old", Space.parse(TREE), samples, [0.9, 0.8])
    return tmp_path


def alike(home: Path, name: str | None = "new", fields: dict[str, Any] | None = None, **asked: Any) -> SearchConfig:
    config, goes_on = requested(home, None, name, None, asked, fields or {}, like="old")
    assert not goes_on
    return config


def test_it_has_the_space_and_the_settings_of_the_other_but_for_what_is_asked_for(home):
    old = SearchFolder.open(home, "old").config
    new = alike(home)
    assert (new.name, new.warm_start) == ("new", ("old",))
    assert new.model_copy(update={"name": "old", "warm_start": (), "space_name": ""}) == old
    changed = alike(home, sampler="tpe", epochs=4, trials=9, seed=3)
    assert (changed.sampler, changed.epochs, changed.trials, changed.seed) == ("tpe", 4, 9, 3)
    assert alike(home, None).name == "old-1"
    assert alike(home, cold=True).warm_start == ()


def test_its_points_are_tried_first_as_far_as_they_fit(home):
    new = alike(home, fields={"network.tau": 2.5})
    assert list(new.space.parameters) == ["network.v_threshold"]
    assert new.space.base.network.tau == 2.5
    first, said = starts(home, new)
    assert first == [{"network.v_threshold": 0.5}, {"network.v_threshold": 0.9}]
    assert said[-1] == "warm start: the best 2 points of old are tried first"


def test_what_contradicts_itself_is_refused(home, tmp_path):
    with pytest.raises(ConfigError, match=r"--like NAME has that search's own space: leave SPACE and --resume out"):
        requested(home, "mnist", None, None, {}, {}, "old")
    with pytest.raises(ConfigError, match=r"--like old begins another search: choose another --name than old"):
        alike(home, "old")
    assert "there is no search 'odl'" in refused("search", "--like", "odl", home=tmp_path)


@pytest.mark.parametrize(
    ("learning", "settings", "why"),
    [
        ({"schedule": "cosine"}, {}, "with schedule=cosine the learning rate of each epoch depends on how many"),
        ({"schedule": "constant", "layers": "greedy"}, {}, "with layers=greedy each layer has an equal share"),
        ({"schedule": "constant"}, {"scheduler": "asha"}, "the scheduler asha has stopped trials for good"),
    ],
)
def test_epochs_that_cannot_grow_are_refused_with_the_reason(learning, settings, why, tmp_path):
    space = Space.parse(TREE | {"base": TREE["base"] | {"learning": {"batch_size": 256, **learning}}})
    config = SearchConfig(name="mine", space=space, trials=6, epochs=9, **settings)
    SearchFolder.create(tmp_path, config, "")
    said = f"epochs=9, which cannot become 20: {why}.*; begin another search: .*search --like mine --epochs 20"
    with pytest.raises(ConfigError, match=said):
        requested(tmp_path, None, None, "mine", {"epochs": 20})
    with pytest.raises(ConfigError, match="epochs=9 became 3"):
        requested(tmp_path, None, None, "mine", {"epochs": 3})


def test_a_damaged_configuration_is_left_to_the_repair(tmp_path):
    """Which a resume comes to later."""
    folder, said = finished(tmp_path), io.StringIO()
    (folder.trial(1).path / "config.json").write_text("{")
    config = folder.config.model_copy(update={"epochs": folder.config.epochs + 1})
    launch._lengthen(folder, folder.config, Console(file=said))
    assert said.getvalue() == ""
    launch._lengthen(folder, config, Console(file=said))
    assert folder.trial(0).config().learning.epochs == config.epochs
    reconcile(folder, config, lambda line: said.write(line))
    assert folder.trial(1).config().learning.epochs == config.epochs


@pytest.mark.slow
@pytest.mark.parametrize(("scheduler", "before"), [("promotion", 3), ("promotion", 4), ("none", 2)])
def test_with_more_epochs_survivors_go_on_as_if_there_had_been_as_many(scheduler, before, tmp_path, monkeypatch):
    constant = TREE | {"base": TREE["base"] | {"learning": {"batch_size": 256, "schedule": "constant"}}}
    monkeypatch.setattr("tests.search.test_promotion.SPACE", constant)
    asked = {"sampler": "random", "seed": 1, "scheduler": scheduler}
    first = found(searched(tmp_path, "grown", 6, epochs=before, **asked))
    grown = searched(tmp_path, "grown", 6, epochs=9, **asked)
    whole = found(searched(tmp_path, "whole", 6, epochs=9, **asked))
    further = 0
    for number, (sample, values, _) in found(grown).items():
        assert sample == whole[number][0]
        shared = min(len(values), len(whole[number][1]))
        assert values[:shared] == whole[number][1][:shared]
        assert values[: len(first[number][1])] == first[number][1]
        further += len(values) > len(first[number][1])
    assert further
    assert max(len(values) for _, values, _ in found(grown).values()) == 9
    assert {trial.config().learning.epochs for trial in grown.folder.trials()} == {9}
    assert not list(grown.folder.path.rglob(names.REST_FILE))
    client, experiment = open_store(tmp_path / "mlruns")
    runs = all_runs(client, experiment, f"tags.`{names.TAG_SEARCH}` = 'grown' AND tags.`{names.TAG_KIND}` = 'trial'")
    assert len(runs) == 6
    for run in runs:
        values = found(grown)[int(run.data.tags[names.TAG_TRIAL])][1]
        assert run.data.params["epochs"] == "9"
        assert len(client.get_metric_history(run.info.run_id, "val_accuracy")) == len(values)
