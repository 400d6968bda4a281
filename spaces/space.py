"""Search spaces: which fields of a run's configuration vary, between which bounds, and under which condition.

A space is data (YAML), never code, so that a search can be resumed, compared and shown:

    base: {data: {dataset: mnist}}          # every other field of the RunConfig
    parameters:
      tau: {float: [1.1, 5]}                # a short alias, or the dotted path: network.tau
      T: {int: [2, 16], log: true}
      loss: {choice: [threshold, swish]}
      theta: {float: [0.02, 0.5], log: true, when: {loss: threshold}}
      lr: {float: [0.0003, 0.03], log: true, prior: {centre: 0.001, confidence: 0.5}}
    points: [{tau: 2.7, T: 4}]              # tried first
    budget: {trials: 20, epochs: 6}
    use: [my_parts.py]                      # files of parts of one's own, beside this one
"""

import itertools
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ffsnn.config import RunConfig
from ffsnn.fields import field_of, field_value, path_of
from ffsnn.parts import own
from ffsnn.validation import Config, ConfigError, parse, read_yaml
from spaces import checks, shipped
from spaces.parameter import AnyParameter, Choice, Int, Parameter, Sample, Value, as_list, as_text

SPACES = Path(__file__).parent
PROBES = 256  # combinations of choices, and samples from within, that a space is tried out with when it is loaded
OWN = {"learning.epochs", "seed", "device", "data_dir"}  # fields that a search gives to all its trials alike
FIXED = {  # fields that cannot be searched, and why
    **dict.fromkeys(OWN, "but must be the search's own (--epochs, --seed, --device, --data-dir), the same for every "
                         "trial: leave it out"),
    **dict.fromkeys(("data.dataset", "data.own", "data.validation"), "for trials are compared on the same validation "
                                                                     "images: set it in the base"),
    "learning.chosen_epoch": "for a final fit follows a search: leave it out",
}  # fmt: skip


def description(name: str) -> str:
    """A shipped space in a line; its data set need not be here yet."""
    return str(read_yaml(SPACES / f"{name}.yaml")["description"])


def names() -> list[str]:
    """The spaces that come with the package."""
    return shipped.names(SPACES)


def file_of(name: str) -> Path:
    """The YAML file of a shipped space.

    Raises:
        ConfigError: none has that name.
    """
    return shipped.file_of(SPACES, name, "space")


class Budget(Config):
    """Budget of a search, and how soon ASHA stops a trial."""

    also: ClassVar[dict[str, str]] = {
        "n_trials": "trials", "num_trials": "trials", "num_samples": "trials", "max_trials": "trials",
        "max_epochs": "epochs", "n_epochs": "epochs", "max_t": "epochs", "grace_period": "grace_epochs",
        "min_epochs": "grace_epochs", "eta": "reduction_factor", "metric": "objective", "constraint": "limit",
        "limits": "limit", "objectives": "objective",
    }  # fmt: skip
    trials: int = Field(20, ge=1)
    epochs: int = Field(20, ge=1, description="of a trial at full length")
    grace_epochs: int = Field(1, ge=1, description="the first rung: no trial is stopped earlier")
    reduction_factor: int = Field(3, ge=2, description="one in so many goes on to the next rung")
    objective: str | tuple[str, ...] = Field((), description="what a search is after; left out: the accuracy")
    limit: tuple[str, ...] = Field((), description="limits that trials are to meet, such as 'synops<=2e6'")


class Space(Config):
    """Parameters over a base configuration; keys of `parameters` are dotted paths after validation."""

    also: ClassVar[dict[str, str]] = {
        "defaults": "base", "fixed": "base", "config": "base", "params": "parameters", "space": "parameters",
        "search_space": "parameters", "enqueue": "points", "initial_points": "points", "start": "points",
        "starts": "points",
    }  # fmt: skip
    kind: Literal["space"] = "space"
    description: str = ""
    base: RunConfig = Field(default_factory=RunConfig)
    parameters: dict[str, AnyParameter] = Field(min_length=1)
    points: tuple[dict[str, Value], ...] = Field((), description="tried first; what they leave out is as in the base")
    budget: Budget = Budget()

    @classmethod
    def load(cls, name: str | Path) -> "Space":
        """Read a YAML file, or one of the spaces that come with the package by its name.

        Raises:
            ConfigError: unknown, unreadable, or a rule is broken; one line.
        """
        path = Path(name) if Path(name).is_file() else file_of(str(name))
        return cls.parse(own.use_named(read_yaml(path), path.parent))

    @classmethod
    def parse(cls, tree: Mapping[str, Any]) -> "Space":
        """Build from a mapping and try it out, so that every sample of it can be trained.

        Raises:
            ConfigError: one line.
        """
        space = parse(cls, tree)
        checks.kinds_fit(space.parameters)
        checks.conditions_can_hold(space.parameters)
        space.try_out(space.base)
        return space

    def try_out(self, base: RunConfig) -> None:
        """Make configurations of samples at the ends and from within.

        Raises:
            ConfigError: one breaks a rule; one line.
        """
        for sample in (*self.probes(), *self.draws(PROBES)):
            try:
                made = self.apply(sample, base)
            except ConfigError as error:
                raise ConfigError(f"the space allows {sample}, which breaks a rule: {error}") from error
            if made.is_final:
                raise ConfigError(
                    "a search chooses by validation images, but got data.validation=0: leave it out, and let "
                    "ffsnn retrain NAME --final train on all of them in the end"
                )

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, tree: Any) -> Any:
        """Parameters go by their dotted paths, and values are what their fields make of them."""
        if not isinstance(tree, Mapping) or not isinstance(tree.get("parameters"), Mapping):
            return tree
        typed: dict[str, Any] = {}
        for name, parameter in tree["parameters"].items():
            path = path_of(name)
            if path in FIXED:
                raise ValueError(f"{path} cannot be searched, {FIXED[path]}")
            if path in typed:
                raise ValueError(f"{path} stands twice among the parameters, as {name!r} too: leave one out")
            typed[path] = _parameter(path, parameter, typed)
        points = tree.get("points", ())
        if isinstance(points, list | tuple) and all(isinstance(point, Mapping) for point in points):
            tree = {**tree, "points": [_point(point, typed) for point in points]}
        return {**tree, "parameters": typed}

    @model_validator(mode="after")
    def _conditions_known(self) -> Self:
        seen: set[str] = set()
        for path, parameter in self.parameters.items():
            for other in parameter.when:
                if other not in self.parameters:
                    raise ValueError(f"{path}: when names {other!r}, which is no parameter of this space")
                if other not in seen:
                    raise ValueError(f"{path}: when names {other!r}, which must stand before it")
            seen.add(path)
        return self

    def active(self, path: str, sample: Mapping[str, Value]) -> bool:
        """True if a parameter exists, given those before it."""
        for other, wanted in self.parameters[path].when.items():
            if other not in sample or sample[other] not in (wanted if isinstance(wanted, list) else [wanted]):
                return False
        return True

    def by_condition(self, paths: Iterable[str]) -> list[list[str]]:
        """Parameters in groups, their order kept: first those that always exist, then those of each condition."""
        groups: dict[str, list[str]] = {"[]": []}
        for path in paths:
            groups.setdefault(repr(sorted(self.parameters[path].when.items())), []).append(path)
        return list(groups.values())

    def apply(self, sample: Mapping[str, Value], base: RunConfig | None = None) -> RunConfig:
        """The configuration of a sample (dotted path -> value).

        Raises:
            ConfigError: the result breaks a rule.
        """
        return (base or self.base).replaced({path: as_list(value) for path, value in sample.items()})

    def read(self, config: RunConfig) -> Sample:
        """The sample that a configuration came from."""
        sample: Sample = {}
        for path, parameter in self.parameters.items():
            if self.active(path, sample):
                value = field_of(config, path)
                if isinstance(parameter, Int) and isinstance(value, float) and value.is_integer():
                    value = int(value)  # of a field of real numbers
                sample[path] = as_text(value)
        return sample

    def lies_in(self, sample: Mapping[str, Value]) -> bool:
        """True if each value of a sample is one of its parameter's."""
        return all(self.parameters[path].contains(value) for path, value in sample.items())

    def probes(self) -> list[Sample]:
        """Samples at the ends of the ranges, over all combinations of choices (the first 256)."""
        choices = {path: p.ends() for path, p in self.parameters.items() if isinstance(p, Choice)}
        samples = []
        for values in itertools.islice(itertools.product(*choices.values()), PROBES):
            chosen = dict(zip(choices, values, strict=True))
            for end in (0, -1):
                sample: Sample = {}
                for path, parameter in self.parameters.items():
                    if self.active(path, sample):
                        sample[path] = chosen.get(path, parameter.ends()[end])
                samples.append(sample)
        return samples

    def draws(self, number: int) -> list[Sample]:
        """Samples from within, always the same ones."""
        generator = random.Random(0)
        samples = []
        for _ in range(number):
            sample: Sample = {}
            for path, parameter in self.parameters.items():
                if self.active(path, sample):
                    sample[path] = parameter.draw(generator)
            samples.append(sample)
        return samples


def _value(path: str, value: Any) -> Value:
    """A value as its field reads it; a list as its JSON."""
    typed: Value = as_text(field_value(path, as_list(value)))
    return typed


def _parameter(path: str, parameter: Any, typed: Mapping[str, Any]) -> Any:
    """A parameter with values as its field reads them; `typed`: those before it."""
    if isinstance(parameter, Parameter):
        parameter = parameter.model_dump(mode="json")
    if not isinstance(parameter, Mapping):
        return parameter
    found = dict(parameter)
    if isinstance(choice := found.get("choice"), list | tuple):
        found["choice"] = [_value(path, value) for value in choice]
    if isinstance(prior := found.get("prior"), Mapping) and "centre" in prior:
        found["prior"] = {**prior, "centre": _value(path, prior["centre"])}
    if isinstance(when := found.get("when"), Mapping):
        found["when"] = _conditions(path, when, typed)
    return found


def _point(point: Mapping[Any, Any], typed: Mapping[str, Any]) -> dict[str, Value]:
    """A point by dotted paths."""
    found = {path_of(name): value for name, value in point.items()}
    if unknown := [path for path in found if path not in typed]:
        raise ValueError(f"points name {', '.join(unknown)}, which this space does not search: leave it out of them")
    return {path: _value(path, value) for path, value in found.items()}


def _conditions(path: str, when: Mapping[Any, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of a parameter with values as the others have them: one of them, or a list of some.

    A list may also be one value of a field of lists; it is that where the other parameter can choose it.
    """
    conditions: dict[str, Any] = {}
    for name, wanted in when.items():
        other = path_of(name)
        if other in conditions:
            raise ValueError(f"{path}: when names {other} twice, as {name!r} too: leave one out")
        choices = typed[other].get("choice", ()) if isinstance(typed.get(other), Mapping) else ()
        if isinstance(wanted, list | tuple) and as_text(wanted) not in choices:
            conditions[other] = [_value(other, value) for value in wanted]
        else:
            conditions[other] = _value(other, wanted)
    return conditions
