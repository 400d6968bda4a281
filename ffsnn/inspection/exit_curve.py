"""The curve of early exit as a picture: accuracy over mean steps, and over synaptic operations."""

from matplotlib.figure import Figure

from ffsnn.inference.exits import Exits
from ffsnn.inspection.pictures import INK, NEGATIVE, POSITIVE


def exit_curve(found: Exits) -> Figure:
    """Accuracy of every threshold; the chosen one and that of all T steps are marked."""
    figure = Figure(figsize=(9.2, 4.0), layout="constrained")
    figure.suptitle(f"Early exit on validation images: margin {found.chosen.threshold:.4g} is chosen", fontsize=13)
    panels = figure.subplots(1, 2, sharey=True)
    accuracies = [100 * it.accuracy for it in found.points]
    for axes, name, field in (
        (panels[0], "mean time steps", "steps"),
        (panels[1], "synaptic operations a sample", "operations"),
    ):
        axes.plot([getattr(it, field) for it in found.points], accuracies, ".-", color=POSITIVE)
        for one, mark, colour, said in ((found.chosen, "o", NEGATIVE, "chosen"), (found.full, "s", INK, "all steps")):
            axes.plot(getattr(one, field), 100 * one.accuracy, mark, color=colour, markersize=8, label=said)
        axes.set_xlabel(name)
    panels[0].set_ylabel("accuracy (%)")
    panels[0].legend()
    return figure
