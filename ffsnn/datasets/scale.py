"""Values as bytes, by a range that is learned from training values alone.

Legend: N rows, F inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scale:
    """The range of values that becomes 0 to 255; what is beyond is cut off."""

    low: Array | float
    high: Array | float

    @classmethod
    def of(cls, train: Array, each: bool) -> "Scale":
        """The scale for training values (N, F).

        Bytes, and numbers that could be, stay as they are, and shares of 0..1 become 0..255, but where inputs measure
        different things (`each`) and are no bytes: there each one has its own range. Numbers that would leave the
        upper half of the bytes empty are no bytes: so are scikit-learn's digits, of 0..16.
        """
        if train.dtype == np.uint8:
            return cls(0.0, 255.0)
        if each:
            return cls(train.min(0).astype(np.float64), train.max(0).astype(np.float64))
        low, high = float(train.min()), float(train.max())
        if low >= 0 and high <= 1:
            return cls(0.0, 1.0)
        if low >= 0 and high < 128:
            return cls(0.0, high)
        return cls(0.0, 255.0) if low >= 0 and high <= 255 else cls(low, high)

    @classmethod
    def kept(cls, low: Sequence[float], high: Sequence[float]) -> "Scale":
        """One that was written down: a number for all inputs, or one for each."""
        if len(low) == 1:
            return cls(float(low[0]), float(high[0]))
        return cls(np.array(low, np.float64), np.array(high, np.float64))

    def ends(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """As it is written down."""
        low, high = (tuple(np.ravel(it).tolist()) for it in (self.low, self.high))
        return low, high

    @property
    def is_learned(self) -> bool:
        """True unless values keep their meaning as shares or bytes."""
        return not isinstance(self.low, float) or (self.low, self.high) not in ((0.0, 1.0), (0.0, 255.0))

    def bytes(self, values: Array) -> npt.NDArray[np.uint8]:
        if values.dtype == np.uint8 and not self.is_learned:
            return values.astype(np.uint8, copy=False)
        spread = np.subtract(self.high, self.low)
        shares = (values.astype(np.float64) - self.low) / np.where(spread > 0, spread, 1.0)
        scaled: npt.NDArray[np.uint8] = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
        return scaled
