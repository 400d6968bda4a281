"""The same work computed by SpikingJelly's modules, to stand beside the core: forward-forward training and prediction.

`NotesLoop` is how the method's notes compute: one time step at a time, positive and negative samples and the ten
labels of a prediction one after the other. The label overlay, slow in the notes, is vectorised here; `AsWritten` has
it as the notes do. `MultiStep` is what one would write next: SpikingJelly's `step_mode='m'`, all samples of a layer in
one batch.

Both: float32, inputs scaled to a root mean square of 1, swish loss on the mean square rate, Adam.

Legend: T time steps, B images, F pixels, H neurons, C classes.
"""

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import nn
from torch.nn.functional import silu

from ffsnn.labels import embed

CLASSES, ALPHA = 10, 60.0


class Rival(nn.Module):
    step_mode: str

    def __init__(self, widths: list[int], T: int, poisson: bool, device: torch.device) -> None:
        super().__init__()
        self.T, self.poisson = T, poisson
        sizes = [784, *widths]
        self.linears = nn.ModuleList(
            nn.Linear(F, H, bias=False, device=device) for F, H in zip(sizes, widths, strict=False)
        )
        self.neurons = nn.ModuleList(
            neuron.LIFNode(tau=2.0, v_threshold=0.5, v_reset=None, surrogate_function=surrogate.ATan(),
                           step_mode=self.step_mode)
            for _ in widths
        )  # fmt: skip
        self.optimisers = [torch.optim.Adam(linear.parameters(), lr=1e-3, fused=True) for linear in self.linears]

    def shown(self, x_BF: torch.Tensor) -> torch.Tensor:
        """(T, B, F)"""
        if self.poisson:
            return (torch.rand(self.T, *x_BF.shape, device=x_BF.device) < x_BF).float()
        return x_BF.expand(self.T, -1, -1)

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return x * (x.shape[-1] ** 0.5 / (x.norm(dim=-1, keepdim=True) + 1e-4))

    def update(self, number: int, pos_BH: torch.Tensor, neg_BH: torch.Tensor) -> None:
        loss = silu(-ALPHA * (pos_BH.square().mean(1) - neg_BH.square().mean(1))).mean()
        self.optimisers[number].zero_grad()
        loss.backward()
        self.optimisers[number].step()


class NotesLoop(Rival):
    step_mode = "s"

    def stream(self, number: int, x_TBF: torch.Tensor) -> torch.Tensor:
        """Spikes (T, B, H) of a layer, from a silent state."""
        functional.reset_net(self.neurons[number])
        return torch.stack([self.neurons[number](self.linears[number](self.scaled(x_BF))) for x_BF in x_TBF])

    def labelled(self, x_BF: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return embed(x_BF, y, CLASSES, 1.0)

    def train_step(self, x_BF: torch.Tensor, y: torch.Tensor, wrong: torch.Tensor) -> None:
        pos, neg = (self.shown(self.labelled(x_BF, label)) for label in (y, wrong))
        for number in range(len(self.linears)):
            pos, neg = self.stream(number, pos), self.stream(number, neg)
            self.update(number, pos.mean(0), neg.mean(0))
            pos, neg = pos.detach(), neg.detach()

    @torch.no_grad()
    def predict(self, x_BF: torch.Tensor) -> torch.Tensor:
        goodness = []
        for label in range(CLASSES):
            h = self.shown(self.labelled(x_BF, torch.full((len(x_BF),), label, device=x_BF.device)))
            total = torch.zeros(len(x_BF), device=x_BF.device)
            for number in range(len(self.linears)):
                h = self.stream(number, h)
                total += h.mean(0).square().mean(1)
            goodness.append(total)
        return torch.stack(goodness, 1).argmax(1)


class AsWritten(NotesLoop):
    """Labels are written, and wrong ones drawn, sample by sample; a GPU is waited for each time."""

    def labelled(self, x_BF: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x_BF = x_BF.clone()
        x_BF[:, :CLASSES] *= 0.0
        for number in range(len(x_BF)):
            x_BF[number, int(y[number].item())] = x_BF.max()
        return x_BF

    def train_step(self, x_BF: torch.Tensor, y: torch.Tensor, wrong: torch.Tensor) -> None:
        drawn = y.clone()
        for number, true in enumerate(y):
            others = [label for label in range(CLASSES) if label != true.item()]
            drawn[number] = torch.tensor(others)[torch.randint(len(others), (1,))].item()
        super().train_step(x_BF, y, drawn)


class MultiStep(Rival):
    step_mode = "m"

    def stream(self, number: int, x_TBF: torch.Tensor) -> torch.Tensor:
        functional.reset_net(self.neurons[number])
        spikes: torch.Tensor = self.neurons[number](self.linears[number](self.scaled(x_TBF)))
        return spikes

    def train_step(self, x_BF: torch.Tensor, y: torch.Tensor, wrong: torch.Tensor) -> None:
        h = self.shown(torch.cat([embed(x_BF, label, CLASSES, 1.0) for label in (y, wrong)]))
        for number in range(len(self.linears)):
            h = self.stream(number, h)
            self.update(number, *h.mean(0).chunk(2))
            h = h.detach()

    @torch.no_grad()
    def predict(self, x_BF: torch.Tensor) -> torch.Tensor:
        labels = torch.arange(CLASSES, device=x_BF.device).repeat_interleave(len(x_BF))
        h = self.shown(embed(x_BF.repeat(CLASSES, 1), labels, CLASSES, 1.0))
        total = torch.zeros(len(labels), device=x_BF.device)
        for number in range(len(self.linears)):
            h = self.stream(number, h)
            total += h.mean(0).square().mean(1)
        return total.view(CLASSES, -1).argmax(0)
