"""How many trials share a GPU, as it was measured (`search.cluster.gpu_packing`) and is kept in `card.json`."""

from collections.abc import Mapping

from pydantic import Field

from ffsnn.config import Config

GROWTH = 1.1  # of the images a second, for twice as many trials to be worth it
FULL = 0.9  # of what is free on a GPU, that trials may take


class PackingResult(Config):
    """card.json: what was seen on a card."""

    card: str
    total: int = Field(description="bytes")
    free: int = Field(description="bytes, without any trial")
    most: int = Field(default=1, description="trials that were to share it at most, when this was measured")
    needed: int = Field(gt=0, description="bytes of a trial of the largest configuration")
    rates: dict[int, float] = Field(description="trials at once -> training images a second of all together")

    @property
    def trials(self) -> int:
        """How many share the card."""
        return chosen(self.rates)

    def holds(self, card: str, total: int, free: int, most: int) -> bool:
        """Whether it is good for a card as it is now: the same one, for as many trials, and they still fit."""
        same = (self.card, self.total) == (card, total) and self.most >= most
        return same and fit(free, self.needed) >= self.trials

    def __str__(self) -> str:
        said = f"{self.card}: {self.needed / 1e6:,.0f} MB a trial at most, {self.rates[1]:,.0f} images/s alone"
        said += "".join(f", {rate:,.0f} with {number}" for number, rate in self.rates.items() if number > 1)
        return f"{said}: {self.trials} share the card"


def chosen(rates: Mapping[int, float]) -> int:
    """The last number of trials at once that gained a tenth over the one before."""
    best, *more = sorted(rates)
    for number in more:
        if rates[number] / rates[best] < GROWTH:
            break
        best = number
    return best


def fit(free: float, needed: float) -> int:
    """How many trials of so many bytes fit into what is free; one is always tried."""
    return max(1, int(FULL * free / needed))
