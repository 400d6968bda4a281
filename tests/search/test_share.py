"""What a trial gets of nodes that differ."""

import pytest

from ffsnn.config import ConfigError
from search.config import SearchConfig
from search.share import Node, Share
from spaces.space import Space

SPACE = Space.load("digits_smoke")


def share(*nodes: tuple[int, float], **asked) -> Share:
    config = SearchConfig(name="s", space=SPACE, trials=100, epochs=1, **asked)
    return Share(config, [Node(str(n), f"10.0.0.{n}", cpus, gpus) for n, (cpus, gpus) in enumerate(nodes, 1)])


@pytest.mark.parametrize(
    ("nodes", "asked", "concurrency", "cpus", "gpus"),
    [
        ([(0, 0), (4, 0), (4, 0)], {}, 8, 1, 0),
        ([(4, 0), (4, 0)], {"concurrency": 2}, 2, 4, 0),
        ([(4, 0), (4, 0)], {"concurrency": 3}, 3, 2, 0),  # not 8 // 3: no trial spans two nodes
        ([(16, 0), (4, 0)], {"concurrency": 5}, 5, 4, 0),
        ([(8, 2), (4, 1)], {}, 3, 4, 1),
        ([(8, 2), (4, 1), (64, 0)], {"gpus_per_trial": 0.5}, 6, 2, 0.5),
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
    with pytest.raises(ConfigError, match="no node of the cluster has a CPU for trials, of 1: start workers"):
        share((0, 0))
