"""Leaky integrate-and-fire neurons over T time steps: SpikingJelly's dynamics.

`lif_cpu.py` and `lif_triton.py` have them compiled, for CPUs and for GPUs.

    charge   h[t] = v[t-1] * (1 - 1/tau) + gain * x[t],   gain = 1/tau (decay_input) or 1
    fire     s[t] = 1 if h[t] >= v_threshold else 0,      ds/dh := the surrogate's derivative (Neftci et al. 2019)
    reset    v[t] = h[t] - s[t] * v_threshold (soft),  or h[t] * (1 - s[t]) (hard)

Legend: T time steps, B samples, F neurons.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from spikingjelly.activation_based import functional

from ffsnn.config import NetworkConfig
from ffsnn.parts.registry import SURROGATES


@dataclass(frozen=True)
class LIF:
    """A layer's neuron parameters."""

    tau: float
    v_threshold: float
    decay_input: bool
    reset: str
    detach_reset: bool
    surrogate: str
    surrogate_alpha: float

    @classmethod
    def of(cls, config: NetworkConfig) -> "LIF":
        return cls(**{name: getattr(config, name) for name in cls.__dataclass_fields__})

    @property
    def leak(self) -> float:
        return 1.0 - 1.0 / self.tau

    @property
    def gain(self) -> float:
        return 1.0 / self.tau if self.decay_input else 1.0

    @cached_property
    def surrogate_function(self) -> torch.nn.Module:
        return SURROGATES[self.surrogate].make(alpha=self.surrogate_alpha)


def lif(neuron: LIF, T: int, x: torch.Tensor, own: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Show an input (1 or T, B, F) to a layer for T steps, by SpikingJelly's multi-step function and autograd.

    With `own`, leak, gain and v_threshold of each neuron (3, F), which carry a gradient, by the same dynamics step by
    step: SpikingJelly's function takes numbers alone.

    Returns:
        spikes (T, B, F) as uint8, and counts (B, F) in the input's type, which alone carry a gradient.
    """
    x = x.expand(T, -1, -1)
    if own is not None:
        v, fired = torch.zeros_like(x[0]), []
        for at in x:
            spike, v = lif_step(neuron, at, v, own)
            fired.append(spike)
        return torch.stack(fired).detach().to(torch.uint8), torch.stack(fired).sum(0)
    v_reset = None if neuron.reset == "soft" else 0.0
    spikes, _, _ = functional.lif_multi_step(
        x, torch.zeros_like(x[0]), neuron.tau, neuron.decay_input, neuron.v_threshold, v_reset,
        neuron.surrogate_function, neuron.detach_reset,
    )  # fmt: skip
    return spikes.detach().to(torch.uint8), spikes.sum(0)


def lif_step(
    neuron: LIF, x: torch.Tensor, v: torch.Tensor, own: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of `lif`: spikes (B, F) in the input's type and membrane potentials after it, of an input (B, F) and
    the potentials before it; by SpikingJelly's single-step function, unless neurons have values of their `own`."""
    if own is not None:
        leak, gain, threshold = own
        h = leak * v + gain * x
        spike: torch.Tensor = neuron.surrogate_function(h - threshold)
        reset = spike.detach() if neuron.detach_reset else spike
        return spike, h - reset * threshold if neuron.reset == "soft" else h * (1 - reset)
    v_reset = None if neuron.reset == "soft" else 0.0
    spikes, after = functional.lif_step(
        x, v, neuron.tau, neuron.decay_input, neuron.v_threshold, v_reset, neuron.surrogate_function,
        neuron.detach_reset,
    )  # fmt: skip
    return spikes, after
