"""Private random streams: every draw is a function of the run's seed and of where it is used, never of what came
before.

So a resumed run need not replay a stream, and a faster path that draws in another order changes nothing elsewhere.
"""

import hashlib

import torch


def generator(seed: int, name: str, *where: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for the purpose `name` at the place `where`, e.g. (epoch, batch)."""
    digest = hashlib.blake2b(f"{seed}/{name}/{where}".encode(), digest_size=7).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest, "big"))
