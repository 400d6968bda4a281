"""A search in words, Markdown: what was searched, the best five, how to do it again. The description of its run."""

from collections import Counter

from search.folder import SearchFolder
from search.progress import clock
from spaces.space import SPACES, Choice, Parameter, Value

TOP = 5


def note(search: SearchFolder) -> str:
    """All of it; a function of the folder alone."""
    config, base = search.config, search.config.base
    ended = Counter(end.state for trial in search.trials() if (end := trial.end()))
    states = [f"{ended[state]} {state}" for state in ("complete", "pruned", "failed")]
    lines = [
        config.space.description,
        f"{config.trials} trials of up to {config.epochs} epochs on {base.data.dataset} "
        f"({base.data.trained_on:,} training images), sampler {config.sampler}, scheduler {config.scheduler}, "
        f"seed {config.seed}. Ended: {', '.join(states)}, in {clock(search.spent())} minutes.",
    ]
    return "\n\n".join([
        *(line for line in lines if line), "### What is searched", _space(search), f"### The best {TOP}",
        _best(search), "### Again", _commands(search),
    ])  # fmt: skip


def _space(search: SearchFolder) -> str:
    rows = [
        [f"`{path}`", _range(parameter), _scale(parameter), _condition(parameter)]
        for path, parameter in search.config.space.parameters.items()
    ]
    return table(["parameter", "values", "scale", "only where"], rows)


def _best(search: SearchFolder) -> str:
    """By the rule of `search.folder.place`."""
    space, rows = search.config.space, []
    for accuracy, trial in search.ranked()[:TOP]:
        sample = space.read(trial.config())
        values = [_shown(sample[path]) if path in sample else "" for path in space.parameters]
        rows.append([str(trial.number), f"{accuracy:.2%}", str(len(trial.history())), *values])
    if not rows:
        return "No trial has finished an epoch yet."
    names = [path.rsplit(".", 1)[-1] for path in space.parameters]
    return table(["trial", "validation accuracy", "epochs", *names], rows)


def _commands(search: SearchFolder) -> str:
    config, tree = search.config, search.read()
    space, remark = config.space_name, ""
    if not (SPACES / f"{space}.yaml").is_file():
        space, remark = f"{space}.yaml", "  # the space is in this run's search.json"
    again = f"ffsnn search {space} --name {config.name}-again --trials {config.trials} --epochs {config.epochs}"
    again += f" --sampler {config.sampler} --scheduler {config.scheduler} --seed {config.seed}"
    if config.warm_start:
        again += f" --warm-start {','.join(config.warm_start)}"
    commands = [f"{again}{remark}", f"ffsnn best {config.name}", f"ffsnn retrain {config.name}"]
    if tree.get("commit"):
        commands.insert(0, f"git checkout {tree['commit']}")
    versions = ", ".join(f"{name} {version}" for name, version in tree.get("versions", {}).items())
    return "```\n" + "\n".join(commands) + f"\n```\n\nWith {versions}. Training images: sha256 `{tree['data']}`."


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _range(parameter: Parameter) -> str:
    ends = parameter.ends()
    return ", ".join(map(_shown, ends)) if isinstance(parameter, Choice) else " to ".join(map(_shown, ends))


def _scale(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return "choice"
    return "logarithmic" if getattr(parameter, "log", False) else "linear"


def _condition(parameter: Parameter) -> str:
    conditions = [
        f"`{path}` = {' or '.join(map(_shown, wanted if isinstance(wanted, list) else [wanted]))}"
        for path, wanted in parameter.when.items()
    ]
    return " and ".join(conditions)


def _shown(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
