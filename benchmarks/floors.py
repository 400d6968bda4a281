"""The least that a training step or a prediction can take: bytes over bandwidth, operations over the rate of products.

Operations are those of dense products: forward and for the weights' gradient, which is all that layers with losses of
their own need. Bytes are those that pass through memory where products and neurons are kernels of their own, each
tensor moved as seldom as that allows: spikes as bytes, the time steps' potentials nowhere (the backward pass computes
them again from the currents), positive and negative copies sharing what does not depend on the label.

Legend: T time steps, B images, S samples (2 B in training, 10 B in a prediction), F pixels, H1, H2 neurons, w bytes of
a number in products.
"""

from benchmarks.settings import Setting

F, CLASSES, COPIES = 784, 10, 2
SPIKE, STATE = 1, 4  # bytes of a spike; of a count, a weight, a moment


def training_flops(setting: Setting) -> float:
    """2 x 2 (B F H1 [T, where the input varies in time] + S T H1 H2)."""
    (H1, H2), T, B = setting.widths, setting.T, setting.batch
    return 2 * 2 * (_steps(setting) * B * F * H1 + COPIES * B * T * H1 * H2)


def prediction_flops(setting: Setting) -> float:
    """2 (B F H1 [T] + S T H1 H2), of `slice` images."""
    (H1, H2), T, B = setting.widths, setting.T, setting.slice
    return 2 * (_steps(setting) * B * F * H1 + CLASSES * B * T * H1 * H2)


def training_bytes(setting: Setting, w: int) -> dict[str, int]:
    """What a step moves, by what it is; how often stands in front."""
    (H1, H2), T, B = setting.widths, setting.T, setting.batch
    S, steps = COPIES * B, _steps(setting)
    return {
        "images: read": B * F,
        "input of layer 1: written, read by two products": 3 * steps * B * F * (w if steps == 1 else SPIKE),
        "currents of layer 1: written, read forward and backward": 3 * w * steps * B * H1,
        "spikes of layer 1: written, read by two products": 3 * SPIKE * T * S * H1,
        "currents of layer 2: written, read forward and backward": 3 * w * T * S * H2,
        "gradients of currents: written, read": 2 * w * (steps * B * H1 + T * S * H2),
        "counts and their gradients: written, read": 4 * STATE * S * (H1 + H2),
        "weights, gradients, two moments: read, written": 8 * STATE * (F * H1 + H1 * H2),
    }


def prediction_bytes(setting: Setting, w: int) -> dict[str, int]:
    """The same of a prediction of `slice` images under all labels."""
    (H1, H2), T, B = setting.widths, setting.T, setting.slice
    S, steps = CLASSES * B, _steps(setting)
    return {
        "images: read": B * F,
        "input of layer 1: written, read": 2 * steps * B * F * (w if steps == 1 else SPIKE),
        "currents of layer 1: written, read": 2 * w * steps * B * H1,
        "spikes of layer 1: written, read": 2 * SPIKE * T * S * H1,
        "currents of layer 2: written, read": 2 * w * T * S * H2,
        "counts: written, read": 2 * STATE * S * (H1 + H2),
        "weights: read": w * (F * H1 + H1 * H2),
    }


def nearer(moved: dict[str, int], flops: float, gb_s: float, gflops: float) -> dict[str, float]:
    """Both floors in milliseconds; the nearer one, which no step of this kind can undercut, is the larger."""
    by_bytes, by_operations = sum(moved.values()) / gb_s / 1e6, flops / gflops / 1e6
    return {"bytes_ms": by_bytes, "operations_ms": by_operations, "nearer_ms": max(by_bytes, by_operations)}


def _steps(setting: Setting) -> int:
    """Time steps for which layer 1 has an input of its own."""
    return 1 if setting.encoder == "direct" else setting.T
