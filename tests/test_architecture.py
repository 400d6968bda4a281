"""The rules of the house, read from the source files without importing them.

`ffsnn` <- `spaces` <- `search` (an arrow is "is imported by"), within `search` pareto <- store <- forecast <- study <-
cluster <- execution, and no files in a circle; nothing is unpickled; Ray Tune executes but does not remember, and what
is private of Ray and of Optuna is named in one file each; no file leads to another host, such as a package registry, or
is named for being useful; no folder is crowded.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

FORBIDDEN_IMPORTS = {
    "ffsnn": {"spaces", "search", "ffsnn_search", "ray", "optuna", "mlflow"},
    "spaces": {"search", "ffsnn_search", "ray", "optuna", "mlflow"},
    "search": {"ffsnn_search"},
}
PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# The search folder is the one truth. Each of these would keep a second one.
FORBIDDEN_IN_SEARCH = {"OptunaSearch", "MLflowLoggerCallback", "Tuner.restore"}
NAMELESS = {"util", "utils", "helper", "helpers", "manager"}
# Folders of search/: each imports from those before it.
FLOORS = ("pareto", "store", "forecast", "study", "cluster", "execution")
TOP = {"search.api", "search.launch", "search.preflight", "search.progress", "search.resolve"}  # no floor imports these
PRIVATE = {"ray": "search/cluster/ray_private.py", "optuna": "search/study/optuna_private.py"}
CROWD = 15  # Python files of a folder at most

ADDRESS = re.compile(r"https?://([\w-]+(?:\.[\w-]+)+)")


class Use(NamedTuple):
    """A dotted name that a file imports or refers to, with import aliases resolved."""

    name: str
    line: int


class Source(NamedTuple):
    """What one file imports (whole modules and names from them) and which dotted names it refers to."""

    imports: list[Use]
    references: list[Use]


class _Running(ast.NodeTransformer):
    """Leaves out what is behind `if TYPE_CHECKING`."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)


def read(source: str, package: str = "") -> Source:
    """Find imports (also in functions, relative ones, and by `import_module("...")`) and references.

    What only a type checker imports is left out.
    """
    tree = _Running().visit(ast.parse(source))
    imports: list[Use] = []
    meaning: dict[str, str] = {}  # local name -> full dotted name
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports.append(Use(alias.name, node.lineno))
                local = alias.asname or alias.name.split(".")[0]
                meaning[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                imports.append(Use(f"{module}.{alias.name}", node.lineno))
                meaning[alias.asname or alias.name] = f"{module}.{alias.name}"

    references: list[Use] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and (dotted := dotted_name(node)):
            first, *rest = dotted.split(".")
            references.append(Use(".".join([meaning.get(first, first), *rest]), node.lineno))
        elif isinstance(node, ast.Call) and (dotted_name(node.func) or "").split(".")[-1] in {
            "import_module",
            "__import__",
        }:
            imports += [Use(a.value, a.lineno) for a in node.args if isinstance(a, ast.Constant)]
    return Source(imports, references)


def dotted_name(node: ast.expr) -> str | None:
    """`a.b.c` of an attribute chain that starts with a name, else None."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted_name(node.value)):
        return f"{before}.{node.attr}"
    return None


def python_files(*folders: str) -> Iterator[tuple[Path, Source]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            package = ".".join(path.relative_to(ROOT).parent.parts)
            yield path.relative_to(ROOT), read(path.read_text(encoding="utf-8"), package)


def ends_with(name: str, ending: str) -> bool:
    return f".{name}".endswith(f".{ending}")


def project_files() -> list[Path]:
    """The files that git tracks or would track, relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("package", sorted(FORBIDDEN_IMPORTS))
def test_imports_go_one_way(package: str) -> None:
    wrong = [
        f"{path}:{use.line} imports {use.name}"
        for path, source in python_files(package)
        for use in source.imports
        if use.name.split(".")[0] in FORBIDDEN_IMPORTS[package]
    ]
    assert wrong == []


def modules() -> dict[str, set[str]]:
    """The files of the packages as modules, and which of each other they import."""
    files = {
        ".".join(path.with_suffix("").parts).removesuffix(".__init__"): source
        for path, source in python_files("ffsnn", "spaces", "search")
    }
    folders = {name.rpartition(".")[0] for name in files}
    found: dict[str, set[str]] = {}
    for name, source in files.items():
        names = {use.name if use.name in files else use.name.rpartition(".")[0] for use in source.imports}
        found[name] = (names & files.keys()) - folders - {name}
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    left = modules()
    while free := {name for name, imported in left.items() if not imported & left.keys()}:
        left = {name: imported for name, imported in left.items() if name not in free}
    assert {name: sorted(imported & left.keys()) for name, imported in left.items()} == {}


def test_the_floors_of_search_import_downwards() -> None:
    wrong = []
    for name, imported in modules().items():
        floor = name.split(".")[1] if name.startswith("search.") else ""
        if floor not in FLOORS:
            continue
        allowed = FLOORS[: FLOORS.index(floor) + 1]
        for other in imported:
            package, *rest = other.split(".")
            if package == "search" and (other in TOP or (len(rest) > 1 and rest[0] not in allowed)):
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_folders_are_not_crowded() -> None:
    folders = {path.parent for path, _ in python_files("ffsnn", "spaces", "search")}
    counts = {str(folder): len(list((ROOT / folder).glob("*.py"))) for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > CROWD} == {}


@pytest.mark.parametrize("library", PRIVATE)
def test_what_is_private_of_a_library_is_named_in_one_file(library: str) -> None:
    wrong = [
        f"{path}:{use.line} uses {use.name}"
        for path, source in python_files("search")
        if str(path) != PRIVATE[library]
        for use in (*source.imports, *source.references)
        if use.name.split(".")[0] == library and any(part.startswith("_") for part in use.name.split("."))
    ]
    own = r"\._(trial_id|study_id|storage|brackets|rungs|get_trials|contains)\b"
    wrong += [
        f"{path} uses {found[0]}"
        for path, _ in python_files("search")
        if str(path) not in PRIVATE.values()
        and (found := re.search(own, re.sub(r"self\._\w+", "", (ROOT / path).read_text())))
    ]
    assert wrong == []


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    """A reader is to know at once what a thing is, or does."""
    wrong = []
    for path, _ in python_files("ffsnn", "spaces", "search"):
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (said := ast.get_docstring(node)):
                wrong += [f"{path}:{node.lineno} {said}"] if re.match(r"(Of|What|How|Whether)\b", said) else []
    assert wrong == []


def test_the_tree_in_the_documents_has_every_file() -> None:
    """And none that is gone."""
    tree = (ROOT / "docs" / "architecture.md").read_text().split("## The tree")[1]
    named = set(re.findall(r"\b[\w.]+\.py\b", tree))
    there = {path.name for path, _ in python_files("ffsnn", "spaces", "search")} - {"__init__.py", "__main__.py"}
    assert there - named == set()
    elsewhere = {path.name for pattern in ("*.py", "[tbe][ex]*/**/*.py") for path in ROOT.glob(pattern)}
    assert named - there - elsewhere == set()


def test_nothing_is_unpickled() -> None:
    wrong = []
    for path, source in python_files("ffsnn", "spaces", "search", "tests", "benchmarks"):
        wrong += [
            f"{path}:{use.line} imports {use.name}" for use in source.imports if use.name.split(".")[0] in PICKLES
        ]
        loads = [
            use
            for use in (*source.imports, *source.references)
            if use.name in {"torch.load", "torch.serialization.load"}
        ]
        wrong += [f"{path}:{use.line} uses {use.name}" for use in loads]
    assert wrong == []


def test_ray_executes_but_does_not_remember() -> None:
    wrong = [
        f"{path}:{use.line} uses {use.name}"
        for path, source in python_files("search")
        for use in (*source.imports, *source.references)
        if any(ends_with(use.name, forbidden) for forbidden in FORBIDDEN_IN_SEARCH)
    ]
    assert wrong == []


def test_no_file_leads_to_another_host() -> None:
    """A package registry least of all: what is installed stands in constraints.txt, from where is the machine's."""
    wrong = []
    for path in project_files():
        if path == Path("LICENSE"):  # its own text
            continue
        text = (ROOT / path).read_bytes().decode("utf-8", errors="ignore")
        wrong += [f"{path} leads to {host}" for host in ADDRESS.findall(text) if not re.fullmatch(r"[\d.]+", host)]
    assert wrong == []


def test_files_are_named_for_what_they_hold() -> None:
    names = [path for path in project_files() if {PurePath(part).stem for part in path.parts} & NAMELESS]
    assert names == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import ray.tune as t", "ray.tune"),
        ("def f():\n    from ray import tune", "ray.tune"),
        ("from .. import optuna_study", "ffsnn.optuna_study"),
        ("from . import data", "ffsnn.inner.data"),
        ("from importlib import import_module as i, import_module\nimport_module('mlflow')", "mlflow"),
        ("__import__('pickle')", "pickle"),
    ],
)
def test_reader_sees_every_way_to_import(source: str, name: str) -> None:
    assert name in [use.name for use in read(source, "ffsnn.inner").imports]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import torch as t\nt.load('x')", "torch.load"),
        ("from torch import load as l\nl('x')", "torch.load"),
        ("from ray import tune\ntune.Tuner.restore('x')", "ray.tune.Tuner.restore"),
    ],
)
def test_reader_sees_through_aliases(source: str, name: str) -> None:
    assert name in [use.name for use in read(source).references]
