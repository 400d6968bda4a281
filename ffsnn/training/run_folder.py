"""The folder of one training run: what stands there is what happened.

    config.json            the RunConfig
    history.jsonl          a line an epoch (EpochMetrics)
    last.safetensors       the Trainer's state after some epoch, and the history up to it: written every ten seconds
    previous.safetensors   the one before, should `last` be damaged
    best.safetensors       the weights of the best epoch by validation accuracy; of a final fit, of the last one
    run.json               the run's id, once something outside of the folder has to know it again (MLflow)
    parts/                 copies of the files of one's own parts that the configuration names, if any; they never run
                           by themselves (`ffsnn.parts.own`)

Each is moved into place or appended whole. A checkpoint carries the history that led to it, and a run that was stopped
anywhere goes on from there, bit for bit: so epochs 1..n stand in the history once each.
"""

import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.fields import named_parts
from ffsnn.network import Network
from ffsnn.parts import own
from ffsnn.shapes import layer_shapes
from ffsnn.training.epoch_metrics import EpochMetrics, NewerRecord, best_of
from ffsnn.training.trainer import Trainer
from ffsnn.validation import ConfigError

Weights = dict[str, torch.Tensor]

CONFIG, HISTORY, RUN_FILE = "config.json", "history.jsonl", "run.json"
LAST, PREVIOUS, BEST = "last.safetensors", "previous.safetensors", "best.safetensors"
EPOCH = "epoch"  # in the metadata of the best weights


class RunFolder:
    """Reads and writes one run's folder; no other code knows its files."""

    keeps_parts = True  # copies of one's own; a trial's are its search's

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def create(self, config: RunConfig) -> None:
        """Make the folder for `config`; one that is there already must hold the same configuration.

        Raises:
            ConfigError: it holds another one, or cannot be written.
        """
        if (self.path / CONFIG).exists():
            if self.config().id != config.id or self.config().seed != config.seed:
                raise ConfigError(f"{self.path} holds a run of another configuration: choose another folder")
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if self.keeps_parts:
                own.keep(own.files_of(named_parts(config)), self.path)
            self.rewrite_config(config)
        except OSError as error:
            raise ConfigError(
                f"cannot write to {self.path}: {error.strerror}; choose a folder you may write to"
            ) from error

    def config(self) -> RunConfig:
        """The configuration.

        Raises:
            ConfigError: there is none, it breaks a rule, or it needs parts of one's own that nobody has named.
        """
        own.require_of_run(self.path)
        return RunConfig.load(self.path / CONFIG)

    @property
    def id(self) -> str:
        """The run's own, which stays when the folder is moved; made when it is first asked for."""
        file = self.path / RUN_FILE
        with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged
            return str(json.loads(file.read_text())["id"])
        made = uuid.uuid4().hex
        atomic.write(file, json.dumps({"id": made}))
        return made

    def rewrite_config(self, config: RunConfig) -> None:
        """Replace a damaged one."""
        atomic.write(self.path / CONFIG, config.model_dump_json(indent=2))

    def history(self) -> list[EpochMetrics]:
        """The epochs done; a torn last line (a kill while it was written) is left out.

        Raises:
            NewerRecord: a newer version wrote it.
        """
        try:
            lines = (self.path / HISTORY).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        epochs = []
        for line in lines:
            try:
                epochs.append(EpochMetrics.parse(json.loads(line)))
            except NewerRecord:
                raise
            except (ValueError, TypeError):
                break
        return epochs

    def save(self, trainer: Trainer, history: list[EpochMetrics], best: Weights | None) -> None:
        """Keep the state after the last epoch of `history`, and the best weights where they are new."""
        self.save_best(history, best)
        content = save_tensors(
            _on_cpu(trainer.state_dict()), {HISTORY: json.dumps([epoch.json() for epoch in history])}
        )
        if (self.path / LAST).exists():  # by a second name, so that there is a last one at any moment
            kept = self.path / f".{PREVIOUS}.link"
            kept.unlink(missing_ok=True)
            with suppress(OSError):  # a file system without hard links has no previous one
                os.link(self.path / LAST, kept)
                os.replace(kept, self.path / PREVIOUS)
        atomic.write(self.path / LAST, content)

    def save_best(self, history: list[EpochMetrics], best: Weights | None) -> None:
        """Keep the weights of the best epoch of `history`, where they are new."""
        if best is not None:
            epoch = best_of(history).epoch
            atomic.write(self.path / BEST, save_tensors(_on_cpu(best), {EPOCH: str(epoch)}))

    def best_epoch(self) -> int | None:
        """Whose weights are kept as the best; None: no one's yet. Later ones are there at the next checkpoint."""
        try:
            return int(_metadata((self.path / BEST).read_bytes())[EPOCH])
        except (OSError, KeyError, ValueError):
            return None

    def append(self, metrics: EpochMetrics) -> None:
        """Add an epoch to the history."""
        with (self.path / HISTORY).open("a") as file:
            file.write(_line(metrics))

    def restore(self, trainer: Trainer) -> list[EpochMetrics]:
        """Bring a new trainer to the last good checkpoint (or leave it new), and the history file into step with it."""
        self.history()  # of a newer version: refused, before it is written over
        state, history = self._newest()
        if state is not None:
            trainer.load_state_dict(state)
        self.write_history(history)
        return history

    def repair(self) -> list[str]:
        """Bring the history into step with the last good checkpoint, as `restore` will; what was amiss, in words."""
        for leftover in self.path.glob(".*.safetensors.*"):
            leftover.unlink()
        seen = len(self.history())
        _, history = self._newest()
        damaged = [name for name in (LAST, PREVIOUS) if (self.path / name).exists() and _read(self.path / name) is None]
        remarks = [f"{name} is damaged" for name in damaged]
        if self.write_history(history):
            remarks.append(f"history.jsonl had {seen} good lines, the checkpoint {len(history)} epochs")
        return remarks

    def write_history(self, history: list[EpochMetrics]) -> bool:
        """Make the history file say this; whether it did not."""
        file, lines = self.path / HISTORY, "".join(_line(epoch) for epoch in history)
        if (file.exists() and file.read_text(errors="replace") == lines) or not (file.exists() or history):
            return False
        atomic.write(file, lines)
        return True

    def drop_checkpoints(self) -> None:
        """Delete what only a run that goes on would need."""
        for name in (LAST, PREVIOUS):
            (self.path / name).unlink(missing_ok=True)

    def _newest(self) -> tuple[dict[str, torch.Tensor] | None, list[EpochMetrics]]:
        """The newest checkpoint that can be read, and the history that led to it."""
        for name in (LAST, PREVIOUS):
            if (found := _read(self.path / name)) is not None:
                return found
        return None, []


def _read(path: Path) -> tuple[dict[str, torch.Tensor], list[EpochMetrics]] | None:
    """A checkpoint; None: there is none, or it is damaged."""
    try:
        content = path.read_bytes()
        state = load_tensors(content)
        return state, [EpochMetrics.parse(epoch) for epoch in json.loads(_metadata(content)[HISTORY])]
    except NewerRecord:
        raise
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        return None


def bytes_on_disk(config: RunConfig) -> tuple[int, int]:
    """Size of a run's folder while it trains (two checkpoints and the best weights), and once it has ended."""
    data, weights = config.data, 4 * sum(shape.weights for shape in layer_shapes(config))
    kept = 4 if config.learning.average else 3  # the weights, Adam's moments, those that training goes on from
    checkpoint = kept * weights + 4 * data.trained_on * data.facts.classes  # the goodness table
    return 2 * checkpoint + weights, weights


def _on_cpu(state: Weights) -> Weights:
    return {name: tensor.contiguous().cpu() for name, tensor in state.items()}


def _line(epoch: EpochMetrics) -> str:
    return json.dumps(epoch.json()) + "\n"


def _metadata(content: bytes) -> dict[str, str]:
    """The free text part of a safetensors file's header: 8 bytes of length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return metadata


def load(path: str | Path) -> Network:
    """Rebuild a trained network, on the CPU, from a run's folder (its best epoch) or one of its weight files.

    Raises:
        ConfigError: no such file, or a damaged one.
    """
    path = Path(path)
    weights = path / BEST if path.is_dir() else path
    network = Network(RunFolder(weights.parent).config())
    try:
        state = load_tensors(weights.read_bytes())
        if any(name.startswith("network.") for name in state):
            state = {name.removeprefix("network."): t for name, t in state.items() if name.startswith("network.")}
        network.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ConfigError(f"cannot load weights from {weights}: {' '.join(str(error).split())}") from error
    return network
