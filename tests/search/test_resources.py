"""What a trial gets of nodes that differ."""

import pytest

from ffsnn.validation import ConfigError
from search.cluster import resources
from search.cluster.resources import Node, TrialResources
from search.config import SearchConfig
from spaces.space import Space

SPACE = Space.load("digits_smoke")


def share(*nodes: tuple[int, float], **asked) -> TrialResources:
    config = SearchConfig(name="s", space=SPACE, trials=100, epochs=1, **asked)
    return TrialResources(config, [Node(str(n), f"10.0.0.{n}", cpus, gpus) for n, (cpus, gpus) in enumerate(nodes, 1)])


@pytest.mark.parametrize(
    ("nodes", "asked", "concurrency", "cpus", "gpus"),
    [
        ([(0, 0), (4, 0), (4, 0)], {}, 8, 1, 0),
        ([(4, 0), (4, 0)], {"concurrency": 2}, 2, 4, 0),
        ([(4, 0), (4, 0)], {"concurrency": 3}, 3, 2, 0),  # not 8 // 3: no trial spans two nodes
        ([(16, 0), (4, 0)], {"concurrency": 5}, 5, 4, 0),
        ([(8, 2), (4, 1)], {}, 3, 4, 1),
        ([(8, 2), (4, 1), (64, 0)], {"gpus_per_trial": 0.5}, 6, 2, 0.5),
        ([(8, 2)], {"gpus_per_trial": 0.4}, 4, 2, 0.4),  # not 5: no trial has parts of two cards
        ([(8, 2), (64, 0)], {"gpus_per_trial": 0}, 72, 1, 0),
        ([(8, 2), (64, 0)], {"device": "cpu"}, 72, 1, 0),
        ([(2, 4)], {}, 2, 1, 1),  # a trial needs a CPU, too
    ],
)
def test_each_node_takes_whole_trials(nodes, asked, concurrency, cpus, gpus):
    got = share(*nodes, **asked)
    assert (got.concurrency, got.cpus, got.gpus) == (concurrency, cpus, gpus)


def test_nodes_that_take_no_part_are_named():
    said = str(share((8, 2), (64, 0)))
    assert said.startswith("2 at once with 4 CPU and 1 GPU each on 1 nodes (10.0.0.1)")
    assert said.endswith("; 10.0.0.2 have no GPU and take no part (--gpus-per-trial 0 searches on CPUs)")


def test_more_than_there_is():
    with pytest.raises(ConfigError, match="gpus_per_trial <= 2 must hold on any node, but got 3"):
        share((8, 2), gpus_per_trial=3)
    with pytest.raises(ConfigError, match="needs a GPU, but none was found"):
        share((8, 0), device="cuda")
    with pytest.raises(ConfigError, match=r"gpus_per_trial=0.5 needs a GPU, but none was found: leave it out"):
        share((8, 0), gpus_per_trial=0.5)
    with pytest.raises(ConfigError, match="no node of the cluster has a CPU for trials, of 1: start workers"):
        share((0, 0))


@pytest.mark.parametrize("per_card", range(1, 65))
def test_as_many_as_were_measured_share_a_card(per_card):
    config = SearchConfig(name="s", space=SPACE, trials=1000, epochs=1, gpus_per_trial="auto")
    got = TrialResources(config, [Node("1", "10.0.0.1", 512, 8)], per_card)
    assert got.concurrency == 8 * per_card
    assert per_card * round(got.gpus, 4) <= 1  # as Ray counts


def test_auto_without_a_gpu_is_cpus():
    assert (share((4, 0), gpus_per_trial="auto").gpus, share((4, 0), gpus_per_trial="auto").concurrency) == (0, 4)


@pytest.mark.parametrize(
    ("nodes", "asked", "usual", "alone"),
    [
        ([(8, 1)], {"gpus_per_trial": 0.25}, (2, 0.25), (2, 1)),
        ([(8, 2)], {"gpus_per_trial": 2}, (8, 2), (8, 2)),
        ([(8, 0), (4, 0)], {}, (1, 0), (8, 0)),
    ],
)
def test_a_trial_that_is_to_be_alone_gets_a_card_or_a_node(monkeypatch, nodes, asked, usual, alone):
    got = share(*nodes, **asked)
    monkeypatch.setattr(resources, "living", lambda: got.nodes)
    for is_alone, (cpus, gpus) in ((False, usual), (True, alone)):
        (bundle,) = got.resources({"exclusive": is_alone}).bundles
        assert (bundle["CPU"], bundle.get("GPU", 0)) == (cpus, gpus)


def test_on_this_machine_a_trial_is_a_cpu_to_ray_and_all_of_them_alone(monkeypatch):
    monkeypatch.setattr("search.cluster.resources.this_machine", lambda _: Node("", "this machine", 8, 0))
    got = TrialResources(SearchConfig(name="s", space=SPACE, trials=100, epochs=1, concurrency=2))
    assert (got.concurrency, got.cpus) == (2, 4)
    assert got.resources({"exclusive": False}).bundles == [{"CPU": 1}]
    assert got.resources({"exclusive": True}).bundles == [{"CPU": 2}]


def test_a_trial_that_is_to_be_alone_gets_a_node_that_is_still_there(monkeypatch):
    got = share((8, 0), (4, 0))
    large, small = got.nodes
    for there, cpus in (([large, small], 8), ([small], 4), ([], 8)):
        monkeypatch.setattr(resources, "living", lambda there=there: there)
        assert got.resources({"exclusive": True}).bundles == [{"CPU": cpus}]


@pytest.mark.parametrize("asked", ["half", -1, 1.5, 0.001])
def test_a_share_that_is_none(asked):
    with pytest.raises(ValueError, match=r"must be auto, a share of a GPU \(0.01 to 1\) or a whole number, but got"):
        SearchConfig(name="s", space=SPACE, trials=1, epochs=1, gpus_per_trial=asked)
