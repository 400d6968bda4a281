"""Formats that a trained network can be exported in, by name; each says which networks it cannot hold."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ffsnn.config import RunConfig
from ffsnn.datasets.dataset import Images
from ffsnn.network import Network
from ffsnn.parts.registry import Registry
from ffsnn.validation import ConfigError

Write = Callable[[Network, Images, Path, int], list[str]]  # network, images, where, bits -> what was done


@dataclass(frozen=True)
class Format:
    """A format."""

    write: Write
    refusal: Callable[[RunConfig], str | None]  # the field of a configuration that it cannot hold, and why; None: none
    bits: tuple[int, ...] = ()  # of a weight, the usual number first; none: it takes floating point as it is


EXPORTS: Registry[Format] = Registry("format", "ffsnn.handover.integers", "ffsnn.handover.nir_graph")


def portable(config: RunConfig) -> RunConfig:
    """A configuration without what is of this machine."""
    return config.model_copy(update={"device": "auto", "data_dir": None})


register = EXPORTS.decorator(Format)


def export(network: Network, images: Images, where: Path, name: str, bits: int | None = None) -> list[str]:
    """Write a trained network in a format; in words, what was written and what was measured.

    Args:
        network: on the CPU.
        images: its validation images; of a final fit, training images.
        where: the file or folder, as the format has it, which is replaced if it is there.
        name: of the format.
        bits: of a weight; None: the format's usual number.

    Raises:
        ConfigError: there is no such format, it does not have so many bits, it cannot hold the network, or the file
            cannot be written; one line.
    """
    try:
        format_ = EXPORTS[EXPORTS.check(name)]
    except ValueError as error:
        raise ConfigError(f"--to {error}") from None
    if bits is not None and bits not in format_.bits:
        able = " or ".join(map(str, format_.bits)) or "none: its weights are in floating point"
        raise ConfigError(f"{name} takes --bits {able}, but got {bits}")
    if why := format_.refusal(network.config):
        raise ConfigError(f"{name} cannot hold this network: {why}")
    try:
        return format_.write(network, images, where, bits or next(iter(format_.bits), 0))
    except OSError as error:
        raise ConfigError(f"cannot write to {where}: {error.strerror or error}; choose another place") from error
