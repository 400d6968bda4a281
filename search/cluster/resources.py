"""What one trial gets of this machine, or of a cluster's nodes, and how many run at once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ffsnn.validation import ConfigError
from search.cluster.nodes import Node, living, this_machine
from search.config import SearchConfig
from search.names import EXCLUSIVE

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory

GRAIN = 10_000  # Ray counts resources in ten-thousandths


class TrialResources:
    """The nodes, divided among trials.

    Args:
        config: what is asked for.
        cluster: its nodes; None: this machine.
        per_card: trials that share a GPU, by formula; None: as asked.

    Raises:
        ConfigError: more is asked for than there is.
    """

    def __init__(
        self, config: SearchConfig, cluster: Sequence[Node] | None = None, per_card: int | None = None
    ) -> None:
        nodes = list(cluster) if cluster is not None else [this_machine(config.device)]
        where = "on this machine" if cluster is None else "on any node"
        most = 0 if config.device == "cpu" else max((node.gpus for node in nodes), default=0)
        asked = None if config.gpus_per_trial == "auto" else config.gpus_per_trial
        if per_card:
            asked = GRAIN // per_card / GRAIN  # rounded down, or the last one would not fit
        if (asked or config.device.startswith("cuda")) and not most:
            raise ConfigError(
                f"gpus_per_trial={asked or 1:g} needs a GPU, but none was found: leave it out to run on CPUs"
            )
        if asked and asked > most:
            raise ConfigError(f"gpus_per_trial <= {most:g} must hold {where}, but got {asked:g}")
        self.gpus = asked if asked is not None else float(min(most, 1))
        self.nodes = [node for node in nodes if node.cpus and node.gpus >= self.gpus]
        self.idle = [node for node in nodes if node.cpus and node not in self.nodes]
        at_most = sum(self._trials_on(node, 1) for node in self.nodes)
        if not at_most:
            raise ConfigError(f"no node of the cluster has a CPU for trials, of {len(nodes)}: start workers")
        self.concurrency = min(config.concurrency or at_most, at_most, config.trials)
        self.cpus = next(
            cpus for cpus in range(max(node.cpus for node in self.nodes), 0, -1)
            if sum(self._trials_on(node, cpus) for node in self.nodes) >= self.concurrency
        )  # fmt: skip
        self.all_gpus = sum(node.gpus for node in nodes)
        self.is_cluster, self.by_default = cluster is not None, asked is None

    def resources(self, trial: Mapping[str, Any]) -> "PlacementGroupFactory":
        """Resources of a trial that is handed out: its share; an exclusive one gets a GPU, or a node, for itself.

        On this machine Ray is told of a CPU a trial, for it starts a process for each CPU beforehand.
        """
        from ray.tune import PlacementGroupFactory

        cpus, gpus = self.cpus if self.is_cluster else 1, self.gpus
        if trial[EXCLUSIVE] and gpus:
            gpus = max(1.0, gpus)
        elif trial[EXCLUSIVE]:
            cpus = max(node.cpus for node in self._living()) if self.is_cluster else self.concurrency
        return PlacementGroupFactory([{"CPU": cpus, "GPU": gpus}])

    def _living(self) -> list[Node]:
        """Nodes that are still there: a trial for which only a lost one is large enough never starts."""
        there = {node.id for node in living()}
        return [node for node in self.nodes if node.id in there] or self.nodes

    def _trials_on(self, node: Node, cpus: int) -> int:
        """Number of trials of so many CPUs that a node takes at once."""
        if not self.gpus:
            return node.cpus // cpus
        if self.gpus < 1:  # no trial has parts of two cards
            return min(node.cpus // cpus, int(node.gpus) * int(1 / self.gpus + 1e-9))
        return min(node.cpus // cpus, int(node.gpus / self.gpus))

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        said = f"{self.concurrency} at once with {self.cpus} CPU{gpus} each"
        if not self.is_cluster:
            auto = "; --gpus-per-trial auto shares one among as many as fit"
            return said + (auto if self.gpus and self.by_default else "")
        said += f" on {len(self.nodes)} nodes ({', '.join(node.address for node in self.nodes)})"
        if self.idle:
            addresses = ", ".join(node.address for node in self.idle)
            said += f"; {addresses} have no GPU and take no part (--gpus-per-trial 0 searches on CPUs)"
        return said
