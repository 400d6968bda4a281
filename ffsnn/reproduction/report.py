"""`ffsnn reproduce`: the method notes' results and ours side by side, and what had to be assumed."""

import statistics
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ffsnn import atomic
from ffsnn.config.data import DataConfig
from ffsnn.datasets.data import load, load_test
from ffsnn.datasets.dataset import Images
from ffsnn.datasets.folder import Folder
from ffsnn.reproduction.method import FORMULAS, GROUPS, NOTES, Group, theta_matters
from ffsnn.reproduction.table import PROCESSES, RECIPE_LINE, ResultFolder, Setting, Task, make_told
from ffsnn.validation import ConfigError

MARKDOWN = "seed_table.md"  # written into the results' folder

ASSUMPTIONS = """\
Ours: mean and standard deviation over the seeds; train: the batch of 64 trained on; test 64: the first 64 test images,
as the notes had it.
Where the notes are silent or contradict themselves, we took:
- Groups 1-2: formula 1 as it stands in the text, log(exp(theta - g+)) + log(exp(g- - theta)). Group 3: "changed to
  log(1 + exp)", taken at its word. Groups 4-8: what the code computes, log(1 + (1 + exp)).
- Groups 6-7 ("loss 2"): the last layer learns mean squared error between the positive samples' rates and the one-hot
  true label; the code has the line commented out, and no y reaches it. The hidden layer learns by groups 4-8's formula.
- "epochs" are iterations on the one batch, 100 a layer, layer after layer. Surrogates have SpikingJelly's defaults.
- The notes' figures are single runs. One image of 64 is 1.6 points, so some (9.94, 78.79) cannot be of one batch."""


def header(seeds: int) -> str:
    return f"The notes' results and ours, {seeds} seed{'s' if seeds > 1 else ''}, accuracies in %"


COLUMNS = (
    "group", "network, neuron, loss, goodness, prediction", "notes\ntrain", "notes\ntest", "ours\ntrain",
    "ours\ntest 64", "ours\ntest all",
)  # fmt: skip


def rows(seeds: int, folder: ResultFolder) -> list[list[str]]:
    """The table's cells, a row a group, then this project's; what is missing is a dash."""
    table = []
    for group in GROUPS:
        noted = (f"{100 * accuracy:.4g}" for accuracy in (group.noted_train, group.noted_test))
        table.append([str(group.number), describe(group), *noted, *figures(group.number, seeds, folder)])
    if recipe := folder.setting.recipe:
        network = recipe.network
        how = [layers(network.widths), network.surrogate, recipe.learning.loss, network.goodness, "goodness"]
        table.append(["ffsnn", ", ".join(how), "", "", *figures(RECIPE_LINE, seeds, folder)])
    return table


def render(seeds: int, folder: ResultFolder) -> Table:
    """For a terminal."""
    table = Table(title=header(seeds))
    for number, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if number > 1 else "left", no_wrap=number > 1)
    for row in rows(seeds, folder):
        table.add_row(*row, end_section=row[0] == str(len(GROUPS)))
    return table


def markdown(seeds: int, folder: ResultFolder, notes: str) -> str:
    """For a document: the table, and the footnotes under it."""
    lines = [COLUMNS, ["---"] * 2 + ["---:"] * (len(COLUMNS) - 2), *rows(seeds, folder)]
    table = "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)
    return f"# {header(seeds)}\n\n{table}\n\n{notes}\n"


def layers(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, (784, *widths)))


def describe(group: Group) -> str:
    loss = "MSE output over " * group.mse_output + group.formula
    return (
        f"{layers(group.widths)}, v_th {group.v_threshold:g}, theta {group.theta:g}, {group.surrogate}, {loss}, "
        f"{group.goodness}, {group.prediction.replace('_', ' ')}"
    )


def figures(line: int, seeds: int, folder: ResultFolder) -> list[str]:
    """Mean and spread of the three accuracies of a line."""
    results = [result for seed in range(seeds) if (result := folder.read(Task(line, seed)))]
    if len(results) < seeds:
        return ["-"] * 3
    columns = zip(*((r.train, r.test_batch, r.test_all) for r in results), strict=True)
    return [
        f"{100 * statistics.mean(column):.1f}" + (f" ±{100 * statistics.stdev(column):4.1f}" if seeds > 1 else "")
        for column in columns
    ]


def footnotes(setting: Setting, train: Images) -> str:
    """The assumptions, what theta does, and what the ninth line is."""
    batch = train[torch.arange(NOTES.batch)]
    moved = {formula: theta_matters(formula, batch) for formula in FORMULAS}
    lines = [
        ASSUMPTIONS,
        "Theta cancels in formula 1: log(exp(theta - g+)) + log(exp(g- - theta)) = g- - g+. Computed on group 2's",
        "untrained layer, theta 0.35 against 0.5 moves the gradient of a weight by at most (share of the largest):",
        "  "
        + ", ".join(f"{formula} {share:.1e}" for formula, share in moved.items())
        + " (1e-7 is float32's rounding).",
    ]
    if recipe := setting.recipe:
        lines.append(
            f"ffsnn: the same widths with this project's method: {recipe.data.trained_on:,} training images (its train "
            f"column is all of them), T={recipe.network.T}, {recipe.learning.epochs} epochs,\n"
            "the best one by validation; both layers are forward-forward, stepped together, and goodness decides."
        )
    return "\n".join(lines)


def reproduce(
    seeds: int, out: Path, data_dir: Folder, console: Console, setting: Setting, processes: int = PROCESSES
) -> None:
    """`ffsnn reproduce`: make what is missing, then print the table.

    Raises:
        ConfigError: `seeds` is below 1, the folder cannot be written, or the data cannot be had.
        ProcessDied: a process was killed; the same command goes on.
    """
    if seeds < 1:
        raise ConfigError(f"seeds >= 1 must hold, but got {seeds}")
    folder = ResultFolder(out, setting)
    folder.create()
    train = load(DataConfig(), 0, data_dir).train
    load_test(DataConfig(), data_dir)  # here, so that what is missing is said once and early
    make_told(range(seeds), folder, data_dir, processes, console)
    notes = footnotes(folder.setting, train)
    console.print(render(seeds, folder))
    console.print(notes)
    atomic.write(out / MARKDOWN, markdown(seeds, folder, notes))
