"""What a search is: its name, its space, what it may spend and on what; and what of that may change when it goes on."""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from ffsnn.config import RunConfig
from ffsnn.fields import named_parts, registry_of
from ffsnn.parts.registry import Registry
from ffsnn.validation import Config
from search import objectives
from search.pareto.goals import Goals, canonical_limits
from search.registries import OBJECTIVES, SAMPLERS, SCHEDULERS
from search.settings import redacted, without_password
from spaces.parameter import Choice, Value
from spaces.space import Space

if TYPE_CHECKING:
    from search.objectives import Objective


class SearchConfig(Config):
    """A search: its name, its space, what it may spend and on what."""

    also: ClassVar[dict[str, str]] = {
        "workers": "concurrency", "num_workers": "concurrency", "jobs": "concurrency", "n_jobs": "concurrency",
        "parallel": "concurrency", "processes": "concurrency", "max_concurrent": "concurrency", "n_trials": "trials",
        "num_trials": "trials", "num_samples": "trials", "max_trials": "trials", "n_epochs": "epochs",
        "num_epochs": "epochs", "max_epochs": "epochs", "timeout": "time_budget", "time_limit": "time_budget",
        "max_time": "time_budget", "minutes": "time_budget", "metric": "objective", "optimize": "objective",
        "pruner": "scheduler", "algorithm": "sampler", "search_alg": "sampler", "gpus": "gpus_per_trial",
        "mlflow": "tracking_uri", "mlflow_uri": "tracking_uri", "database": "storage", "db": "storage",
        "max_retries": "retries", "constraint": "limit", "random_state": "seed", "random_seed": "seed",
        "gpu": "device", "cluster": "address", "ray_address": "address", "data": "data_dir", "study_name": "name",
        "experiment": "name", "warmstart": "warm_start",
    }  # fmt: skip
    name: str
    space: Space
    space_name: str = ""
    trials: int = Field(ge=1, description="trials in all; left out: the space's")
    epochs: int = Field(ge=1, description="epochs of a trial at full length; left out: the space's")
    concurrency: int | None = Field(None, ge=1, description="trials at once; left out: one a CPU, or a share of a GPU")
    gpus_per_trial: float | Literal["auto"] | None = Field(
        None, description="share of a GPU, e.g. 0.25; auto: as many as fit, by formula; left out: a whole one"
    )
    time_budget: float | None = Field(
        None, gt=0, description="minutes after which it stops, counted over resumes; with more it goes on"
    )
    objective: Annotated[str, objectives.Named()] = Field(
        objectives.DEFAULT, description="what the search is after; several with commas between"
    )
    limit: tuple[str, ...] = Field((), description="limits that trials are to meet, such as 'synops<=2e6'")
    sampler: Annotated[str, SAMPLERS] = Field("forecast", description="how the next point is suggested")
    scheduler: Annotated[str, SCHEDULERS] = Field(
        "promotion", description="which trials go on, and which are stopped early"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of the sampler and of every trial")
    device: str = Field("auto", description="auto, cpu or cuda")
    data_dir: str | None = Field(None, description="where data sets are kept")
    address: str | None = Field(None, description="of a Ray cluster, auto or HOST:PORT; left out: this machine")
    storage: str | None = Field(
        None, repr=False, description="database of the study, postgresql://...; left out: a file"
    )
    tracking_uri: str | None = Field(
        None, repr=False, description="of an MLflow server; left out: the store in mlruns/"
    )
    retries: int = Field(2, ge=0, description="of a trial whose process crashed or hung, before it is failed")
    max_failed: float = Field(
        0.5, ge=0, le=1, description="share of the ended trials that may have failed; with more the search stops"
    )
    patience: float = Field(30.0, gt=0, description="minutes that a trial may take for its first epoch")
    warm_start: tuple[str, ...] = Field((), description="earlier searches, whose best points are tried first")
    cold: bool = Field(
        False, description="begin with nothing: neither the space's points, nor the shipped presets, nor experience"
    )
    experience: tuple[str, ...] = Field((), description="recorded surfaces that the sampler has learnt from before")
    veto: bool = Field(True, description="end a trial whose network is dead after a tenth of its first epoch")
    first: tuple[dict[str, Value], ...] = Field((), description="points that are tried first")
    parts: dict[str, str] = Field({}, description="files of one's own parts that it needs, with the sha256 of each")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if wrong := problem_of_name(name):
            raise ValueError(wrong)
        return name

    @field_validator("warm_start", mode="before")
    @classmethod
    def _are_names(cls, names: Any) -> Any:
        """`"first, second"` as `("first", "second")`."""
        listed = names.split(",") if isinstance(names, str) else names
        if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
            raise ValueError(f"must be names of searches, such as 'first,second', but got {names!r}")
        return tuple(dict.fromkeys(stripped for name in listed if (stripped := name.strip())))

    @field_validator("experience", mode="before")
    @classmethod
    def _are_surfaces(cls, names: Any) -> Any:
        """`"digits, mnist"` as `("digits", "mnist")`, and `none` as ()."""
        if not isinstance(names, str):
            return names
        return () if names == "none" else tuple(dict.fromkeys(name.strip() for name in names.split(",")))

    @model_validator(mode="after")
    def _sampler_has_experience(self) -> Self:
        if self.experience and not SAMPLERS[self.sampler].priors:
            able = [name for name, part in SAMPLERS.items() if part.priors]
            raise ValueError(
                f"experience needs a sampler that takes it ({', '.join(able)}), but got sampler={self.sampler}"
            )
        return self

    @field_validator("limit")
    @classmethod
    def _are_limits(cls, limits: tuple[str, ...]) -> tuple[str, ...]:
        return canonical_limits(limits)

    @model_validator(mode="after")
    def _goals_are_taken(self) -> Self:
        """A sampler and a scheduler must be able to look at several objectives, or at limits."""
        if self.goals.is_plain:
            return self
        asked = "several objectives" if len(self.goals.objectives) > 1 else "limits"
        for kind, registry, name in (("sampler", SAMPLERS, self.sampler), ("scheduler", SCHEDULERS, self.scheduler)):
            able: list[str] = [it for it, part in registry.items() if part.several]
            if name not in able:
                raise ValueError(f"{asked} need a {kind} that takes them ({', '.join(able)}), but got {kind}={name}")
        return self

    @field_validator("gpus_per_trial", mode="before")
    @classmethod
    def _is_a_share(cls, asked: Any) -> Any:
        if asked is None or asked == "auto":
            return asked
        try:
            gpus = float(asked)
        except (TypeError, ValueError):
            gpus = -1.0
        if not (0.01 <= gpus <= 1 or (gpus >= 0 and gpus.is_integer())):
            raise ValueError(f"must be auto, a share of a GPU (0.01 to 1) or a whole number, but got {asked}")
        return gpus

    @field_validator("device")
    @classmethod
    def _is_not_one_card(cls, device: str) -> str:
        if device.startswith("cuda:"):
            raise ValueError(
                f"must be auto, cpu or cuda in a search, where Ray hands out the cards, but got {device}: "
                f"choose cards with CUDA_VISIBLE_DEVICES"
            )
        return device

    @field_validator("storage")
    @classmethod
    def _is_a_database(cls, storage: str | None) -> str | None:
        if storage and not re.match(r"postgresql(\+psycopg2?)?://[^/]*/.|sqlite:////.", storage):
            said = "must look like postgresql://user@host/database (or sqlite:////a/path/study.db)"
            raise ValueError(f"{said}, but got {redacted(storage)}")
        return storage

    @field_validator("address")
    @classmethod
    def _is_a_cluster(cls, address: str | None) -> str | None:
        if address and address.startswith("ray://"):
            raise ValueError(f"must be auto, HOST:PORT or local, but got {address}: run ffsnn on that host")
        if address and address != "auto" and not re.match(r"(\[.+\]|[^/:\s]+):\d+$", address):
            raise ValueError(f"must be auto, HOST:PORT or local, but got {address}")
        return address

    @field_serializer("storage", "tracking_uri")
    def _public(self, address: str | None) -> str | None:
        """Passwords are never written."""
        return without_password(address) if address else address

    @property
    def rungs(self) -> tuple[int, int]:
        """ASHA's first rung and its reduction factor."""
        return min(self.space.budget.grace_epochs, self.epochs), self.space.budget.reduction_factor

    @property
    def milestones(self) -> list[int]:
        """Epochs at which the scheduler compares trials."""
        return SCHEDULERS[self.scheduler].milestones(self)

    @property
    def goal(self) -> "Objective":
        """The objective that is named, the first one of several."""
        return self.goals.objectives[0]

    @property
    def goals(self) -> Goals:
        """All objectives, and the limits."""
        return Goals.parse(self.objective, self.limit)

    def named_parts(self) -> Iterator[tuple[Registry[Any], str]]:
        """The parts that it names."""
        yield from ((SAMPLERS, self.sampler), (SCHEDULERS, self.scheduler))
        yield from self.parts_of_trials()

    def parts_of_trials(self) -> Iterator[tuple[Registry[Any], str]]:
        """The parts that its trials' processes need: objectives, the base's, and those that its space may choose."""
        yield from ((OBJECTIVES, it.name) for it in self.goals.measured)
        yield from named_parts(self.space.base)
        for path, parameter in self.space.parameters.items():
            if isinstance(parameter, Choice) and (registry := registry_of(path)) is not None:
                yield from ((registry, str(name)) for name in parameter.choice)

    def extremes(self) -> Iterator[RunConfig]:
        """Configurations at the ends of the space: the largest trial is among them."""
        base = self.base
        return (self.space.apply(sample, base) for sample in self.space.probes())

    @property
    def base(self) -> RunConfig:
        """The configuration of every trial, but for its sample."""
        return self.space.base.replaced(
            {"learning.epochs": self.epochs, "seed": self.seed, "device": self.device, "data_dir": self.data_dir}
        )


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST_NAME = 200  # characters: it is a folder's, a study's, a registered model's, and a part of a tag


def problem_of_name(name: str) -> str | None:
    """Reason why a text cannot be a search's name; None: it can."""
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return None
    shown = name if len(name) <= 40 else f"{name[:40]}... ({len(name)} characters)"
    return (
        f"must have letters and digits of ASCII, '.', '_' and '-' alone, {LONGEST_NAME} at most, the first a letter or "
        f"digit, but got {shown!r}"
    )


def name_from(text: str) -> str:
    """A search's name that is near to a text, such as a file's: `my-space` of `my space`, `Grosse` of `Größe`."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-._")[: LONGEST_NAME // 2] or "search"


MAY_CHANGE = {  # when a search goes on; epochs may grow where a longer trial begins with the same (`search.resolve`)
    "trials", "concurrency", "gpus_per_trial", "time_budget", "data_dir", "address", "storage", "tracking_uri",
    "retries", "max_failed", "patience",
}  # fmt: skip


def difference(old: SearchConfig, new: SearchConfig) -> str | None:
    """Changes that a search would make when it goes on, but may not; None: it makes none."""
    return "; ".join(f"{path}={before} became {after}" for path, before, after in differences(old, new)) or None


def differences(old: SearchConfig, new: SearchConfig) -> list[tuple[str, str, str]]:
    """Settings that differ and may not change when a search goes on: path, old value, new value."""
    leaves = _leaves(old.model_dump(mode="json"), new.model_dump(mode="json"))
    return [(path, _shown(before), _shown(after)) for path, before, after in leaves if path not in MAY_CHANGE]


def _leaves(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The places where two trees differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _leaves(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)
