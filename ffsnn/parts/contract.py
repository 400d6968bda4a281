"""What a part must do, tried out on small tensors: shapes, finite values, and a gradient where one is needed.

It is asked of a part of one's own before anything is trained with it, so that a search never begins with a broken one.

Legend: T time steps, B samples, K negative samples of an image, F neurons or pixels.
"""

import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ffsnn.parts import registry
from ffsnn.parts.registry import Registry

if TYPE_CHECKING:
    import torch

B, F, T = 4, 6, 8
Check = Callable[[Any], str | None]  # a part -> what is wrong with it; None: nothing
ON_A_NETWORK = "ffsnn.training.network_contracts"  # checks that build a network, which stands on this floor


def broken(parts: Registry[Any], name: str) -> str | None:
    """The rule that a part breaks, in a line that names it; None: it breaks none, or nothing is asked of its kind."""
    check = CHECKS.get(parts.kind)
    if check is None:
        return None
    try:
        wrong = _uncompiled(parts, name) or check(parts[name])
    except Exception as error:  # whatever the part may raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())
        wrong = f"fails when it is tried out, at {last.filename}, line {last.lineno}: {type(error).__name__}: {said}"
    return f"the {parts.kind} {name!r} {wrong}" if wrong else None


def _uncompiled(parts: Registry[Any], name: str) -> str | None:
    if parts.origin(name) is not None and getattr(parts[name], "compiled", False):
        return "must not say compiled=True, for the kernels know those of ffsnn alone: leave it out"
    return None


def _rates() -> "torch.Tensor":
    """Rates (B, F): silent neurons, some that fire at every step, and all between."""
    import torch

    between = torch.linspace(0.1, 0.9, F)
    return torch.stack([torch.zeros(F), torch.ones(F), between, between.flip(0) * (between > 0.5)])


def _goodness(part: Any) -> str | None:
    import torch

    rates = _rates().requires_grad_()
    if wrong := _problem(part.of(rates), (B,), f"(B,) of rates (B, F) = ({B}, {F})"):
        return wrong
    stated = {"total": rates.mean(1), "squares": rates.square().mean(1)}.get(part.statistic)
    if stated is not None and not torch.allclose(part.of(rates), stated):
        what = "mean" if part.statistic == "total" else "mean of squares"
        return f"says statistic={part.statistic!r}, but is not the {what} of the rates: leave statistic out"
    return _gradient(part.of(rates), rates)


def _loss(part: Any) -> str | None:
    import torch

    better, worse = (torch.tensor(values).requires_grad_() for values in ([0.0, 0.3, 1.0], [0.2, 0.0, 1.0]))
    if part.joint:
        worse = torch.stack([worse.detach(), 0.5 * worse.detach()]).requires_grad_()
    for alpha in (1.0, 50.0):
        given = part.of(better, worse, alpha, 0.1 if part.has_theta else 0.0)
        if wrong := _problem(given, (), f"a scalar, (), of goodness (B,) and {'(K, B)' if part.joint else '(B,)'}"):
            return wrong
        if wrong := _gradient(given, better, worse):
            return wrong
    return None


def _encoder(part: Any) -> str | None:
    import torch

    steps = max(part.least_T, T)
    x = _rates()
    given = part.encode(x.clone(), steps, torch.Generator().manual_seed(0))
    shape = (1 if part.constant else steps, B, F)
    said = f"({'1' if part.constant else 'T'}, B, F) = {_shown(shape)} of pixels (B, F) and T = {steps}"
    if wrong := _problem(given, shape, said):
        return wrong
    wanted = x.dtype if part.constant else torch.uint8
    if given.dtype != wanted:
        return f"must give {wanted}, but gave {given.dtype}"
    if not part.constant and int(given.max()) > 1:
        return f"must give spikes, 0 or 1, but gave {int(given.max())}"
    return None


def _features(part: Any) -> str | None:
    import torch

    shape = (1, 8, 8)
    x = torch.linspace(0, 1, B * 64).view(B, 64)
    given, count = part.extract(seen := x.clone(), shape), part.count(shape)
    if not torch.equal(seen, x):
        return "must leave the pixels as they are, but changed them in place"
    if wrong := _problem(given, (B, count), f"(B, E) of pixels (B, 64) and shape {shape}, E = {count}"):
        return wrong
    if given.dtype != x.dtype:
        return f"must give {x.dtype}, but gave {given.dtype}"
    if ((given < 0) | (given > 1)).any():
        return f"must give values in [0, 1], as pixels are, but gave {given.min():.3g} to {given.max():.3g}"
    return None


def _surrogate(part: Any) -> str | None:
    import torch

    potential = torch.linspace(-1, 1, B * F).view(B, F).requires_grad_()
    spikes = part.make(alpha=2.0)(potential)
    if wrong := _problem(spikes, (B, F), f"spikes {_shown((B, F))} of h - v_threshold {_shown((B, F))}"):
        return wrong
    if not torch.equal(spikes.detach(), (potential >= 0).to(spikes.dtype)):
        return "must give a spike, 1, where h - v_threshold >= 0, and 0 elsewhere"
    return _gradient(spikes.sum(), potential)


def _on_a_network(name: str) -> Check:
    def check(part: Any) -> str | None:
        wrong: str | None = getattr(import_module(ON_A_NETWORK), name)(part)
        return wrong

    return check


def _problem(given: Any, shape: tuple[int, ...], wanted: str) -> str | None:
    import torch

    if not isinstance(given, torch.Tensor):
        return f"must give {wanted}, but gave {type(given).__name__}"
    if tuple(given.shape) != shape:
        return f"must give {wanted}, but gave {_shown(tuple(given.shape))}"
    if not given.detach().float().isfinite().all():
        return f"gives values that are not finite: {[round(v, 3) for v in given.detach().flatten().tolist()[:6]]}"
    return None


def _gradient(given: "torch.Tensor", *inputs: "torch.Tensor") -> str | None:
    import torch

    if not given.requires_grad:
        return "has no gradient: it must be made of differentiable functions of torch"
    gradients: Sequence[torch.Tensor | None] = torch.autograd.grad(given.sum(), inputs, allow_unused=True)
    for gradient in gradients:
        if gradient is not None and not gradient.isfinite().all():
            return "has a gradient that is not finite where rates are 0, 1 or equal"
    if not any(gradient is not None and gradient.any() for gradient in gradients):
        return "has a gradient of 0 everywhere, so nothing would be learned"
    return None


def _shown(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


# By kind; whoever has a registry of its own adds to them.
CHECKS: dict[str, Check] = {
    registry.GOODNESS.kind: _goodness, registry.LOSSES.kind: _loss, registry.ENCODERS.kind: _encoder,
    registry.FEATURES.kind: _features, registry.SURROGATES.kind: _surrogate,
    registry.LAYERS.kind: _on_a_network("layer"),
    registry.NEGATIVES.kind: _on_a_network("negatives"), registry.PREDICTIONS.kind: _on_a_network("prediction"),
}  # fmt: skip
