"""`ffsnn doctor`: what would go wrong is found before a search begins; a line a node, and how to mend it."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ffsnn.datasets.own import share
from ffsnn.validation import ConfigError
from search import environment
from search.cluster.node_report import NodeReport, Question, report
from search.cluster.nodes import Node, living
from search.cluster.servers import database_problem, ray_problem, tracking_problem
from search.config import SearchConfig
from search.names import SHARED_DATA
from search.settings import redacted

COLUMNS = ("versions", "code", "home", "data", "clock", "disk", "GPUs")
SKEW_S, FREE_BYTES = 2.0, 5e8  # seconds between two clocks; bytes free in a folder
NODES_TIMEOUT_S = 180.0  # seconds for all nodes, which may have to fetch the data set
MEND = {
    "versions": "install the same there as here: pip install -c constraints.txt",
    "code": "install the same version of ffsnn there as here, or leave it to Ray to carry it",
    "home": "name with --home a folder that all nodes see, such as one on NFS, and that this user may write to",
    "data": "fetch it there once, or name a folder with --data-dir",
    "clock": "let NTP or chrony run there",
    "disk": "make room there",
    "node": "see its Ray logs; start its worker anew",
}


@dataclass
class Line:
    """One node or server: what is said of it, and what is wrong."""

    name: str
    cells: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)  # by column: what, and how to mend it


def examine(home: Path, config: SearchConfig) -> list[Line]:
    """Look at everything that a search will use; the cluster is joined for as long as that takes.

    Args:
        home: the `mlruns/` folder.
        config: the search that is to be run.
    """
    environment.prepare()
    lines = []
    for name, address, problem in (
        ("study", config.storage, database_problem), ("MLflow", config.tracking_uri, tracking_problem),
    ):  # fmt: skip
        if address:
            lines.append(_server(name, address, problem))
    if not config.address:
        return [*_nodes(home, config, None), *lines]
    try:
        return [*nodes(home, config)[0], *lines]
    except ConfigError as error:
        return [Line("Ray", wrong={"server": str(error)}), *lines]


def nodes(home: Path, config: SearchConfig) -> tuple[list[Line], list[Node]]:
    """Join the cluster, look at its nodes, and leave it.

    Raises:
        ConfigError: it cannot be joined.
    """
    assert config.address is not None
    environment.prepare()
    if wrong := ray_problem(config.address):
        raise ConfigError(wrong)
    from search.cluster import ray_cluster

    with ray_cluster.joined(config.address):
        there = living()
        return _nodes(home, config, there), there


def refusal(lines: list[Line]) -> str:
    """Everything that is wrong, in one line; empty, if all is well."""
    return "; ".join(f"{line.name}: {wrong}" for line in lines for wrong in line.wrong.values())


def show(lines: list[Line], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("", *COLUMNS):
        table.add_column(column)
    for line in lines:
        cells = [Text("wrong", "red") if c in line.wrong else Text(line.cells.get(c, "-")) for c in COLUMNS]
        if "node" in line.wrong:
            cells[0] = Text("wrong", "red")
        if "server" in line.cells or "server" in line.wrong:
            cells[0] = Text("wrong", "red") if line.wrong else Text(line.cells["server"])
        table.add_row(line.name, *cells)
    console.print(table)
    for line in lines:
        for wrong in line.wrong.values():
            console.print(f"{line.name}: {wrong}")


def own_data(home: Path, config: SearchConfig) -> str:
    """A copy of the search's data set that all nodes see, where it is one of the user's own; else nothing.

    Raises:
        DataError: it cannot be copied.
    """
    return str(share(config.base.data.dataset, home / SHARED_DATA, config.data_dir) or "")


def _server(name: str, address: str, problem: Callable[[str], str]) -> Line:
    wrong = problem(address)
    return Line(name, {"server": "answers"}, {"server": redacted(wrong)} if wrong else {})


def _nodes(home: Path, config: SearchConfig, there: list[Node] | None) -> list[Line]:
    """Ask this machine, and each node; None: this machine alone."""
    probe = home / f".doctor-{secrets.token_hex(4)}"
    question = Question(
        str(home), str(probe), secrets.token_hex(8), config.base.yaml(), own_data(home, config) if there else ""
    )
    probe.write_text(question.secret)
    try:
        here = report(question)
        if there is None:
            return [_line("this machine", here, here, 0.0)]
        return _asked(there, question, here)
    finally:
        probe.unlink(missing_ok=True)


def _asked(nodes: list[Node], question: Question, here: NodeReport) -> list[Line]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(report)
    started = time.time()
    asked = {
        node: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(question)
        for node in nodes
    }
    lines = []
    for node, answer in asked.items():
        try:
            said: NodeReport = ray.get(answer, timeout=max(1.0, started + NODES_TIMEOUT_S - time.time()))
        except Exception as error:  # of Ray, of the node, or of what it lacks
            reason = " ".join(str(error).split())[-200:] or type(error).__name__
            lines.append(Line(node.address, wrong={"node": f"it does not answer ({reason}): {MEND['node']}"}))
            continue
        skew = max(0.0, started - said.time, said.time - time.time())
        lines.append(_line(node.address, said, here, skew, node.gpus))
    return lines


def _line(name: str, said: NodeReport, here: NodeReport, skew: float, gpus: float = 0) -> Line:
    """Compare a node's answer with this machine's."""
    line = Line(name)

    def check(column: str, wrong: str, fine: str) -> None:
        line.cells[column] = fine
        if wrong:
            line.wrong[column] = f"{wrong}: {MEND[column]}"

    differ = [
        f"{library} {said.versions.get(library)}, here {there}"
        for library, there in here.versions.items() if said.versions.get(library) != there
    ]  # fmt: skip
    check("versions", "; ".join(differ), f"Python {said.versions['python']}, Ray {said.versions['ray']}")
    other_code = f"its source of ffsnn is another one ({said.code}, here {here.code})"
    check("code", other_code if said.code != here.code else "", said.code)
    check("home", said.home, "written")
    wrong = said.data or ("its training images are others" if said.checksum != here.checksum else "")
    check("data", wrong, said.checksum[:8])
    check("clock", f"its clock is {skew:.0f} s off" if skew > SKEW_S else "", "right")
    full = [f"{free / 1e6:,.0f} MB are free in {folder}" for folder, free in said.free.items() if free < FREE_BYTES]
    check("disk", "; ".join(full), f"{min(said.free.values(), default=0) / 1e9:,.0f} GB")
    if gpus or said.gpus:
        line.cells["GPUs"] = "; ".join(said.gpus) or f"{gpus:g}"
    return line
