"""Forward-forward training: an iterator that yields what happened in each epoch.

Every layer is stepped on every mini-batch, with inputs that carry no gradient (Hinton 2022, section 3). Resumed from
its `state_dict` in a new process, it gives the bits of a run that was never stopped: all randomness is a function of
(seed, epoch, batch), and the learning rate one of (epoch, batch).

A GPU is not waited for within an epoch: what was seen stays there until the epoch's end, and steps are replayed from
CUDA graphs.

Legend: B images of a batch, N training images, F pixels.
"""

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from ffsnn.config import RunConfig
from ffsnn.config.learning import AUGMENTATIONS
from ffsnn.datasets.data import Split
from ffsnn.hardware.memory import explain_out_of_memory
from ffsnn.kernels.cuda_step import CapturedSteps, Random
from ffsnn.layer import Input
from ffsnn.network import Network
from ffsnn.parts.encoders import SAMPLE
from ffsnn.parts.registry import ENCODERS, NEGATIVES
from ffsnn.randomness import generator, seed_of
from ffsnn.training import schedule
from ffsnn.training.augment import augmented
from ffsnn.training.averages import Averages
from ffsnn.training.dead_layers import AT_LEAST, LOOKED_AT, DeadLayerError, dead_layer
from ffsnn.training.epoch_metrics import EpochMetrics

if TYPE_CHECKING:
    from ffsnn.parts.encoders import Encoder


class DivergedError(RuntimeError):
    """A loss is not finite."""


class Trainer:
    """Trains `config` on `split` (which lies on the training device): epochs to iterate over, by whatever loop.

        config = RunConfig.parse({"data": {"dataset": "digits"}, "learning": {"batch_size": 128, "epochs": 20}})
        for metrics in Trainer(config, load(config.data, config.seed)):
            print(metrics.epoch, metrics.val_accuracy)

    An epoch is trained when it is asked for, and nothing in between: a loop may look at `network` (`ffsnn.network`),
    report `metrics` to anyone, and leave at any time; another loop over the same trainer goes on with the next epoch.
    It ends after `config.learning.last_epoch`. Nothing is written: `state_dict()` between two epochs, loaded into a new
    trainer of the same configuration, goes on bit for bit; `ffsnn.training.run.Run` is the same in a folder.
    `examples/own_loop.py` drives it with Optuna.
    """

    def __init__(
        self, config: RunConfig, split: Split, frozen: frozenset[int] = frozenset(), veto: bool = False
    ) -> None:
        """`frozen` layers keep the weights they start with: the control for what training them brings.

        With `veto` a network that is dead after a tenth of its first epoch, and 20 batches at least, is not trained on.
        """
        self.config, self.learning = config, config.learning
        self.train, self.validation = split.train, split.validation
        self.device = split.train.x.device
        self.network = Network(config).to(self.device)
        self.layers = self.network.each_layer
        self.optimisers = [layer.optimiser() for layer in self.layers]
        negatives = NEGATIVES[self.learning.negatives]
        self.negatives = negatives(self.network, self.learning, len(self.train), self.device)
        self.augments = any(getattr(self.learning, name) for name in AUGMENTATIONS)
        self.averages = Averages(self.network) if self.learning.average else None
        self.frozen, self.veto = frozen, veto
        self.epoch = 0  # epochs done
        self.dead: str | None = None  # why nothing can be learned, as far as the first epoch shows
        self.captured: CapturedSteps | None = None
        if self.device.type == "cuda" and self.layers[0].compiled:
            self.captured = CapturedSteps(self.device)
        self.input_spikes = self._input_spikes(ENCODERS[config.network.encoder])

    def _input_spikes(self, encoder: "Encoder") -> float:
        """Spikes that an image sends, on average; 0: a current."""
        x, T = self.train.x, self.config.network.T
        shown = x if self.network.appended else x[..., self.network.classes :]
        if self.network.events:
            return shown.count_nonzero().item() / len(shown)
        if self.config.network.features != "none" and not encoder.constant:
            noise = partial(generator, self.config.seed, "input_spikes", device=self.device)
            some = self.network.encode(x[:SAMPLE], noise())
            return some.sum(dtype=torch.float64).item() / some.shape[1]
        if shown.dim() == 3:  # each time step is an image
            return T * encoder.spikes(shown.flatten(0, 1), 1)
        return encoder.spikes(shown, T)

    def __iter__(self) -> Iterator[EpochMetrics]:
        while self.epoch < self.learning.last_epoch:
            yield self.train_epoch()

    def train_epoch(self) -> EpochMetrics:
        """Train one epoch, and validate where there are validation images.

        Raises:
            DivergedError: a loss is NaN or infinite; names layer, epoch and batch.
            DeadLayerError: with `veto`, in the first epoch.
            OutOfMemory: the batch does not fit; says which would.
        """
        start = time.perf_counter()
        draw = generator(self.config.seed, "order", self.epoch)
        order = torch.randperm(len(self.train), generator=draw).to(self.device)
        first, end = self._turn()
        batches = order.split(self.learning.batch_at((self.epoch - first) / (end - first)))
        if self.averages:
            self.averages.begin_epoch(self.learning.average * len(batches))
        seen = self._train_batches(batches).double().cpu()
        self._check(seen)
        if self.averages:
            self.averages.end_epoch()
        trained = time.perf_counter() - start
        images = self.validation
        accuracy = self.network.accuracy(images.x, images.y) if len(images) else math.nan
        self.epoch += 1
        sums = torch.zeros(4, len(self.layers), dtype=torch.float64)
        for index, means in zip(batches, seen[:, :4], strict=True):
            sums += len(index) * means
        loss, good_pos, good_neg, rate = (tuple(row) for row in (sums / len(self.train)).tolist())
        return EpochMetrics(
            epoch=self.epoch, loss=loss, goodness_pos=good_pos, goodness_neg=good_neg, firing_rate=rate,
            val_accuracy=accuracy, images_per_second=len(self.train) / trained,
            seconds=time.perf_counter() - start, input_spikes=self.input_spikes,
        )  # fmt: skip

    def _train_batches(self, batches: Sequence[torch.Tensor]) -> torch.Tensor:
        """Train an epoch's batches; their statistics, on the device, without waiting for it if it is a GPU."""
        seen = []
        for batch, index in enumerate(batches):
            self._set_learning_rate(self.epoch + batch / len(batches))
            if self.averages:
                self.averages.set_pace((self.epoch - self._turn()[0]) * len(batches) + batch)
            with explain_out_of_memory(self.config, self.device, fused=self.layers[0].compiled):
                seen.append(self.train_batch(index, batch))
            if self.device.type == "cpu":
                self._check(seen[-1][None], batch)
            if self.epoch == 0 and batch + 1 == max(math.ceil(LOOKED_AT * len(batches)), AT_LEAST):
                self.dead = dead_layer(torch.stack([shown[3] for shown in seen]), len(batches))
                if self.dead and self.veto:
                    raise DeadLayerError(self.dead)
        return torch.stack(seen)

    def train_batch(self, index: torch.Tensor, batch: int) -> torch.Tensor:
        """One mini-batch through the layers: (5, layers) of loss, positive and negative goodness, firing rate, sum of
        the weights after it; on the device."""
        step, seed = partial(self._step, self._greedy_layer()), partial(self._seed, batch)
        if self.captured is not None:
            return self.captured(step, index, seed, variant=self._greedy_layer())
        return step(index, lambda *purpose: torch.Generator(self.device).manual_seed(seed(*purpose)))

    def _step(self, learner: int | None, index: torch.Tensor, random: Random) -> torch.Tensor:
        """`train_batch`, of which only layer `learner` learns; None: all do."""
        images = self.train[index]
        noise = partial(random, "encoding")
        x = images.x
        if self.augments:  # the stream keeps the name that it had when images were only shifted
            x = augmented(x, self.config.data.facts.shape, self.learning, random("shift"), self.network.events)
        # A kind that a program registers itself, untried, may give its one label an image as (B,).
        wrong = self.negatives.draw(index, x, images.y, random).view(self.learning.negatives_per_image, len(index))
        seen, labels = Input(self.network.encode(x, noise(0))), torch.cat([images.y[None], wrong])
        losses, goodness, firing, weights = [], [], [], []
        for number, (layer, optimiser) in enumerate(zip(self.layers, self.optimisers, strict=True)):
            with torch.set_grad_enabled(learner in (None, number) and number not in self.frozen):
                answer = self.network.show(number, seen, labels, loss=True)
            loss = answer.loss
            assert loss is not None
            if loss.requires_grad:
                optimiser.forget_gradient()
                loss.backward()
                optimiser.step()
            losses.append(loss.detach())
            goodness.append(answer.goodness.detach())
            firing.append(answer.firing.detach())
            weights.append(layer.weight_sum())
            if number in (learner, len(self.layers) - 1):
                break
            seen = self.network.hand_on(answer, noise(number + 1))
            if self.learning.dropout:
                seen = seen.thinned(len(labels), self.learning.dropout, random("dropout", number))
        if self.averages:
            self.averages.step()
        good = torch.stack(goodness).unflatten(1, (len(labels), -1))  # (layers, copies, B): positive samples first
        fooled = good[:-1] if self.layers[len(good) - 1].reads_out else good
        self.negatives.learn(index, wrong, (fooled[:, 1:] - fooled[:, :1]).sum(0))
        shown = torch.zeros(5, len(self.layers), device=self.device)
        shown[:, : len(good)] = torch.stack(
            [
                torch.stack(losses),
                good[:, 0].mean(1),
                good[:, 1:].mean((1, 2)),
                torch.stack(firing),
                torch.stack(weights),
            ]
        )
        return shown

    def _seed(self, batch: int, name: str, *where: int) -> int:
        """Seed of the draw `name` in a batch; a prediction's noise is the same in each epoch."""
        epoch = () if name == "prediction" else (self.epoch,)
        return seed_of(self.config.seed, name, *epoch, batch, *where)

    def _greedy_layer(self) -> int | None:
        """The layer whose turn it is, where they learn one after another."""
        if self.learning.layers == "together":
            return None
        return self.epoch * len(self.layers) // self.learning.epochs

    def _turn(self) -> tuple[int, int]:
        """The first epoch in which the layers learn that do now, and the one after the last."""
        if (learner := self._greedy_layer()) is None:
            return 0, self.learning.epochs
        first, end = (math.ceil(n * self.learning.epochs / len(self.layers)) for n in (learner, learner + 1))
        return first, end

    def _check(self, seen: torch.Tensor, first: int = 0) -> None:
        """Look at what the batches from number `first` on have shown, (batches, 5, layers)."""
        losses, weight_sums = seen[:, 0], seen[:, 4]
        wrong = (~(losses.isfinite() & weight_sums.isfinite())).nonzero()
        if len(wrong):
            batch, number = wrong[0].tolist()
            raise DivergedError(
                f"layer {number} diverged in epoch {self.epoch + 1}, batch {first + batch} "
                f"(loss {losses[batch, number]}, sum of weights {weight_sums[batch, number]}): "
                f"lower lr={self.learning.lr} or alpha={self.learning.alpha}"
            )

    def _set_learning_rate(self, epochs_done: float) -> None:
        """Follow the schedule, which is each layer's own where they learn one after another."""
        first, end = self._turn()
        lr = self.learning.lr * schedule.factor(self.learning, epochs_done - first, end - first)
        for optimiser in self.optimisers:
            optimiser.set_lr(lr)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """State that the next epoch depends on, flat: weights (averaged, and those that training goes on from),
        optimiser moments, negatives' memory, epochs done."""
        state = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for number, optimiser in enumerate(self.optimisers):
            state |= {f"optimiser.{number}.{name}": value for name, value in optimiser.state.items()}
        if self.averages:
            state |= {f"trained.{name}": value for name, value in self.averages.trained.items()}
        return state | self.negatives.state | {"epoch": torch.tensor(self.epoch)}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from a `state_dict` of the same configuration."""
        parts: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in state.items():
            *owner, leaf = name.split(".", 2 if name.startswith("optimiser.") else 1)  # a leaf may have dots, too
            parts.setdefault(".".join(owner), {})[leaf] = value
        self.network.load_state_dict(parts["network"])
        for number, optimiser in enumerate(self.optimisers):
            for name, moment in parts.get(f"optimiser.{number}", {}).items():
                optimiser.state[name].copy_(moment)
        if self.averages:
            self.averages.load(parts["trained"])
        for name, value in self.negatives.state.items():
            value.copy_(state[name])
        self.epoch = int(state["epoch"])
