"""Commands that run a search, or check what it will use: `ffsnn search | doctor`."""

import inspect
from typing import Annotated

import typer

from search.cli import completion
from search.cli.options import (
    FAULTS,
    SPENT,
    WHAT,
    WHERE,
    DataDir,
    Home,
    SetFields,
    Trust,
    Use,
    console,
    field,
)
from search.display.loading import loading
from search.hints import command
from search.signals import held_back


def search(
    context: typer.Context,
    space: Annotated[
        str | None,
        typer.Argument(
            help="name of a shipped space, or a YAML file (default: mnist)", autocompletion=completion.spaces
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="of the search; if one of this name exists, it continues (default: SPACE-1, or the next free number)",
            rich_help_panel=WHAT,
            autocompletion=completion.searches,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="go on with a search that was stopped",
            rich_help_panel=WHAT,
            autocompletion=completion.searches,
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=WHAT,
            autocompletion=completion.searches,
            help="begin another search with the space and the settings of this one, but for what else is asked for; "
            "its best points are tried first",
        ),
    ] = None,
    set_fields: SetFields = None,
    objective: Annotated[str | None, field("objective", WHAT, "NAME[,NAME...]")] = None,
    limit: Annotated[list[str] | None, field("limit", WHAT, "NAME<=NUMBER|NAME>=NUMBER")] = None,
    sampler: Annotated[str | None, field("sampler", WHAT)] = None,
    scheduler: Annotated[str | None, field("scheduler", WHAT)] = None,
    seed: Annotated[int | None, field("seed", WHAT)] = None,
    warm_start: Annotated[str | None, field("warm_start", WHAT, "NAME[,NAME...]")] = None,
    cold: Annotated[bool | None, field("cold", WHAT)] = None,
    experience: Annotated[str | None, field("experience", WHAT, "NAME[,NAME...]|none")] = None,
    trials: Annotated[int | None, field("trials", SPENT)] = None,
    epochs: Annotated[int | None, field("epochs", SPENT)] = None,
    time_budget: Annotated[float | None, field("time_budget", SPENT)] = None,
    concurrency: Annotated[int | None, field("concurrency", SPENT)] = None,
    gpus_per_trial: Annotated[str | None, field("gpus_per_trial", SPENT)] = None,
    device: Annotated[str | None, field("device", WHERE)] = None,
    address: Annotated[str | None, field("address", WHERE)] = None,
    storage: Annotated[str | None, field("storage", WHERE)] = None,
    tracking_uri: Annotated[str | None, field("tracking_uri", WHERE)] = None,
    data_dir: DataDir = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
    retries: Annotated[int | None, field("retries", FAULTS)] = None,
    max_failed: Annotated[float | None, field("max_failed", FAULTS)] = None,
    patience: Annotated[float | None, field("patience", FAULTS)] = None,
    force: Annotated[
        bool, typer.Option("--force", help="go on although torch or spikingjelly differ", rich_help_panel=FAULTS)
    ] = False,
) -> None:
    """Search a space; Ctrl-C stops it, and --resume NAME goes on.

    The same command with the same --name goes on, too.
    """
    with loading(console), held_back():  # from numerical libraries' threads, which would hear what Ray answers
        from search.display.summary import summary
        from search.launch import launch
        from search.resolve import from_options
        from search.store.folder import SearchFolder

    mlruns, config, goes_on = from_options(context.params)
    outcome = launch(mlruns, config, console, resume=goes_on, force=force)
    folder = SearchFolder.open(mlruns, config.name)
    summary(folder, console)
    console.print(f"results: {folder.path}")
    if outcome.code:
        mend = "" if outcome.code == 2 else f"; {folder.how_to_go_on()}"
        console.print(f"stopped: {outcome.reason}{mend}")
        raise typer.Exit(outcome.code)
    if outcome.reason:
        console.print(f"{outcome.reason}; {folder.how_to_go_on()}")
    console.print(f"next: {command('best', config.name)}")
    console.print(f"  or: {command('report', config.name)}")


def doctor(context: typer.Context, report: bool = False, **options: object) -> None:
    """Check all that a search of the same options will use.

    Nodes, home, data, servers; it starts nothing.
    """
    if report:
        from search.cluster.issue_report import issue_report

        print(issue_report())
        return
    from search.cluster.doctor import examine, refusal, show
    from search.resolve import from_options

    mlruns, config, _ = from_options(context.params)
    lines = examine(mlruns, config)
    show(lines, console)
    if refusal(lines):
        raise typer.Exit(1)
    console.print("all is well")


ForAnIssue = Annotated[
    bool, typer.Option("--report", help="print versions, machine and settings for the report of a defect, and end")
]
its_report = inspect.Parameter("report", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=ForAnIssue)
of_search = inspect.signature(search)  # doctor takes the options of a search
doctor.__signature__ = of_search.replace(parameters=[*of_search.parameters.values(), its_report])  # type: ignore[attr-defined]
doctor.__annotations__ = search.__annotations__ | {"report": ForAnIssue}
