"""`ffsnn simulate`: samplers and schedulers compared on recorded learning curves."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import Home, Trust, Use, at_least_one, check_page, console, write_page
from search.hints import command


def simulate(
    surface: Annotated[
        str, typer.Argument(help="a recorded surface: one that is shipped (digits, mnist, fashion_mnist), a file, or "
                                 "searches of one space that ran every trial to its end, as NAME[,NAME...]")
    ] = "digits",
    sampler: Annotated[str, typer.Option(help="samplers to compare, as NAME[,NAME...]")] = "random,tpe,forecast",
    scheduler: Annotated[str, typer.Option(help="schedulers to compare, as NAME[,NAME...]")] = "asha,promotion",
    seeds: Annotated[int, typer.Option(help="searches of each pair")] = 20,
    trials: Annotated[int, typer.Option(help="of a search")] = 100,
    slots: Annotated[int, typer.Option(help="trials at once")] = 1,
    objective: Annotated[
        str | None, typer.Option(help="what a search is after, or several with commas between (default: accuracy)")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="of several objectives: the hypervolume's reference point, such as 'accuracy>=80%' (default: "
                          "the worst recorded at full length)"),
    ] = None,
    spend: Annotated[
        int | None, typer.Option(help="epochs of a search, over all trials (default: as many as its trials take)")
    ] = None,
    experience: Annotated[
        str | None,
        typer.Option(metavar="NAME[,NAME...]|none", help="recorded surfaces that forecast has learnt from before "
                     "(default: those of other data sets)"),
    ] = None,
    grace_epochs: Annotated[int | None, typer.Option(help="the first rung (default: the surface's)")] = None,
    reduction_factor: Annotated[
        int | None, typer.Option(help="one in so many goes on to the next rung (default: the surface's)")
    ] = None,
    stop_when_found: Annotated[
        bool, typer.Option("--stop-when-found", help="end a search when it has found one of the best 1 %")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="page (.html) or Markdown (.md) (default: simulate-SURFACE.html)"),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="FILE", help="keep searches as one surface, in a file (.npz)")
    ] = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:  # fmt: skip
    """Compare samplers and schedulers on recorded curves.

    No training: minutes instead of days.
    """
    from dataclasses import replace

    from ffsnn.validation import ConfigError
    from search.objectives import DEFAULT
    from search.resolve import use_parts
    from search.settings import find_home
    from search.simulation import experiment
    from search.simulation.page import document
    from search.simulation.recorded import Answers
    from search.simulation.show import Progress, show
    from search.simulation.yardsticks import yardstick

    check_page(write)
    at_least_one(
        seeds=seeds,
        trials=trials,
        slots=slots,
        spend=spend,
        grace_epochs=grace_epochs,
        reduction_factor=reduction_factor,
    )
    use_parts(use, trust, find_home(home) if trust else None, *surface.split(","))
    found = experiment.surface_of(surface, lambda: find_home(home))
    if keep is not None:
        try:
            found.save(keep)
        except OSError as error:
            raise ConfigError(f"cannot write {keep}: {error.strerror}; choose another with --keep") from error
        console.print(f"kept: {keep} ({keep.stat().st_size / 1e6:.1f} MB), for: {command('simulate', keep)}")
    budget = {"grace_epochs": grace_epochs, "reduction_factor": reduction_factor}
    several = "," in (objective or DEFAULT)
    plan = experiment.Plan(
        objective=objective or DEFAULT, trials=min(trials, len(found.samples)), slots=slots, spend=spend,
        stop_at=max(round(0.01 * len(found.samples)), 1) - 1 if stop_when_found else None,
        budget={name: value for name, value in budget.items() if value is not None},
        reference=tuple(reference or ()), experience=experience,
    )  # fmt: skip
    if several and stop_when_found:
        raise ConfigError("--stop-when-found needs one objective: end searches of several with --spend EPOCHS")
    if plan.trials < trials:
        console.print(f"{found.name} has {plan.trials} configurations: --trials {plan.trials}")
    pairs, unable = experiment.pairs_of(sampler, scheduler, several)
    if unable:
        console.print(f"left out, for they do not take several objectives: {', '.join(unable)}")
    config, *_ = (experiment.config_of(found, pair, plan, 0) for pair in pairs)
    plan = replace(plan, objective=config.objective)
    answers = Answers(found, config.goals)
    yardstick(answers, config, plan.reference)  # refuses what cannot be measured
    with Progress(console, len(pairs) * seeds) as progress:
        done = experiment.run(found, pairs, plan, seeds, progress.step)
    told = document(answers, done, plan, config)
    show(told, console)
    file = write or Path(f"simulate-{Path(found.name).stem}.html")
    write_page(told, file)
    console.print(f"written: {file}")
