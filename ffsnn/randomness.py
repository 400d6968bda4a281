"""Private random streams: every draw is a function of the run's seed and of where it is used, never of what came
before.

So a resumed run need not replay a stream, and a faster path that draws in another order changes nothing elsewhere.
"""

import hashlib

import torch


def seed_of(seed: int, name: str, *where: int) -> int:
    """The seed for the purpose `name` at the place `where`, e.g. (epoch, batch)."""
    digest = hashlib.blake2b(f"{seed}/{name}/{where}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def generator(seed: int, name: str, *where: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for the purpose `name` at the place `where`."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, name, *where))
