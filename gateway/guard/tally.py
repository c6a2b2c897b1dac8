"""Sums over a sliding window of time, kept in a few slices, so that memory does not grow with traffic."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

_SLICES = 40
_Z = 1.96
"""How sure a bound is: of forty shares, one is truly under its lower and one over its upper bound."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What was added, and how often."""

    value: int = 0
    number: int = 0

    @property
    def mean(self) -> float:
        return self.value / self.number if self.number else 0.0

    def bounds(self) -> tuple[float, float]:
        """Between what the true share lies, for values of 0 and 1: Wilson's interval (1927), which holds for small
        numbers and for shares near 0 and 1, where the usual one does not."""
        if not self.number:
            return 0.0, 1.0
        square = _Z * _Z / self.number
        middle = self.mean + square / 2
        reach = _Z * sqrt((self.mean * (1 - self.mean) + square / 4) / self.number)
        return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))


class Tally:
    """Values by the time that they belong to, which may be some while ago. Times are ms, by one clock."""

    def __init__(self, kept: int) -> None:
        """`kept` is how far it looks back, give or take a fortieth."""
        self._width = max(1, kept // _SLICES)
        self._slices: dict[int, list[int]] = {}

    def add(self, at: int, value: int) -> None:
        found = self._slices.setdefault(at // self._width, [0, 0])
        found[0] += value
        found[1] += 1
        if len(self._slices) > _SLICES + 2:
            del self._slices[min(self._slices)]

    def over(self, since: int, until: int, enough: int | None = None) -> Sum:
        """The sum of the slices that lie between two times, whole: of the newest only, once they hold `enough`."""
        first, last = -(-since // self._width), min(until // self._width, max(self._slices, default=0) + 1)
        value = number = 0
        for slice_ in range(last - 1, first - 1, -1):
            values, times = self._slices.get(slice_, (0, 0))
            value += values
            number += times
            if enough is not None and number >= enough:
                break
        return Sum(value, number)
