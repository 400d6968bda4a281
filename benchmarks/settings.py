"""The networks and batches that are timed: small letters on CPUs, capitals on GPUs, `q` to see that all works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """A network and a batch; `slice`: images of a rival's batch and of a prediction, where a whole takes minutes."""

    widths: tuple[int, int]
    T: int
    encoder: str
    batch: int
    slice: int

    def __str__(self) -> str:
        return f"784-{'-'.join(map(str, self.widths))}, T={self.T}, {self.encoder}, batch {self.batch}"


SETTINGS = {
    "a": Setting((500, 500), 4, "direct", 512, 512),
    "b": Setting((500, 500), 20, "poisson", 512, 512),
    "c": Setting((2000, 2000), 10, "direct", 4096, 256),
    "A": Setting((500, 500), 10, "direct", 4096, 4096),
    "B": Setting((500, 500), 20, "poisson", 512, 512),
    "C": Setting((2000, 2000), 10, "direct", 4096, 2048),
    "q": Setting((64, 64), 2, "direct", 64, 64),
}
