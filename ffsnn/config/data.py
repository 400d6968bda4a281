"""The branch of a configuration that says what is trained on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ffsnn.parts.registry import DATASETS
from ffsnn.validation import Config

if TYPE_CHECKING:
    from ffsnn.datasets.dataset import DatasetFacts

TO_BE_ADDED = {  # data sets of the shipped spaces that a person has to bring, and from where
    "vowels": "aeon:JapaneseVowels", "nmnist": "tonic:NMNIST, or the folder of its .bin files",
    "shd": "tonic:SHD, or shd_train.h5,shd_test.h5",
}  # fmt: skip


class OwnFacts(Config):
    """Facts of a data set of one's own, as it was when the configuration was made."""

    name: str
    train_images: int = Field(ge=1)
    shape: tuple[int, int, int]
    names: tuple[str, ...] = Field(min_length=2)
    time: Literal["", "series", "events"] = ""
    checksum: str


class DataConfig(Config):
    """Which images are trained on. The test files are not reachable from here."""

    also: ClassVar[dict[str, str]] = {
        "name": "dataset", "data_set": "dataset", "val_split": "validation", "validation_split": "validation",
        "val_fraction": "validation", "validation_share": "validation", "n_train": "train_images",
        "num_train": "train_images", "train_size": "train_images", "subset": "train_images", "window": "window_ms",
    }  # fmt: skip
    own: OwnFacts | None = Field(
        None, description="of a data set of one's own; filled in, never written by hand", exclude_if=lambda own: not own
    )
    dataset: Annotated[str, DATASETS] = Field("mnist", description="whose training files are used")
    validation: float = Field(
        0.1, ge=0, lt=1, description="share of the training files held out for validation; 0: a final fit, of all"
    )
    train_images: int | None = Field(None, ge=1, description="train on this many images only; null: on all the rest")
    window_ms: float | None = Field(
        None, gt=0, description="of events: milliseconds from the beginning that are shown; null: all"
    )

    @property
    def facts(self) -> "DatasetFacts":
        if self.own is None:
            return DATASETS[self.dataset].facts
        from ffsnn.datasets.dataset import DatasetFacts

        own = self.own
        return DatasetFacts(own.train_images, own.shape, len(own.names), own.names, own.time)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_own(cls, tree: Any) -> Any:
        """A configuration tells by itself what its data are like, so that it can be read where they are not."""
        name = tree.get("dataset", "mnist") if isinstance(tree, Mapping) else None
        if not isinstance(name, str):
            return tree
        if DATASETS.ships(name):
            return {**tree, "own": None}
        own = tree.get("own")
        if isinstance(own, OwnFacts) or (isinstance(own, Mapping) and own.get("name") == name):
            return tree
        return {**tree, "own": DATASETS[name].own_facts if name in DATASETS else None}

    @field_validator("dataset")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        if name in TO_BE_ADDED and not info.data.get("own"):
            raise ValueError(f"{name} is not here yet: ffsnn data add {name} {TO_BE_ADDED[name]}")
        return name if info.data.get("own") else DATASETS.check(name)

    @model_validator(mode="after")
    def _window_is_of_events(self) -> Self:
        if self.window_ms is not None and self.facts.time != "events":
            raise ValueError(
                f"{self.dataset} has no events that window_ms could be of, but got window_ms={self.window_ms}: leave "
                "it out"
            )
        return self

    @property
    def looked_at(self) -> str:
        """The images that a trained network is looked at with: none but training images are left to a final fit."""
        return "validation" if self.validation else "training"

    @property
    def available(self) -> int:
        """Training images left beside the validation split (before `train_images` limits them)."""
        return self.facts.train_images - round(self.facts.train_images * self.validation)

    @property
    def trained_on(self) -> int:
        return self.available if self.train_images is None else self.train_images

    @model_validator(mode="after")
    def _slice_fits(self) -> Self:
        if self.validation and self.available == self.facts.train_images:
            raise ValueError(
                f"validation must hold out one of {self.facts.train_images} {self.facts.noun} at least, "
                f"but got {self.validation}"
            )
        if self.trained_on > self.available:
            raise ValueError(
                f"train_images <= {self.available} must hold for {self.dataset} with validation={self.validation}, "
                f"but got {self.train_images}: lower it, or leave it out to train on all"
            )
        return self
