"""What a person reads of `benchmarks.gpu_parts`, beside the targets for an H100."""

import statistics
from collections.abc import Callable, Iterator

from rich.table import Table

from benchmarks.gpu_parts import Found
from benchmarks.speed import AS_WRITTEN

Shown = Iterator[Table | str]


def columns(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    return table


def machine(found: Found) -> Shown:
    yield (
        f"{found['card']}, driver {found['driver']}, torch {found['torch']}: products "
        f"{found['float32_gflops']:,.0f} GFLOP/s float32, {found['bfloat16_gflops']:,.0f} bfloat16; "
        f"copy {found['copy_gb_s']:,.0f} GB/s"
    )


def speeds(found: Found) -> Shown:
    for name, one in found.items():
        table = columns(
            f"({name.lower()}) {one['what']}", "", "training images/s", "x notes' loop", "of the floor",
            "prediction images/s", "x notes' loop", "of the floor", "ms a step", "peak MiB",
        )  # fmt: skip
        systems = {system: it for system, it in one.items() if isinstance(it, dict)}
        notes = systems["notes' loop"]
        for system, it in systems.items():
            cells = []
            for what, floor in (("train_images_s", "training_floor"), ("predict_images_s", "prediction_floor")):
                share = f"{it[floor]['share']:.1%}" if floor in it else ""
                cells += [f"{it[what]:,.0f}", f"{it[what] / notes[what]:,.1f}", share]
            table.add_row(system, *cells, f"{it['step_ms']:,.3f}", f"{it['memory_mib']:,.0f}")
        yield table
        core, written = (systems[name]["train_images_s"] for name in ("ffsnn bfloat16", AS_WRITTEN))
        yield f"trains {core / written:,.0f} times as fast as the notes' loop as written"
    yield "targets at (a): 2,000,000 training images/s, 30% of the floor, 500 times the notes' loop"


def epoch(found: Found) -> Shown:
    train, whole = (statistics.median(found[name]) for name in ("training_ms", "with_validation_ms"))
    yield (
        f"an epoch of {found['images']:,} images: {train:,.1f} ms, {whole:,.1f} ms with its validation "
        f"(target: under 40 ms)"
    )


def target(found: Found) -> Shown:
    test, seconds = ([seed[name] for seed in found["seeds"]] for name in ("test", "seconds"))
    yield (
        f"{found['preset']}: test accuracy {statistics.mean(test):.2%} ({', '.join(f'{it:.2%}' for it in test)}) "
        f"after {statistics.mean(seconds):.1f} s of training (target: 98.5% within 30 s)"
    )


def agreement(found: Found) -> Shown:
    here, cpu = (", ".join(f"{it:.2%}" for it in found[name]) for name in ("here", "cpu"))
    verdict = "within noise" if found["noise"] else "more than noise"
    yield (
        f"{found['preset']}, test accuracy: {here} here, {cpu} on the CPU; "
        f"{100 * found['difference']:+.2f} points, {verdict}"
    )


def searches(found: Found) -> Shown:
    table = columns(
        "Search (target: orchestration under 20%)", "at once", "trials", "wall, s", "trials an hour", "GPU busy",
        "first end, s", "training alone, s", "orchestration", "once running",
    )  # fmt: skip
    for number, it in found.items():
        busy = "-" if it["busy_share"] is None else f"{it['busy_share']:.0%}"
        table.add_row(
            number, str(it["trials"]), f"{it['wall_s']:.1f}", f"{it['trials_an_hour']:,.0f}", busy,
            f"{it['first_end_s']:.1f}", f"{it['training_alone_s']:.1f}", f"{it['orchestration']:.0%}",
            f"{it['orchestration_running']:.0%}",
        )  # fmt: skip
    yield table


SHOWN: dict[str, Callable[[Found], Shown]] = {
    "machine": machine, "speed": speeds, "epoch": epoch, "target": target, "agreement": agreement, "search": searches,
}  # fmt: skip
