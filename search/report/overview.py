"""What was searched and how, in words and with the command that searches it again; and which trials were best.

Nothing heavy is imported: MLflow's description of a search (`search.tracking.note`) says the same.
"""

import re
import shlex
from collections.abc import Callable

import yaml

from ffsnn.fields import short
from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.objectives import Objective
from search.registries import SCHEDULERS
from search.report.document import Block, Code, Section, Table, Text
from search.resolve import usual_experience
from search.store.results import Results, TrialResult
from spaces.parameter import AnyParameter, Choice, Float, shown
from spaces.space import SPACES, Space

COSTS: dict[str, Callable[[TrialResult], str]] = {  # of a sample, by the head of their column
    "spikes": lambda trial: "-" if trial.spikes is None else f"{trial.spikes:,.0f}",
    "energy, nJ": lambda trial: "-" if trial.nanojoules is None else f"{trial.nanojoules:,.4g}",
}
SPACE_FILE = "space.yaml"  # as which a person keeps a space that does not ship with the project


def section(results: Results) -> Section:
    """Section on what was searched, and how to do it again."""
    config, tree = results.config, results.folder.read()
    base = config.base
    fixed = "network.widths" not in config.space.parameters
    widths = " - ".join(str(width) for width in base.network.widths) if fixed else "layers of searched numbers of"
    rows = {
        "data": f"{base.data.dataset}, {base.data.trained_on:,} training {base.data.facts.noun} "
        f"(checksum {tree['data'][:12]})",
        "network": f"{widths} neurons",
        "budget": f"{config.trials} trials of up to {config.epochs} epochs" + _time_budget(config),
        "sampler": f"{config.sampler}, seed {config.seed}",
        "scheduler": SCHEDULERS[config.scheduler].describe(config),
        "device": config.device,
        "commit": tree.get("commit") or "none: the code was in no git repository",
        "versions": ", ".join(f"{name} {version}" for name, version in tree["versions"].items()),
        "tracking": without_secrets(config.tracking_uri) if config.tracking_uri else "the store in mlruns/",
    }
    if config.experience:
        rows["experience"] = f"recorded configurations of {', '.join(config.experience)}"
    if config.first:
        earlier = f", the best ones of {', '.join(config.warm_start)} among them" if config.warm_start else ""
        rows["tried first"] = f"{len(config.first)} point{'s' * (len(config.first) != 1)}{earlier}"
    parameters = [(short(path), *_axis(parameter)) for path, parameter in config.space.parameters.items()]
    blocks: list[Block] = [
        Text(config.space.description) if config.space.description else Text(f"A search of {len(parameters)} axes."),
        Table(("", ""), tuple(rows.items())),
        Table(("parameter", "values", "scale", "only if"), tuple(parameters)),
        Text("To search the same again, under a new name:"),
        Code(command(config)),
        Text(
            "With one trial at once (--concurrency 1) the same seed asks for the same trials. With more, the order in "
            "which trials end is chance, and the sampler learns in that order: the same search, not the same trials.",
            is_note=True,
        ),
        Code(
            space_yaml(config.space), "The space as YAML" + ("" if ships(config) else f", to be kept as {SPACE_FILE}")
        ),
    ]
    return Section("What was searched", blocks)


def standings(results: Results, top: int) -> Table:
    """The best trials, a row each."""
    parameters, goal = list(results.config.space.parameters), results.config.goal
    rows = tuple(
        (
            str(rank), str(trial.number), goal.show(trial.values[-1]), str(trial.epochs),
            *(cell(trial) for cell in COSTS.values()),
            *(shown(trial.sample[path]) if path in trial.sample else "-" for path in parameters),
        )
        for rank, trial in enumerate(results.ranked()[:top], 1)
    )  # fmt: skip
    return Table(("", "trial", _column(goal), "epochs", *COSTS, *map(short, parameters)), rows)


def command(config: SearchConfig) -> str:
    """`ffsnn search` with what differs from its defaults, and without a name or a tracking address."""
    words = ["ffsnn", "search", config.space_name if ships(config) else SPACE_FILE]
    words += ["--trials", str(config.trials), "--epochs", str(config.epochs), "--seed", str(config.seed)]
    for name in (
        "objective", "sampler", "scheduler", "concurrency", "gpus_per_trial", "time_budget", "device", "data_dir",
        "retries",
        "max_failed", "patience",
    ):  # fmt: skip
        value = getattr(config, name)
        if value != SearchConfig.model_fields[name].default:
            words += [f"--{name.replace('_', '-')}", f"{value:.12g}" if isinstance(value, float) else str(value)]
    if config.space.budget.objective and "--objective" not in words:  # else the space's own would be taken
        words += ["--objective", config.objective]
    for limit in config.goals.limits:
        words += ["--limit", str(limit)]
    if config.cold:
        words.append("--cold")
    if config.experience != usual_experience(config.sampler, config.cold):
        words += ["--experience", ",".join(config.experience) or "none"]
    if config.warm_start:
        words += ["--warm-start", ",".join(config.warm_start)]
    for name in config.parts:
        words += ["--use", name]
    return shlex.join(words)


def ships(config: SearchConfig) -> bool:
    """True if the space comes with the project, under its name."""
    try:
        return Space.load(SPACES / f"{config.space_name}.yaml") == config.space
    except ConfigError:
        return False


def space_yaml(space: Space) -> str:
    """The space as YAML for `ffsnn search`; defaults are left out."""
    return yaml.safe_dump(space.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)


def without_secrets(text: str) -> str:
    """A text whose addresses have lost what stands before their host, and their options."""
    return re.sub(r"(://[^\s?]*)\?\S*", r"\1", re.sub(r"(?<=://)\S*@", "", text))


def _column(goal: Objective) -> str:
    """Head of a column with the objective's values."""
    return goal.title.removeprefix("validation ")


def _axis(parameter: AnyParameter) -> tuple[str, str, str]:
    """The values, scale and condition of a parameter."""
    if isinstance(parameter, Choice):
        values, scale = ", ".join(shown(value) for value in parameter.choice), "choice"
    else:
        low, high = parameter.float if isinstance(parameter, Float) else parameter.int
        values, scale = f"{shown(low)} to {shown(high)}", "logarithmic" if parameter.log else "linear"
        scale += "" if isinstance(parameter, Float) else ", whole numbers"
    conditions = [
        f"{short(path)} is {' or '.join(shown(v) for v in (wanted if isinstance(wanted, list) else [wanted]))}"
        for path, wanted in parameter.when.items()
    ]
    return values, scale, " and ".join(conditions)


def _time_budget(config: SearchConfig) -> str:
    return f", {config.time_budget:g} minutes" if config.time_budget else ""
