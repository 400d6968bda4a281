"""A recorded surface: the learning curves of many configurations of one space, with several seeds each.

It is made from finished searches of one space (`Surface.of_searches`), and kept as one compressed file. It is a table,
not a model: in a simulation a suggestion is answered by the nearest recorded configuration that was not taken yet, and
that configuration is what the sampler is told of. So every value that a sampler learns from was measured.

Legend: C configurations, S seeds, E epochs, M metrics.
"""

import json
import math
from collections.abc import Sequence
from functools import cache, cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.fields import short
from ffsnn.training.dead_layers import AT_LEAST
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.validation import ConfigError
from search.forecast.encoding import Encoding
from search.objectives import Objective
from search.store.folder import SearchFolder
from spaces.parameter import Sample
from spaces.space import Space

FORMAT = 1
SHIPPED = Path(__file__).parent / "surfaces"
SCALARS = ("val_accuracy", "images_per_second", "seconds", "input_spikes")
BY_LAYER = ("loss", "goodness_pos", "goodness_neg", "firing_rate")

Array = npt.NDArray[np.float32]


class Surface:
    """Learning curves over a space.

    Args:
        name: for a person.
        space: that the configurations are of; its base has all that they share.
        samples: the C configurations.
        seeds: the S seeds that each was trained with.
        curves: (C, S, E, M) float32; M are `SCALARS`, then `BY_LAYER`, each for as many layers as the deepest has. NaN
            where a configuration has no such layer, and from the epoch on in which it diverged.
        about: where it comes from: versions, data, machine.
    """

    def __init__(
        self, name: str, space: Space, samples: Sequence[Sample], seeds: Sequence[int], curves: Array,
        about: dict[str, Any],
    ) -> None:  # fmt: skip
        self.name, self.space, self.samples, self.seeds, self.curves = name, space, list(samples), list(seeds), curves
        self.about = about
        self.encoding = Encoding(space)
        self.histories: dict[tuple[int, int], list[EpochMetrics]] = {}  # that were asked for

    @property
    def epochs(self) -> int:
        return int(self.curves.shape[2])

    @cached_property
    def points(self) -> npt.NDArray[np.float64]:
        """The configurations as points, (C, D)."""
        return self.encoding.points(self.encoding.places(self.samples))

    @property
    def silent(self) -> npt.NDArray[np.bool_]:
        """True where a search would find a network dead (`ffsnn.training.dead_layers.dead_layer`), (C, S).

        What is recorded is the whole first epoch, of which a search looks at a part.
        """
        deepest = (self.curves.shape[3] - len(SCALARS)) // len(BY_LAYER)
        first_layer = self.curves[:, :, 0, len(SCALARS) + BY_LAYER.index("firing_rate") * deepest]
        configs = map(self.config, range(len(self.samples)))
        long = [config.data.trained_on >= AT_LEAST * config.learning.batch_size for config in configs]
        found: npt.NDArray[np.bool_] = (first_layer == 0) & np.array(long)[:, None]
        return found

    def config(self, index: int) -> RunConfig:
        return self.space.apply(self.samples[index])

    def history(self, index: int, seed: int) -> list[EpochMetrics]:
        """Epochs recorded of a configuration under its n-th seed, up to where it diverged."""
        if (index, seed) not in self.histories:
            self.histories[index, seed] = self._history(index, seed)
        return self.histories[index, seed]

    def _history(self, index: int, seed: int) -> list[EpochMetrics]:
        epochs = []
        for number in range(1, self.epochs + 1):
            if (epoch := self._epoch(index, seed, number)) is None:
                break
            epochs.append(epoch)
        return epochs

    def _epoch(self, index: int, seed: int, number: int) -> EpochMetrics | None:
        """One epoch; None: it had diverged before."""
        row = self.curves[index, seed, number - 1].tolist()
        if math.isnan(row[0]):
            return None
        told: dict[str, Any] = dict(zip(SCALARS, row, strict=False))
        deepest = (len(row) - len(SCALARS)) // len(BY_LAYER)
        for name, at in zip(BY_LAYER, range(len(SCALARS), len(row), deepest), strict=True):
            told[name] = tuple(value for value in row[at : at + deepest] if not math.isnan(value))
        return EpochMetrics(epoch=number, **told)

    def values(self, objective: Objective) -> npt.NDArray[np.float64]:
        """The objective by configuration, seed and epoch, (C, S, E); its worst value where there is none."""
        found = np.full(self.curves.shape[:3], objective.worst)
        for index in range(len(self.samples)):
            config = cache(partial(self.config, index))
            for seed in range(len(self.seeds)):
                told = [objective.ranked(objective.value(epoch, config)) for epoch in self.history(index, seed)]
                found[index, seed, : len(told)] = told
        return found

    def final(self, objective: Objective, number: int) -> npt.NDArray[np.float64]:
        """The objective of the first configurations after their last epoch, by configuration and seed, (number, S)."""
        found = np.full((min(number, len(self.samples)), len(self.seeds)), objective.worst)
        for index, seed in np.ndindex(found.shape):
            if (last := self._epoch(index, seed, self.epochs)) is not None:
                found[index, seed] = objective.ranked(objective.value(last, partial(self.config, index)))
        return found

    def save(self, path: Path) -> None:
        """Write it as one file, at once."""
        header = {
            "format": FORMAT, "name": self.name, "space": self.space.model_dump(mode="json"), "samples": self.samples,
            "seeds": self.seeds, "about": self.about,
        }  # fmt: skip
        content = BytesIO()
        # By metric and epoch, neighbours differ little, and are packed the better.
        curves = np.ascontiguousarray(self.curves.transpose(3, 2, 1, 0))
        np.savez_compressed(content, header=np.frombuffer(json.dumps(header).encode(), np.uint8), curves=curves)
        atomic.write(path, content.getvalue())

    @staticmethod
    def shipped() -> list[str]:
        """Names of the surfaces that come with the package."""
        return sorted(file.stem for file in SHIPPED.glob("*.npz"))

    @classmethod
    def refuse_unknown(cls, experience: Sequence[str]) -> None:
        """Make sure that a search's experience is of shipped surfaces.

        Raises:
            ConfigError: one is not.
        """
        shipped = cls.shipped()
        if unknown := [name for name in experience if name not in shipped]:
            raise ConfigError(f"experience must be none, or of {', '.join(shipped)}, but got {unknown[0]!r}")

    @classmethod
    def load(cls, name: str | Path) -> "Surface":
        """Read a file, or a surface that is shipped by its name.

        Raises:
            ConfigError: there is no such surface, or the file is not a recorded surface; one line.
        """
        path = Path(name)
        if not path.is_file():
            path = SHIPPED / f"{name}.npz"
            if not path.is_file():
                known = ", ".join(cls.shipped())
                raise ConfigError(
                    f"there is no surface or search {str(name)!r}: give a file, a search that ran every trial to its "
                    f"end, or one of {known}"
                )
        try:
            with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as file:
                header, curves = json.loads(file["header"].tobytes()), file["curves"].transpose(3, 2, 1, 0)
            if header["format"] > FORMAT:
                raise ConfigError(f"{path} was written by a newer version of ffsnn: use that")
            space = Space.parse(header["space"])
            return cls(header["name"], space, header["samples"], header["seeds"], curves, header["about"])
        except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile) as error:
            raise ConfigError(f"{path} is no recorded surface ({' '.join(str(error).split())[:100]})") from error

    @classmethod
    def of_searches(cls, name: str, folders: Sequence[SearchFolder]) -> "Surface":
        """The surface that searches of one space have recorded, each with a seed of its own.

        Configurations count that each search has trained to its end, or until they diverged.

        Raises:
            ConfigError: the searches differ in more than their seeds, or have no configuration in common.
        """
        config = folders[0].config
        ensure_same_space(name, config.space, [folder.config.space for folder in folders[1:]])
        recorded = [
            {_key(sample): (sample, history) for sample, history in _recorded(folder, config.epochs)}
            for folder in folders
        ]
        common = [key for key in recorded[0] if all(key in each for each in recorded)]
        if not common:
            raise ConfigError(f"{', '.join(f.name for f in folders)} have no configuration in common at full length")
        samples = [recorded[0][key][0] for key in common]
        histories = [[each[key][1] for each in recorded] for key in common]
        deepest = max(len(epoch.loss) for each in histories for history in each for epoch in history[:1])
        curves = np.full(
            (len(common), len(folders), config.epochs, len(SCALARS) + len(BY_LAYER) * deepest), np.nan, np.float32
        )
        for index, each in enumerate(histories):
            for seed, history in enumerate(each):
                for at, epoch in enumerate(history):
                    curves[index, seed, at] = _row(epoch, deepest)
        space = config.space.model_copy(update={"base": config.base.replaced({"data_dir": None})})
        about = {"searches": [f.name for f in folders], "data": folders[0].read()["data"],
                 "versions": folders[0].read().get("versions", {})}  # fmt: skip
        return cls(name, space, samples, [folder.config.seed for folder in folders], curves, about)

    def joined(self, other: "Surface") -> "Surface":
        """The configurations that both have, with the seeds of both: of two recordings of the same points.

        Raises:
            ConfigError: they are of different spaces or lengths, share a seed, or have no configuration in common.
        """
        ensure_same_space(self.name, self.space, [other.space])
        if self.curves.shape[2:] != other.curves.shape[2:]:
            raise ConfigError(f"curves of {self.name} have {self.epochs} epochs, those to be joined {other.epochs}")
        if twice := {*self.seeds} & {*other.seeds}:
            raise ConfigError(f"{self.name} has seed {min(twice)} already")
        theirs = {_key(sample): index for index, sample in enumerate(other.samples)}
        pairs = [(index, theirs[key]) for index, key in enumerate(map(_key, self.samples)) if key in theirs]
        if not pairs:
            raise ConfigError(f"{self.name} has no configuration in common with what is to be joined")
        here, there = map(list, zip(*pairs, strict=True))
        about = self.about | {"searches": [*self.about["searches"], *other.about["searches"]]}
        curves = np.concatenate([self.curves[here], other.curves[there]], axis=1)
        return Surface(
            self.name, self.space, [self.samples[index] for index in here], [*self.seeds, *other.seeds], curves, about
        )


def ensure_same_space(name: str, space: Space, others: Sequence[Space]) -> None:
    """Make sure that spaces have the same parameters.

    Raises:
        ConfigError: they have not; says which differ.
    """
    for other in others:
        paths = [*space.parameters, *(path for path in other.parameters if path not in space.parameters)]
        if differ := [short(path) for path in paths if space.parameters.get(path) != other.parameters.get(path)]:
            raise ConfigError(f"{name} is of another space: {', '.join(differ)} differ")


def _recorded(folder: SearchFolder, epochs: int) -> list[tuple[Sample, list[EpochMetrics]]]:
    """Samples and histories of a search's trials that say all of their curve."""
    found = []
    for trial in folder.trials():
        end, history = trial.end(), trial.history()
        if end and (len(history) >= epochs or end.is_untrainable):
            found.append((folder.config.space.read(trial.config()), history))
    return found


def _key(sample: Sample) -> str:
    return json.dumps(sample, sort_keys=True)


def _row(epoch: EpochMetrics, deepest: int) -> list[float]:
    layered = [getattr(epoch, name) for name in BY_LAYER]
    padded = [value for values in layered for value in (*values, *[np.nan] * (deepest - len(values)))]
    return [*(getattr(epoch, name) for name in SCALARS), *padded]
