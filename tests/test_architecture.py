"""The rules of the house, read from the source files without importing them.

`ffsnn` <- `spaces` <- `search` (an arrow is "is imported by"); nothing is unpickled; Ray Tune executes but does not
remember; no file leads to another host, such as a package registry, or is named for being useful.
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
    "ffsnn": {"spaces", "search", "ray", "optuna", "mlflow"},
    "spaces": {"search", "ray", "optuna", "mlflow"},
}
PICKLES = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# The search folder is the one truth. Each of these would keep a second one.
FORBIDDEN_IN_SEARCH = {"OptunaSearch", "MLflowLoggerCallback", "Tuner.restore"}
NAMELESS = {"util", "utils", "helper", "helpers", "manager"}

ADDRESS = re.compile(r"https?://([\w-]+(?:\.[\w-]+)+)")


class Use(NamedTuple):
    """A dotted name that a file imports or refers to, with import aliases resolved."""

    name: str
    line: int


class Source(NamedTuple):
    """What one file imports (whole modules and names from them) and which dotted names it refers to."""

    imports: list[Use]
    references: list[Use]


def read(source: str, package: str = "") -> Source:
    """Find imports (also in functions, relative ones, and by `import_module("...")`) and references."""
    tree = ast.parse(source)
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
