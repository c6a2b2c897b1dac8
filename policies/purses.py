"""Purses in memory and in virtual time: what the store would reserve and refuse, by price lists alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from policies.model import Cap
from policies.money import PeriodName, bounds

Key = tuple[str, str, PeriodName]
"""Whose purse it is: what it belongs to, the value of that, and the period."""


class Purses:
    """What is spent in the newest period of each. The rules are those of the store's own script: all purses are paid
    from or none, and what is free is never refused. A price is taken to be what the lists say, and kept."""

    def __init__(self) -> None:
        self._spent: dict[Key, tuple[int, int]] = {}  # when the period began, and the millionths

    def full(self, caps: Iterable[Cap], price: int, since: int) -> Cap | None:
        """The first cap that can't take the price of one message, of a verification that began at `since` (ms)."""
        return next((cap for cap, held in self._open(caps, price, since) if held + price > cap.amount), None)

    def pay(self, caps: Iterable[Cap], price: int, since: int) -> None:
        """Take it from all of them."""
        for cap, held in list(self._open(caps, price, since)):
            self._spent[_key(cap)] = bounds(cap.period, since)[0], held + price

    def _open(self, caps: Iterable[Cap], price: int, since: int) -> Iterator[tuple[Cap, int]]:
        """The purses that it concerns, and what they hold. One of a period that is over is forgotten."""
        for cap in caps if price else ():
            began = bounds(cap.period, since)[0]
            known, spent = self._spent.get(_key(cap), (0, 0))
            if began >= known:
                yield cap, spent if began == known else 0


def _key(cap: Cap) -> Key:
    return cap.per, cap.subject, cap.period
