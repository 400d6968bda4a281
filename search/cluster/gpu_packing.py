"""How many trials share a card: measured with processes that train as trials do (`search.cluster.packing_worker`).

One process alone, then 2, 4, ... at once, as long as they fit and all together still gain a tenth. What a trial takes
of the card is what is free less once one more process has trained an epoch and validated: weights, a batch, what
PyTorch keeps back, the CUDA context.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from ffsnn.config import ConfigError, RunConfig
from ffsnn.hardware.memory import OutOfMemory, bytes_of_weights, bytes_per_image
from search.store.packing import PackingResult, chosen, fit

ROOM = 512e6  # bytes: CUDA's context and the images alone
SECONDS = 2.0  # of training at least, for a figure
PATIENCE = 900.0  # for a process to load, compile and train an epoch
INSTEAD = "name a share, such as --gpus-per-trial 0.25, or leave it out for one trial a card"


def largest(configs: Iterable[RunConfig]) -> RunConfig:
    """The configuration that takes the most of a card's memory, by formula."""
    return max(
        configs,
        key=lambda it: bytes_of_weights(it) + it.learning.batch_size * bytes_per_image(it, fused=True, device="cuda"),
    )


def refuse_full(cards: Sequence[str]) -> None:
    """Make sure that a trial can start on one of the cards.

    Args:
        cards: `name, free memory, whole memory` each, as nvidia-smi says; what it does not know is passed over.

    Raises:
        ConfigError: all are full.
    """
    free = [2**20 * int(found[1]) for card in cards if (found := re.search(r", (\d+) MiB, \d+ MiB$", card))]
    if free and max(free) < ROOM:
        raise ConfigError(
            f"a trial needs a GPU with {ROOM / 1e6:.0f} MB free at least, but there is {'; '.join(cards)}: "
            f"end what is on it (nvidia-smi shows it), or search on CPUs with --device cpu"
        )


@dataclass(frozen=True)
class PackingWorker:
    """A process that trains as a trial does."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: its answer, or that there is none, says why
            self.process.stdin.write(line.encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        """Its next one.

        Raises:
            OutOfMemory: it did not fit.
            ConfigError: it failed otherwise, or does not answer.
        """
        assert self.process.stdout is not None
        late = threading.Timer(PATIENCE, self.process.kill)
        late.daemon = True  # Ctrl-C does not wait for it
        late.start()
        line = self.process.stdout.readline()
        late.cancel()
        if not line:
            self.errors.seek(0)
            reason = (self.errors.read().decode(errors="replace").strip().splitlines() or ["no answer"])[-1]
            raise ConfigError(f"gpus_per_trial=auto could not measure a trial ({reason[:200]}): {INSTEAD}")
        said: dict[str, Any] = json.loads(line)
        if problem := said.get("problem"):
            raise OutOfMemory(problem)
        return said


@contextmanager
def probing(config: RunConfig) -> Iterator[PackingWorker]:
    """A probe of a configuration, for as long as the block."""
    command = [sys.executable, "-m", "search.cluster.packing_worker"]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            probe = PackingWorker(process, errors)
            probe.tell(config.model_dump_json())
            yield probe
        finally:
            process.kill()


def measure(config: RunConfig, most: int, before: PackingResult | None = None) -> PackingResult:
    """Measure trials of a configuration on its device.

    Args:
        config: the largest one.
        most: trials at once that could ever share a card.
        before: what was measured earlier; it may still hold.

    Raises:
        ConfigError: not one trial fits, the cards differ, or a process failed.
    """
    with ExitStack() as running:
        first = running.enter_context(probing(config))
        there = _alone(first)
        if len(set(there["cards"])) > 1:
            raise ConfigError(
                f"gpus_per_trial=auto measures one kind of card, but there are {', '.join(there['cards'])}: {INSTEAD}"
            )
        card, total = there["cards"][0], there["total"]
        if before is not None and before.holds(card, total, there["free"], most):
            return before
        alone = _alone(first)
        needed, free = alone["bytes"], alone["bytes"] + alone["free"]
        first.tell(str(SECONDS))
        probes, rates, number = [first], {1: float(_alone(first)["rate"])}, 1
        while (more := min(2 * number, most, fit(free, needed))) > number:
            new = [running.enter_context(probing(config)) for _ in range(more - number)]
            probes += new
            try:
                joined = [probe.answer() | probe.answer() for probe in new]  # the cards again, then what an epoch took
                if number == 1:  # now it is seen what one more takes in all
                    needed = max(needed, alone["free"] - joined[0]["free"])
                    free = alone["free"] + needed
                    if fit(free, needed) == 1:
                        break
                rates[more] = _together(probes)
            except (OutOfMemory, ConfigError):  # one that was killed for the machine's memory does not answer
                break
            if chosen(rates) < more:
                break
            number = more
    return PackingResult(card=card, total=total, free=free, most=most, needed=needed, rates=rates)


def _alone(probe: PackingWorker) -> dict[str, Any]:
    try:
        return probe.answer()
    except OutOfMemory as error:
        raise ConfigError(
            f"not one trial of the largest configuration fits on the card ({error}): "
            f"end what else is on it (nvidia-smi shows it), or narrow the space"
        ) from error


def _together(probes: Sequence[PackingWorker]) -> float:
    """Images a second of all, at once."""
    for probe in probes:
        probe.tell(str(SECONDS))
    return sum(float(probe.answer()["rate"]) for probe in probes)
