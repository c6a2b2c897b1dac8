"""How one provider does on one channel towards one zone: what arrives, what is verified, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from channels.contract import Cost
from gateway.guard.tally import Sum, Tally

MATURITY = 630_000
"""Milliseconds until it is known that a message leads to no verification: the longest code's life, and half a minute.
Whoever types the code does so within the first one. Were messages counted younger than that, each provider would look
perfect for ten minutes, and whoever carried the fewest messages would look best."""


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

    def judge(self, now: int) -> bool:
        """Judge by what is known now. Whether that turned the judgement."""
        self.rates = self._enough(now)
        if self.bad == self._still_bad(now):
            return False
        self.bad, self._turned = not self.bad, now
        told = (f"{name} {rate.mean:.0%} of {rate.number}" for name, rate in self.rates.items())
        self.reason = ", ".join(told) or "too few messages to tell"
        return True

    def _still_bad(self, now: int) -> bool:
        bands: Mapping[str, Band] = {"delivery": self._terms.delivery, "conversion": self._terms.conversion}
        if not self.bad:
            return any(rate.bounds()[1] < bands[name].bad for name, rate in self.rates.items())
        if now < self._turned + self._terms.cooldown:
            return True
        if self.rates:
            return any(rate.mean < bands[name].good for name, rate in self.rates.items())
        return now < self._turned + self._terms.window  # too few messages to tell: after a window it is tried again

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
