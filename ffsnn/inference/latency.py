"""The latency of a prediction: milliseconds from one image to its label, on the device that the network is on."""

import statistics
import time

import torch

from ffsnn.network import Network

IMAGES = 31  # predicted one at a time; the median of so many is not moved by a process that comes in between
WARM = 3  # predictions before, which compile and allocate


def milliseconds(network: Network, x: torch.Tensor) -> float:
    """The median time of a prediction of one image, under all labels that it needs.

    Other work on the machine makes it longer, so it is to be compared within a search whose trials share the machine
    alike; it includes the transfer of the label from a GPU.

    Args:
        network: a trained one.
        x: uint8 images (N, F) or recordings (N, T, F) on its device, one at least.

    Raises:
        ValueError: there is no image.
    """
    if not len(x):
        raise ValueError("latency is measured on images and needs one, but got 0")
    taken = []
    for number in range(-WARM, IMAGES):
        image = x[number % len(x)][None]
        start = time.perf_counter()
        network.scores(image).argmax(1).item()  # `item` waits for the device
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken[WARM:])
