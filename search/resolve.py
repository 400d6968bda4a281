"""What a person asks for becomes a SearchConfig: a new search, or one that goes on."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ffsnn.datasets.folder import reading_from
from ffsnn.fields import assignments
from ffsnn.parts import own
from ffsnn.validation import ConfigError, parse
from search.config import SearchConfig, difference, name_from
from search.display.sentences import remark
from search.forecast.surface import Surface
from search.hints import command
from search.registries import SAMPLERS, SCHEDULERS
from search.settings import LOCAL, find_home, own_files, setting
from search.store.folder import SearchFolder, free_name
from spaces.fixing import fixed
from spaces.space import Space, names

TRIED = 1000  # configurations from within a space, to see whether any keeps a limit
COPIED = (  # settings that a search has of the one it is like; its name, its points and its places are its own
    "trials", "epochs", "concurrency", "gpus_per_trial", "time_budget", "objective", "limit", "sampler", "scheduler",
    "seed", "device", "retries", "max_failed", "patience",
)  # fmt: skip
AnySpace = str | Path | Mapping[str, Any] | Space


def requested(
    home: Path, space: AnySpace | None, name: str | None, resume: str | None, asked: dict[str, Any],
    fields: Mapping[str, Any] = MappingProxyType({}), like: str | None = None,
) -> tuple[SearchConfig, bool]:  # fmt: skip
    """The search that is asked for, and whether it is there already and goes on.

    Args:
        home: the `mlruns/` folder.
        space: name of a shipped space, a YAML file, a mapping as one holds, or a Space; None: mnist.
        name: of the search; one that is there goes on.
        resume: name of a search that goes on with its own space.
        asked: settings; those that are None are the stored search's, the space's, or the defaults;
            a place may be `local`.
        fields: dotted paths that are set in the space: they are searched no more.
        like: name of a search whose space and settings a new one has, but for what is asked for; its best points are
            tried first.

    Raises:
        ConfigError: no such search or space, a rule is broken, or what may not change would.
    """
    with reading_from(asked.get("data_dir")):
        if like is not None:
            return _alike(home, like, space, name, resume, asked, fields)
        return _requested(home, space, name, resume, asked, fields)


def _alike(
    home: Path, like: str, space: AnySpace | None, name: str | None, resume: str | None, asked: dict[str, Any],
    fields: Mapping[str, Any],
) -> tuple[SearchConfig, bool]:  # fmt: skip
    """A search as another one, with changes."""
    if space is not None or resume:
        raise ConfigError(
            "--like NAME has that search's own space: leave SPACE and --resume out, and name it by --name"
        )
    old = SearchFolder.open(home, like).config
    if name == old.name:
        raise ConfigError(f"--like {like} begins another search: choose another --name than {name}, or --resume {name}")
    settings: dict[str, Any] = {key: getattr(old, key) for key in COPIED if getattr(old, key) is not None}
    settings |= {"warm_start": () if asked.get("cold") else (old.name,)}
    settings |= {key: value for key, value in asked.items() if value is not None}
    if not {"sampler", "cold", "experience"} & {key for key, value in asked.items() if value is not None}:
        settings["experience"] = old.experience
    return _requested(home, old.space, name or free_name(home, old.name), None, settings, fields, old.space_name)


def _requested(
    home: Path, space: AnySpace | None, name: str | None, resume: str | None, asked: dict[str, Any],
    fields: Mapping[str, Any], space_name: str = "",
) -> tuple[SearchConfig, bool]:  # fmt: skip
    changes = {key: None if value == LOCAL else value for key, value in asked.items() if value is not None}
    if resume:
        if fields:
            raise ConfigError("--resume NAME goes on with that search's own space: leave --set out")
        if space or name:
            raise ConfigError("--resume NAME goes on with that search's own space: leave SPACE and --name out")
        old = SearchFolder.open(home, resume).config
        return _going_on(home, old, parse(SearchConfig, old.model_dump(mode="json") | changes)), True
    if isinstance(space, str | Path):
        _refuse_search(home, str(space))
    loaded, stem = _loaded("mnist" if space is None else space)
    if fields:
        loaded = fixed(loaded, fields)
    name = name or free_name(home, name_from(stem))
    fresh = {
        "name": name, "space": loaded.model_dump(mode="json"), "space_name": space_name or stem,
        "trials": loaded.budget.trials, "epochs": loaded.budget.epochs,
    }  # fmt: skip
    fresh |= {key: value for key in ("objective", "limit") if (value := getattr(loaded.budget, key))}
    if not SearchFolder.exists(home, name):
        sampler = str(changes.get("sampler") or SearchConfig.model_fields["sampler"].default)
        fresh["experience"] = usual_experience(sampler, bool(changes.get("cold")))
        config = _with_parts(parse(SearchConfig, fresh | changes))
        config.space.try_out(config.base)  # which has other epochs than the space's own
        Surface.refuse_unknown(config.experience)
        _can_be_kept(config)
        return config, False
    old = SearchFolder.open(home, name).config
    new = _with_parts(parse(SearchConfig, old.model_dump(mode="json") | fresh | changes))
    return _going_on(home, old, new), True


def usual_experience(sampler: str, cold: bool) -> tuple[str, ...]:
    """The recorded surfaces that a search begins with if none are asked for: all that are shipped, where its sampler
    takes any."""
    part = SAMPLERS.get(sampler)
    return tuple(Surface.shipped()) if part is not None and part.priors and not cold else ()


def _can_be_kept(config: SearchConfig) -> None:
    """Make sure that no limit works against an objective, and that some configuration keeps those that follow from it
    alone.

    Raises:
        ConfigError: one does; or none of many that were tried keeps them: the nearest is said.
    """
    for limit in config.goals.limits:
        good = {"maximize": ">=", "minimize": "<="}[limit.objective.direction]
        if limit.sign != good and limit.objective in config.goals.objectives:
            way = "larger" if good == ">=" else "smaller"
            raise ConfigError(
                f"{limit.objective.short} is an objective, the {way} the better, but got the limit {limit} against "
                f"it: write {limit.objective.short}{good}NUMBER, or leave one of them out"
            )
    if not any(limit.objective.by_config for limit in config.goals.limits):
        return
    tried = [*config.extremes(), *(config.space.apply(it, config.base) for it in config.space.draws(TRIED))]
    broken = [config.goals.broken(it) for it in tried]
    if all(broken):
        _, rule = min(filter(None, broken))
        raise ConfigError(f"no configuration of the space keeps its limits: {rule} is the nearest of {len(tried)}")


def _with_parts(config: SearchConfig) -> SearchConfig:
    """With the files of one's own parts that it names.

    Raises:
        ConfigError: a part is of no file, so that a trial's process would not know it.
    """
    own.refuse_without_file(config.parts_of_trials())
    files = own.files_of(config.named_parts())
    return config.model_copy(update={"parts": {file.name: file.sha256 for file in files}})


def use_parts(
    files: Iterable[str | Path] | None, trust: bool = False, home: Path | None = None, *searches: str | None
) -> None:
    """Import files of one's own parts, also those that `ffsnn.toml` names, and, where they are trusted, the copies in
    the folders of searches.

    Raises:
        ConfigError: as `ffsnn.use`.
    """
    for file in (*own_files(), *(files or ())):
        if not own.use(file).parts:
            remark(f"{file} registers no part, so nothing of it can be named")
    for name in searches:
        if trust and home is not None and name is not None and SearchFolder.exists(home, name):
            SearchFolder.open(home, name).trust_parts()


def with_data(space: AnySpace | None, dataset: str) -> Mapping[str, Any]:
    """A space as a mapping, on another data set.

    Raises:
        ConfigError: there is no such space, or it breaks a rule.
    """
    if isinstance(space, Mapping):
        tree = dict(space)
    else:
        tree = _loaded("mnist" if space is None else space)[0].model_dump(mode="json", exclude_defaults=True)
    base = dict(tree.get("base") or {})
    data = {key: value for key, value in (base.get("data") or {}).items() if key not in ("dataset", "train_images")}
    return tree | {"base": base | {"data": data | {"dataset": dataset}}}


def from_options(options: dict[str, Any]) -> tuple[Path, SearchConfig, bool]:
    """The home and the search that `ffsnn search` is asked for; each place as `search.settings` finds it.

    Raises:
        ConfigError: as `requested`.
    """
    home = find_home(options["home"])
    use_parts(options["use"], options["trust"], home, options["resume"] or options["like"] or options["name"])
    asked = {name: options[name] for name in options if name in SearchConfig.model_fields and name != "name"}
    asked |= {name: setting(name, options[name]) for name in ("address", "storage", "tracking_uri", "data_dir")}
    asked["limit"] = options["limit"] or None
    del asked["space"]
    fields = assignments(options["set_fields"] or ())
    named = (options["space"], options["name"], options["resume"])
    return home, *requested(home, *named, asked, fields, options["like"])


def places(home: Path, name: str, storage: str | None, tracking_uri: str | None) -> SearchConfig:
    """The configuration of a search that is there, with the places of its database and its MLflow server.

    Raises:
        ConfigError: there is none.
    """
    asked = {"storage": setting("storage", storage), "tracking_uri": setting("tracking_uri", tracking_uri)}
    return requested(home, None, None, name, asked)[0]


def _refuse_search(home: Path, space: str) -> None:
    """Refuse a search's name where a space is meant, with the options that take one."""
    if space not in names() and not Path(space).is_file() and SearchFolder.exists(home, space):
        goes_on, another = command("search", "--resume", space), command("search", "--like", space)
        raise ConfigError(f"{space!r} is a search, not a space: {goes_on} continues it, {another} begins another")


def _loaded(space: Any) -> tuple[Space, str]:
    """A space, and what it is called."""
    if isinstance(space, str | Path):
        return Space.load(space), Path(space).stem
    if isinstance(space, Space):
        return Space.parse(space.model_dump(mode="json")), "space"
    if isinstance(space, Mapping):
        return Space.parse(space), "space"
    said = f"{type(space).__name__} {space!r}"[:80]
    raise ConfigError(f"a space is a shipped one's name, a YAML file, a mapping or a Space, but got {said}")


def _going_on(home: Path, old: SearchConfig, new: SearchConfig) -> SearchConfig:
    longer = old.model_copy(update={"epochs": max(old.epochs, new.epochs)})
    if changed := difference(longer, new):
        raise ConfigError(f"search {old.name!r} goes on only as it was begun, but {changed}: choose another --name")
    there = sum(1 for _ in SearchFolder.open(home, old.name).trials())
    if new.trials < there:
        raise ConfigError(
            f"search {old.name!r} has {there} trials already, but got --trials {new.trials}: name {there}"
        )
    if new.epochs > old.epochs:
        _can_be_longer(old, new)
    return new


def _can_be_longer(old: SearchConfig, new: SearchConfig) -> None:
    """Make sure that trials of a search may be trained for more epochs than it began with.

    Raises:
        ConfigError: longer trials would be others, or its scheduler stops trials for good.
    """
    why = next((said for it in old.extremes() if (said := it.learning.set_by_length)), None)
    if why is None and not SCHEDULERS[old.scheduler].lengthens:
        why = f"the scheduler {old.scheduler} has stopped trials for good"
    if why is not None:
        raise ConfigError(
            f"search {old.name!r} has trials of epochs={old.epochs}, which cannot become {new.epochs}: {why}; begin "
            f"another search: {command('search', '--like', old.name, '--epochs', new.epochs)}"
        )
