"""Commands that look after searches: `ffsnn list | status | stop | rename | delete | prune-disk`."""

import json
from typing import Annotated

import typer

from ffsnn.validation import ConfigError
from search.cli import completion
from search.cli.options import WHERE, Home, Name, TrackingUri, Trust, Use, console, field

Json = Annotated[bool, typer.Option("--json", help="as JSON")]
Storage = Annotated[str | None, field("storage", WHERE)]


def list_(as_json: Json = False, home: Home = None) -> None:
    """List all searches: state, trials, best, size, age.

    The best of one that was retrained is a mean over seeds, with its interval.
    """
    from search.hints import command
    from search.resolve import use_parts
    from search.settings import find_home
    from search.tracking import orphans
    from search.upkeep.listing import listed, tables

    mlruns = find_home(home)
    use_parts(None)
    found = listed(mlruns)
    if as_json:
        print(json.dumps([search.json() for search in found], indent=2))
        return
    for table in tables(found, console):
        console.print(table)
    if not found:
        console.print(f"there is no search in {mlruns} yet: begin one by {command('search')}")
    if left := orphans.remark(mlruns):
        console.print(left)


def status(name: Name, as_json: Json = False, home: Home = None, use: Use = None, trust: Trust = False) -> None:
    """Show how a search stands, also while it runs.

    Each trial, what ended last, and the line that its driver shows.
    """
    from search.resolve import use_parts
    from search.settings import find_home
    from search.store.folder import SearchFolder
    from search.upkeep.status import Status

    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name)
    found = Status(SearchFolder.open(mlruns, name))
    if as_json:
        print(json.dumps(found.json(), indent=2))
        return
    for table in found.tables(console):
        console.print(table)
    console.print(found.line())
    for line in found.next():
        console.print(line)


def stop(name: Name, home: Home = None) -> None:
    """Stop a search that runs on this machine, as Ctrl-C does.

    Its process is asked to, and waited for.
    """
    from search.hints import command
    from search.settings import find_home
    from search.store.folder import SearchFolder
    from search.upkeep import stopping

    search = SearchFolder.open(find_home(home), name)
    for stopped in stopping.stop(search, console.print):
        mend = command("search", "--resume", name) if stopped.path == search.path else "the same ffsnn retrain"
        console.print(f"stopped; go on with: {mend}")


def rename(
    name: Name, new: Annotated[str, typer.Argument(help="its new name")],
    storage: Storage = None, tracking_uri: TrackingUri = None, home: Home = None,
    use: Use = None, trust: Trust = False,
) -> None:  # fmt: skip
    """Rename a search, in its folder, MLflow and the database."""
    from search.resolve import places, use_parts
    from search.settings import find_home
    from search.upkeep import naming

    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name)
    search = naming.rename(mlruns, places(mlruns, name, storage, tracking_uri), new, console.print)
    console.print(f"renamed: {search.path}")


def delete(
    name: Name, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    storage: Storage = None, tracking_uri: TrackingUri = None, home: Home = None,
    use: Use = None, trust: Trust = False,
) -> None:  # fmt: skip
    """Delete a search for good: folder, runs, model, study."""
    from search.resolve import places, use_parts
    from search.settings import find_home
    from search.store.folder import SearchFolder
    from search.tracking import orphans
    from search.upkeep import removal
    from search.upkeep.stopping import refuse_running

    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name)
    there = SearchFolder.exists(mlruns, name)
    if there:
        search = SearchFolder.open(mlruns, name)
        refuse_running(search, "delete it")
        config, what = places(mlruns, name, storage, tracking_uri), removal.what_goes(search)
    elif name in orphans.gone(mlruns):
        what = f"the runs and artifacts of {name} in MLflow; its folder is gone"
    else:
        SearchFolder.open(mlruns, name)  # says that there is none
        raise ConfigError(f"there is no search {name!r}")
    if not yes and not typer.confirm(f"delete {what}?"):
        raise typer.Exit(1)
    if there:
        removal.delete(mlruns, config, console.print)
    else:
        removal.delete_orphan(mlruns, name, console.print)


def prune_disk(
    name: Annotated[
        str | None, typer.Argument(help="of a search (default: all)", autocompletion=completion.searches)
    ] = None,
    home: Home = None,
) -> None:
    """Delete checkpoints of ended trials; no result is lost.

    Locks, empty output and Ray Tune's own folder go, too.
    """
    from search.settings import find_home
    from search.store.folder import SearchFolder, all_searches
    from search.upkeep.listing import megabytes
    from search.upkeep.pruning import prune

    mlruns = find_home(home)
    total = 0
    for search in [SearchFolder.open(mlruns, name)] if name else all_searches(mlruns):
        trials, freed = prune(search)
        total += freed
        if trials or freed:
            console.print(f"{search.name}: {megabytes(freed)} freed, of {trials} trials")
    console.print(f"{megabytes(total)} freed in all")
