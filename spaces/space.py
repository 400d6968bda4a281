"""Search spaces: which fields of a run's configuration vary, between which bounds, and under which condition.

A space is data (YAML), never code, so that a search can be resumed, compared and shown:

    base: {data: {dataset: mnist}}          # every other field of the RunConfig
    parameters:
      tau: {float: [1.1, 5]}                # a short alias, or the dotted path: network.tau
      T: {int: [2, 16], log: true}
      loss: {choice: [threshold, swish]}
      theta: {float: [0.02, 0.5], log: true, when: {loss: threshold}}
    budget: {trials: 20, epochs: 6}
"""

import difflib
import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ffsnn.config import Config, ConfigError, RunConfig, aliases, parse, read_yaml

Value = bool | int | float | str
Sample = dict[str, Value]
SPACES = Path(__file__).parent
PROBES = 256  # at most so many combinations of choices are tried out when a space is loaded


class Parameter(Config):
    """One axis. `when` names other parameters and the value (or values) they must have for this one to exist."""

    when: dict[str, Value | list[Value]] = Field({}, description="conditions, all of which must hold")

    def ends(self) -> list[Value]:
        """The values that a space is tried out with."""
        raise NotImplementedError


class _Range(Parameter):
    log: bool = Field(False, description="uniform in the logarithm")

    def _check(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"low < high must hold, but got low={low}, high={high}")
        if self.log and low <= 0:
            raise ValueError(f"low > 0 must hold for a log range, but got low={low}")


class Float(_Range):
    """A real number between two bounds, both included."""

    float: tuple[float, float]

    @model_validator(mode="after")
    def _valid(self) -> Self:
        self._check(*self.float)
        return self

    def ends(self) -> list[Value]:
        return list(self.float)


class Int(_Range):
    """A whole number between two bounds, both included."""

    int: tuple[int, int]

    @model_validator(mode="after")
    def _valid(self) -> Self:
        self._check(*self.int)
        return self

    def ends(self) -> list[Value]:
        return list(self.int)


class Choice(Parameter):
    """One of a list of values; one that is a list itself (`widths: {choice: [[500, 500], [1000]]}`) by its JSON."""

    choice: tuple[Value, ...] = Field(min_length=1)

    @field_validator("choice", mode="before")
    @classmethod
    def _flat(cls, choice: Any) -> Any:
        return [_flat(value) for value in choice] if isinstance(choice, list | tuple) else choice

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if len(set(self.choice)) < len(self.choice):
            raise ValueError(f"the values of a choice must differ, but got {list(self.choice)}")
        return self

    def ends(self) -> list[Value]:
        return list(self.choice)


def _kind(value: Any) -> str | None:
    if isinstance(value, Parameter):
        return type(value).__name__.lower()
    kinds = [kind for kind in ("float", "int", "choice") if isinstance(value, Mapping) and kind in value]
    return kinds[0] if len(kinds) == 1 else None


AnyParameter = Annotated[
    Annotated[Float, Tag("float")] | Annotated[Int, Tag("int")] | Annotated[Choice, Tag("choice")],
    Discriminator(
        _kind,
        custom_error_type="parameter_kind",
        custom_error_message="a parameter has one of float: [low, high], int: [low, high], choice: [values]",
    ),
]


class Budget(Config):
    """How much a search may spend, and how soon ASHA stops a trial."""

    trials: int = Field(20, ge=1)
    epochs: int = Field(20, ge=1, description="of a trial at full length")
    grace_epochs: int = Field(1, ge=1, description="the first rung: no trial is stopped earlier")
    reduction_factor: int = Field(3, ge=2, description="one in so many goes on to the next rung")


class Space(Config):
    """Parameters over a base configuration; keys of `parameters` are dotted paths after validation."""

    kind: Literal["space"] = "space"
    description: str = ""
    base: RunConfig = RunConfig()
    parameters: dict[str, AnyParameter] = Field(min_length=1)
    budget: Budget = Budget()

    @classmethod
    def load(cls, name: str | Path) -> "Space":
        """Read a YAML file, or one of the spaces that come with the package by its name.

        Raises:
            ConfigError: unknown, unreadable, or a rule is broken; one line.
        """
        path = Path(name)
        if not path.is_file():
            shipped = SPACES / f"{name}.yaml"
            if path.suffix or not shipped.is_file():
                known = ", ".join(sorted(file.stem for file in SPACES.glob("*.yaml")))
                raise ConfigError(f"there is no space {str(name)!r}: give a YAML file, or one of {known}")
            path = shipped
        return cls.parse(read_yaml(path))

    @classmethod
    def parse(cls, tree: Mapping[str, Any]) -> "Space":
        """Build from a mapping and try it out at its ends, so that no sample of it can break a rule of the RunConfig.

        Raises:
            ConfigError: one line.
        """
        space = parse(cls, tree)
        for sample in space.probes():
            try:
                space.apply(sample)
            except ConfigError as error:
                raise ConfigError(f"the space allows {sample}, which breaks a rule: {error}") from error
        return space

    @model_validator(mode="before")
    @classmethod
    def _dotted(cls, tree: Any) -> Any:
        if not isinstance(tree, Mapping) or not isinstance(tree.get("parameters"), Mapping):
            return tree
        parameters = {}
        for name, parameter in tree["parameters"].items():
            if isinstance(parameter, Mapping) and isinstance(parameter.get("when"), Mapping):
                when = {_path(other): value for other, value in parameter["when"].items()}
                parameter = {**parameter, "when": when}
            parameters[_path(name)] = parameter
        return {**tree, "parameters": parameters}

    @model_validator(mode="after")
    def _is_of_the_method(self) -> Self:
        if given := {"learning.epochs", "seed", "device", "data_dir"} & self.parameters.keys():
            said = "the search's own (--epochs, --seed, --device, --data-dir), the same for every trial"
            raise ValueError(f"{', '.join(sorted(given))} cannot be searched, but must be {said}: leave it out")
        return self

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
        """Whether a parameter exists, given those before it."""
        for other, wanted in self.parameters[path].when.items():
            if other not in sample or sample[other] not in (wanted if isinstance(wanted, list) else [wanted]):
                return False
        return True

    def apply(self, sample: Mapping[str, Value], base: RunConfig | None = None) -> RunConfig:
        """The configuration of a sample (dotted path -> value).

        Raises:
            ConfigError: the result breaks a rule.
        """
        return (base or self.base).replaced({path: _whole(value) for path, value in sample.items()})

    def read(self, config: RunConfig) -> Sample:
        """The sample that a configuration came from."""
        sample: Sample = {}
        for path in self.parameters:
            if self.active(path, sample):
                value: Any = config
                for part in path.split("."):
                    value = getattr(value, part)
                sample[path] = _flat(value)
        return sample

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


def _flat(value: Any) -> Any:
    """Samplers, studies and MLflow take no lists."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _whole(value: Value) -> Any:
    """`_flat` undone."""
    return json.loads(value) if isinstance(value, str) and re.fullmatch(r"\[.*\]", value) else value


def _path(name: str) -> str:
    known = aliases()
    if name in known:
        return known[name]
    if name in known.values():
        return name
    meant = difflib.get_close_matches(name, known, 1)
    mend = f"did you mean {meant[0]}?" if meant else f"its fields are {', '.join(known)}"
    raise ValueError(f"{name!r} is no field of a run's configuration; {mend}")
