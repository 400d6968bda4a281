"""The champion: a retraining's best network in the model registry, as a version of the model that is named like its
search, where it is no worse than the one before."""

from typing import TYPE_CHECKING

from ffsnn.training.epoch_metrics import SINGLE_PRECISION
from ffsnn.validation import ConfigError
from search import names, settings
from search.hints import command
from search.registries import OBJECTIVES
from search.retrain.model_version import version_of, version_of_final
from search.retrain.registered import champion_of, ours
from search.tracking.store import write

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from search.retrain.folder import RetrainFolder
    from search.retrain.runs import RetrainExporter
    from search.retrain.verdict import RetrainResult
    from search.tracking.run_exporter import RunExporter


def register(exporter: "RetrainExporter", result: "RetrainResult", force: bool) -> str:
    """Make the winner's best network a version, once; and the champion, if it is no worse or `force`d. What was done.

    Of a front the cheapest is made one, too, and gets its alias with the champion.

    Raises:
        ConfigError: the model of that name is another project's.
    """
    client, folder = exporter.client, exporter.folder
    name = folder.search.name
    if ours(client, name) is None:
        client.create_registered_model(
            name,
            {names.TAG_KIND: names.CHAMPION},
            f"The best network of the search {name}, retrained with several seeds.",
        )
    mine = version_of(exporter, result, result.winner, result.best_seed)
    said = f"models:/{name}/{mine.version} (seed {result.best_seed} of trial {result.winner.trial})"
    if not force and (stays := _present_one_stays(client, mine, folder, result)):
        return f"registered: {said}; {stays} (--force replaces it)"
    client.set_registered_model_alias(name, names.CHAMPION, mine.version)
    trusted = ("--trust",) if folder.search.own_parts else ()
    told = f"champion: {said}; use it with:\n{uses(name, client.tracking_uri, exporter.uri, trusted)}"
    if result.front is None:
        return told
    point = result.front.point(result.front.cheapest)
    ranked = next(it for it in result.ranking if it.trial == point.trial)
    other = version_of(exporter, result, ranked, point.best_seed)
    client.set_registered_model_alias(name, names.CHEAPEST, other.version)
    return (
        f"{told}\ncheapest: models:/{name}/{other.version} (seed {point.best_seed} of trial {point.trial}): the same "
        f"with @{names.CHEAPEST}"
    )


def register_final(exporter: "RunExporter", folder: "RetrainFolder", result: "RetrainResult", force: bool) -> str:
    """Make the network of a final fit a version, once; and the champion, if what it follows is no worse or `force`d.

    Raises:
        ConfigError: the model of that name is another project's.
    """
    client, name = exporter.client, folder.search.name
    if ours(client, name) is None:
        raise ConfigError(f"there is no model {name!r}: the same command without --final registers the winner first")
    mark = {names.TAG_RETRAIN_OF: name, names.TAG_ID: folder.search.id or "", names.TAG_NAME: f"{name}/{names.FINAL}"}
    write(client, exporter.run, tags=mark)  # by which it is renamed and deleted with the search
    mine = version_of_final(exporter, folder, result)
    said = f"models:/{name}/{mine.version} (final fit, {exporter.config.final_fit})"
    if not force and (stays := _present_one_stays(client, mine, folder, result)):
        return f"registered: {said}; {stays} (--force replaces it)"
    client.set_registered_model_alias(name, names.CHAMPION, mine.version)
    return f"champion: {said}"


def _present_one_stays(
    client: "MlflowClient", mine: "ModelVersion", folder: "RetrainFolder", result: "RetrainResult"
) -> str:
    """`version 3 stays the champion: ...`; empty: a new version becomes it."""
    before = champion_of(client, mine.name)
    if before is None or before.version == mine.version:
        return ""
    why = _why_it_stays(before, folder, result)
    return why and f"version {before.version} stays the champion: {why}"


def _why_it_stays(before: "ModelVersion", folder: "RetrainFolder", result: "RetrainResult") -> str:
    """Why the present champion is not replaced by the winner; empty: the winner is no worse.

    Args:
        before: the present champion.
        folder: the retraining.
        result: with the winner.
    """
    if names.TAG_VALIDATION not in before.tags:
        return "it is no retrained network"
    if names.TAG_FINAL in before.tags and before.tags[names.TAG_RETRAIN] == folder.name:
        return "it is the final fit of the same retraining"
    goal = folder.search.config.goal.name  # by which it was chosen, where it does not say: an earlier ffsnn's
    mean, its = result.winner.mean, float(before.tags[names.TAG_VALIDATION])
    assert mean is not None
    objective, by = OBJECTIVES[result.objective], before.tags.get(names.TAG_OBJECTIVE, goal)
    if by != objective.name:
        return f"it was chosen by {by}, this one by {objective.name}, which do not compare"
    if objective.cost(mean) > objective.cost(its) + SINGLE_PRECISION * abs(its):
        return f"{objective.title} {objective.show(its)}, against {objective.show(mean)}"
    return ""


def uses(name: str, store: str, server: str | None, trusted: tuple[str, ...] = ()) -> str:
    """The lines that use a champion, to be pasted: into a shell, and into Python, where MLflow has to be told which
    store is meant.

    Args:
        name: of the model.
        store: address of the store that has it.
        server: the same, where it is not the local one.
        trusted: the option that lets its own parts run, where it has some.
    """
    model = f"models:/{name}@{names.CHAMPION}"
    at = ("--tracking-uri", settings.without_password(server)) if server else ()
    return (
        f"  {command('predict', model, 'image.png', *at, *trusted)}\n"
        f"  import mlflow; mlflow.set_tracking_uri({settings.without_password(store)!r})\n"
        f"  mlflow.pyfunc.load_model({model!r}).predict(images.astype(float))  # rows of pixels in 0..255"
    )
