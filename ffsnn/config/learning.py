"""The branch of a configuration that says how a network is trained."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ffsnn.parts.registry import LOSSES, NEGATIVES
from ffsnn.validation import Config

AUGMENTATIONS = ("shift", "rotation", "scaling", "shear", "elastic", "mirror")  # fields that change training images


class LearningConfig(Config):
    """The local loss of every layer, its negatives, and its optimiser."""

    also: ClassVar[dict[str, str]] = {
        "learning_rate": "lr", "eta": "lr", "step_size": "lr", "batch": "batch_size", "bs": "batch_size",
        "optimizer": "optimiser", "optim": "optimiser", "opt": "optimiser", "n_epochs": "epochs",
        "num_epochs": "epochs", "max_epochs": "epochs", "lr_schedule": "schedule", "scheduler": "schedule",
        "lr_scheduler": "schedule", "l2": "weight_decay", "wd": "weight_decay", "decay": "weight_decay",
        "goodness_threshold": "theta", "dtype": "precision", "amp": "precision", "augment": "shift",
        "augmentation": "shift", "greedy": "layers", "loss_fn": "loss", "loss_function": "loss",
        "negative": "negatives", "spike_penalty": "rate_penalty", "firing_rate_penalty": "rate_penalty",
        "activity_regularization": "rate_penalty", "warmup_epochs": "warmup", "warm_up": "warmup",
        "sgdr": "restarts", "warm_restarts": "restarts", "cycles": "restarts", "num_cycles": "restarts",
    }  # fmt: skip
    loss: Annotated[str, LOSSES] = Field("swish", description="local loss of every layer")
    theta: float | None = Field(None, gt=0, description="goodness threshold, of a loss that has one")
    alpha: float = Field(60.0, gt=0, description="sharpness of the loss; its scale is one over goodness")
    output: Literal["goodness", "mse"] = Field(
        "goodness",
        description="loss of the last layer: as the others', or squared error of its rates to the true label",
    )
    negatives: Annotated[str, NEGATIVES] = Field(
        "table", description="how the wrong label is drawn: by remembered goodness, by fresh goodness, or all alike"
    )
    negatives_per_image: int = Field(
        1, ge=1, description="negative samples a step of each image, with different wrong labels"
    )
    shift: int = Field(
        0, ge=0, le=4, description="pixels by which training images are moved at random, each its own way"
    )
    rotation: float = Field(0.0, ge=0, le=45, description="degrees by which training images are turned at random")
    scaling: float = Field(0.0, ge=0, le=0.5, description="share by which their height and width are changed at random")
    shear: float = Field(0.0, ge=0, le=0.5, description="pixels a row by which they are sheared at random")
    elastic: float = Field(0.0, ge=0, le=4, description="pixels by which they are bent, as a smooth random field")
    mirror: bool = Field(False, description="exchange left and right in half of the training images")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of a layer's neurons, drawn for each image, that the next one is not shown"
    )
    average: int = Field(
        0, ge=0, description="epochs over which weights are averaged, exponentially, before they are validated and kept"
    )
    rate_penalty: float = Field(
        0.0, ge=0, description="times the mean firing rate of a layer, added to its loss: fewer spikes"
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the target spread evenly over the labels shown: small margins"
    )
    layers: Literal["together", "greedy"] = Field(
        "together", description="all stepped on each batch, or one after another, an equal share of the epochs each"
    )
    epochs: int = Field(20, ge=1, description="passes over the training images")
    chosen_epoch: int | None = Field(
        None, ge=1, description="of a final fit: the epoch it stops after, chosen before on validation images"
    )
    batch_size: int = Field(
        512, ge=1, description="images a step; each gives a positive sample, and negatives_per_image negative ones"
    )
    batch_growth: float = Field(
        1.0, ge=1, le=8, description="factor by which batches grow after a third of the epochs, and after two"
    )
    optimiser: Literal["adam", "sgd"] = Field("adam", description="of every layer's weights")
    momentum: float | None = Field(None, ge=0, lt=1, description="of sgd; null: 0")
    lr: float = Field(1e-3, gt=0, description="learning rate, at the begin of the schedule")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="of the learning rate: as it is, or down to 0 by half a cosine over all epochs"
    )
    warmup: float = Field(
        0.0, ge=0, description="epochs over which the learning rate rises from 0, before the schedule begins"
    )
    restarts: int = Field(
        0, ge=0, description="times that the cosine begins anew at the full learning rate, at equal distances"
    )
    weight_decay: float = Field(0.0, ge=0, description="times the weight, added to its gradient")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the weights in sums and products; pays on a GPU"
    )

    @property
    def copies(self) -> int:
        """Samples of an image in a training step: a positive one and its negative ones."""
        return 1 + self.negatives_per_image

    @model_validator(mode="after")
    def _theta_belongs_to_its_loss(self) -> Self:
        has_theta = LOSSES[self.loss].has_theta
        if has_theta and self.theta is None:
            raise ValueError(f"loss={self.loss!r} needs theta, but got theta=None: set learning.theta, e.g. 0.1")
        if not has_theta and self.theta is not None:
            raise ValueError(
                f"loss={self.loss!r} compares pairs and has no theta, but got theta={self.theta}: "
                "leave theta out, or take loss='threshold'"
            )
        return self

    @model_validator(mode="after")
    def _average_fits_into_the_run(self) -> Self:
        if self.average and self.average >= self.epochs:
            raise ValueError(
                f"average < epochs must hold, for the weights of the last epochs are averaged, but got "
                f"average={self.average} with epochs={self.epochs}: lower it, or take 0"
            )
        return self

    @model_validator(mode="after")
    def _restarts_belong_to_a_cosine(self) -> Self:
        if self.restarts and self.schedule != "cosine":
            raise ValueError(
                f"schedule={self.schedule!r} has nothing to begin anew, but got restarts={self.restarts}: "
                "leave restarts out, or take schedule='cosine'"
            )
        return self

    @model_validator(mode="after")
    def _momentum_belongs_to_sgd(self) -> Self:
        if self.momentum is not None and self.optimiser != "sgd":
            raise ValueError(
                f"optimiser={self.optimiser!r} has no momentum, but got momentum={self.momentum}: "
                "leave momentum out, or take optimiser='sgd'"
            )
        return self

    @model_validator(mode="after")
    def _chosen_epoch_is_there(self) -> Self:
        if self.chosen_epoch is not None and self.chosen_epoch > self.epochs:
            raise ValueError(
                f"chosen_epoch <= epochs must hold, but got chosen_epoch={self.chosen_epoch} with epochs={self.epochs}:"
                " take the epochs of the training that it was chosen in"
            )
        return self

    def batch_at(self, share: float) -> int:
        """Images a step once this share of a schedule's epochs, in [0, 1), is done."""
        return round(self.batch_size * self.batch_growth ** int(3 * share))

    @property
    def largest_batch(self) -> int:
        return self.batch_at(2 / 3)

    @property
    def last_epoch(self) -> int:
        """The epoch that training stops after; the schedule goes by `epochs`."""
        return self.chosen_epoch or self.epochs

    @property
    def set_by_length(self) -> str | None:
        """Reason why epochs of a longer training would be others from the first on; None: it begins with the same.

        A warm-up is a number of epochs, not a share of them, and so the same in both.
        """
        if self.schedule != "constant":
            return f"with schedule={self.schedule} the learning rate of each epoch depends on how many there are"
        if self.batch_growth > 1:
            return f"with batch_growth={self.batch_growth} batches grow at each third of them"
        if self.layers != "together":
            return f"with layers={self.layers} each layer has an equal share of the epochs"
        return None
