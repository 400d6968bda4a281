"""Leaky integrate-and-fire neurons over T time steps: SpikingJelly's dynamics, a plain path and a fused one.

    charge   h[t] = v[t-1] * (1 - 1/tau) + gain * x[t],   gain = 1/tau (decay_input) or 1
    fire     s[t] = 1 if h[t] >= v_threshold else 0,      ds/dh := the surrogate's derivative (Neftci et al. 2019)
    reset    v[t] = h[t] - s[t] * v_threshold (soft),  or h[t] * (1 - s[t]) (hard)

Both paths take the input as three factors, so that what positive and negative copies share is stored once:
`x[t, b] = scale[t, r] * (current[t, r] + offset[b])` with r = b % R.

Legend: T time steps, R rows (images), B samples (copies x R), F neurons.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from spikingjelly.activation_based import functional, surrogate

from ffsnn.config import NetworkConfig

SURROGATES = {
    "atan": surrogate.ATan,
    "sigmoid": surrogate.Sigmoid,
    "piecewise_quadratic": surrogate.PiecewiseQuadratic,
    "piecewise_exp": surrogate.PiecewiseExp,
    "soft_sign": surrogate.SoftSign,
    "super_spike": surrogate.SuperSpike,
    "erf": surrogate.Erf,
}


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
        function: torch.nn.Module = SURROGATES[self.surrogate](alpha=self.surrogate_alpha)
        return function


def lif(
    neuron: LIF,
    T: int,
    current: torch.Tensor,
    scale: torch.Tensor,
    offset: torch.Tensor | None = None,
    fused: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Show an input to a layer for T steps.

    Args:
        neuron: its parameters.
        T: time steps.
        current: (1 or T, R, F), float32 or bfloat16; a time axis of 1 is a constant current.
        scale: (1 or T, R), float32.
        offset: (B, F), float32, B a multiple of R; None: nothing is added and B = R.
        fused: take the compiled path where there is one for this device and precision.

    Returns:
        spikes (T, B, F) of 0 and 1 in the current's type, without a gradient, and counts (B, F) in float32 (float64
        for a float64 current), with one.
    """
    if offset is None:
        offset = current.new_empty(0, current.shape[2], dtype=scale.dtype)
    if fused and current.device.type == "cpu" and current.dtype in (torch.float32, torch.bfloat16):
        from ffsnn.lif_cpu import FusedLIF  # numba is needed on this path alone

        spikes, counts = FusedLIF.apply(current, offset, scale, T, neuron)
        return spikes, counts
    return lif_plain(neuron, T, current, scale, offset)


def lif_plain(
    neuron: LIF, T: int, current: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`lif` through SpikingJelly's multi-step function and autograd; any device."""
    copies = offset.shape[0] // current.shape[1] or 1
    x = current.to(scale.dtype).repeat(1, copies, 1)
    if offset.shape[0]:
        x = x + offset
    x = (x * scale.repeat(1, copies)[:, :, None]).expand(T, -1, -1)
    spikes, _, _ = functional.lif_multi_step(
        x,
        torch.zeros_like(x[0]),
        neuron.tau,
        neuron.decay_input,
        neuron.v_threshold,
        None if neuron.reset == "soft" else 0.0,
        neuron.surrogate_function,
        neuron.detach_reset,
    )
    return spikes.detach().to(current.dtype), spikes.sum(0)
