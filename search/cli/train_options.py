"""The options of `ffsnn train`: every field of a configuration, and the names that the method's first script used."""

from dataclasses import dataclass, field
from typing import Any

from ffsnn.fields import assignments, full, meant_by, typed
from ffsnn.validation import ConfigError

# The first script's options, where their names are not ours: `-b 64 -opt sgd -out-dir runs/a`.
OTHER_NAMES = {"b": "batch_size", "opt": "optimiser", "out_dir": "out", "resume": "out"}
FLAGS = {"amp", "save_model"}
NO_MEANING = {
    "j": "-j has no meaning here: the data set is one tensor on the training device, so there are no loading workers",
    "save_model": "--save-model has no meaning here: the last and the best weights are always kept in the run's folder",
}


@dataclass
class TrainOptions:
    """Parsed options: a configuration file, changes to its fields (dotted), the run's folder, remarks to print."""

    config: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    out: str | None = None
    remarks: list[str] = field(default_factory=list)


def parse_train_options(arguments: list[str]) -> TrainOptions:
    """`best.yaml --tau 1.5 --network.T=8 -b 64 -amp`; one dash or two, `-` or `_` alike.

    Raises:
        ConfigError: no such field, a value is missing, or a second file.
    """
    asked = TrainOptions()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            if asked.config is not None:
                raise ConfigError(f"one configuration file is taken, but got {asked.config!r} and {argument!r}")
            asked.config = argument
            continue
        option, equals, value = argument.partition("=")
        name = option.lstrip("-").replace("-", "_")
        if name in FLAGS:
            if equals:
                raise ConfigError(f"{option} takes no value, but got {argument}: give it alone, or leave it out")
            if name == "amp":
                asked.changes["learning.precision"] = "bfloat16"
        elif not equals:
            if not rest:
                raise ConfigError(f"{option} needs a value")
            value = rest.pop(0)
        if name in NO_MEANING:
            asked.remarks.append(NO_MEANING[name])
        name = OTHER_NAMES.get(name, name)
        if name == "out":
            asked.out = value
        elif name == "set":
            asked.changes |= assignments([value])
        elif name not in FLAGS and name != "j":
            path = _path(name, option)
            asked.changes[path] = typed(path, value, f"{option} {value}")
    return asked


def _path(name: str, option: str) -> str:
    if (path := full(name)) is not None:
        return path
    meant = meant_by(name)
    raise ConfigError(f"there is no option {option}: " + (f"did you mean --{meant}?" if meant else "see --help"))
