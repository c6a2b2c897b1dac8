"""How one provider does on one channel towards one zone: what arrives, what is verified, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from channels.contract import Cost
from gateway.guard.tally import Sum, Tally

MATURITY = 630_000
"""Milliseconds until it is known that a message leads to no verification: the longest code's life, and half a minute.
Whoever types the code does so within the first one. Were messages counted younger than that, each provider would look
perfect for ten minutes, and whoever carried the fewest messages would look best."""


_RELAPSES = 3
"""After so many, a provider that can't be measured waits no longer than eight times the window."""
_PAUSE = 1_000
"""Milliseconds between two judgements, so that they cost nothing beside the messages themselves."""


@dataclass(frozen=True, slots=True)
class Band:
    """A share that is surely below the one bound is bad, and good again from the other: between them, all stays."""

    bad: float
    good: float


@dataclass(frozen=True, slots=True)
class Terms:
    """How providers are judged. Times are milliseconds."""

    window: int = 1_800_000
    minimum: int = 50  # messages in the window, before they say anything
    delivery: Band = Band(0.6, 0.8)
    conversion: Band = Band(0.2, 0.35)
    cooldown: int = 600_000  # that a judgement, or an order by cost, stays at the least
    exploration: float = 0.05  # of the verifications go first to a provider that is not first, to measure it


class Standing:
    """Holds three tallies, whatever the traffic. Judged in eras: what came before the last turn is not counted again.
    So a provider that is bad is good again by new messages only, and one that is back is not bad for its old ones."""

    def __init__(self, terms: Terms) -> None:
        self.delivery = Tally(terms.window)
        self.conversion = Tally(terms.window + MATURITY)
        self.bad = False
        self.reason = ""  # for the last turn
        self.rates: dict[str, Sum] = {}  # as last judged, those of enough messages
        self._terms = terms
        self._prices = Tally(terms.window)
        self._currency = ""
        self._turned = 0
        self._judged = 0
        self._bad_for: frozenset[str] = frozenset()  # the measures that turned it
        self._relapses = 0

    def paid(self, now: int, cost: Cost) -> None:
        """A vendor named a price. Prices in another currency than before begin anew."""
        if cost.currency != self._currency:
            self._prices, self._currency = Tally(self._terms.window), cost.currency
        self._prices.add(now, cost.micros)

    def price(self, now: int) -> Cost | None:
        """What a message costs, by what the vendor said in the window."""
        found = self._prices.over(now - self._terms.window, now + self._terms.window)
        return Cost(round(found.mean), self._currency) if found.number else None

    def verified(self, now: int) -> Sum:
        """Of the messages in the window whose fate is known, those that led to a verification."""
        return self._conversion(now, 0, None)

    def rests(self, now: int) -> bool:
        """Whether it was judged a moment ago."""
        return now < self._judged + _PAUSE

    def judge(self, now: int) -> bool:
        """Judge by what is known now, once a second. Whether that turned the judgement."""
        if self.rests(now):
            return False
        self._judged, self.rates = now, self._enough(now)
        below = self._below()
        if self.bad == (self._still(now, below) if self.bad else bool(below)):
            return False
        if not self.bad:
            soon = self._turned and now < self._turned + 2 * self._terms.window
            self._bad_for, self._relapses = below, min(_RELAPSES, self._relapses + 1) if soon else 0
        self.bad, self._turned = not self.bad, now
        told = (f"{name} {rate.mean:.0%} of {rate.number}" for name, rate in self.rates.items())
        self.reason = ", ".join(told) or "too few messages to tell"
        return True

    def _below(self) -> frozenset[str]:
        """The measures that are surely bad, or were when it turned bad and are not yet good."""
        bands = {"delivery": self._terms.delivery, "conversion": self._terms.conversion}
        return frozenset(
            name
            for name, rate in self.rates.items()
            if rate.bounds()[1] < bands[name].bad
            or (self.bad and name in self._bad_for and rate.mean < bands[name].good)
        )

    def _still(self, now: int, below: frozenset[str]) -> bool:
        """A bad provider is good again once all that it was bad for is measured as good. Where too few messages are
        left to measure it, it is tried again after a window, and after twice as long when that soon went wrong."""
        if below or now < self._turned + self._terms.cooldown:
            return True
        if self._bad_for <= self.rates.keys():
            return False
        return now < self._turned + (self._terms.window << self._relapses) + MATURITY

    def _enough(self, now: int) -> dict[str, Sum]:
        """Twice the minimum, the newest ones: an hour of good messages must not hide that none arrives any more."""
        enough = 2 * self._terms.minimum
        since = max(now - self._terms.window, self._turned)
        measured = {
            "delivery": self.delivery.over(since, now + self._terms.window, enough),
            "conversion": self._conversion(now, self._turned, enough),
        }
        return {name: rate for name, rate in measured.items() if rate.number >= self._terms.minimum}

    def _conversion(self, now: int, since: int, enough: int | None) -> Sum:
        mature = now - MATURITY
        return self.conversion.over(max(mature - self._terms.window, since), mature, enough)
