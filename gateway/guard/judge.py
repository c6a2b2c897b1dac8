"""The slower judge: by what becomes of the messages, it says which providers are bad now and which are the cheapest.

The breaker beside it sees refusals within seconds. What it can't see is a provider that accepts everything and brings
little of it: that shows only in delivery reports and in people who type the code, over half an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from math import inf
from typing import Any, NamedTuple, TypeVar

import structlog

from channels.contract import Cost
from gateway.guard.standing import Standing, Terms
from gateway.guard.tally import Sum
from gateway.telemetry.metrics import Metrics

_MOST = 2_000
"""Standings and orders of each kind. A configuration of ten providers on four channels has fewer than 400."""
_PAUSE = 1_000
"""Milliseconds between two looks at an order."""


class Way(NamedTuple):
    """A provider on a channel towards a zone, which is a group of countries: see guard.circuits.zone_of. Or towards one
    country, by its two letters."""

    provider: str
    channel: str
    zone: str


Price = Callable[[str], Cost | None]
"""What a message of that provider costs."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Order(NamedTuple):
    providers: tuple[str, ...]
    rests: int  # ms until it is looked at again


class Judge:
    """Learns from what it is told, and reads no clock: `now` is ms. One for each process, for as long as it lives: what
    the others see is like what this one sees, and a round trip to the store for every message would cost more than the
    messages that each process needs to find out for itself."""

    def __init__(self, terms: Terms | None = None, metrics: Metrics | None = None, log: Any = None) -> None:
        self.terms = terms or Terms()
        self._metrics = metrics
        self._log = log or structlog.get_logger()
        self._standings: dict[Way, Standing] = {}
        self._countries: dict[Way, Standing] = {}  # for the order by cost alone: too few messages to judge by
        self._reporting: set[tuple[str, ...]] = set()
        self._orders: dict[tuple[str, str, tuple[str, ...]], _Order] = {}

    def reported(self, way: Way) -> None:
        """A report of the vendor came through, about any message."""
        self._reporting.add(way[:2])

    def reports(self, way: Way) -> bool:
        """Whether reports come through, so that their absence means something. An account whose reports were never set
        up would else look as if it brought nothing."""
        return way[:2] in self._reporting

    def delivered(self, way: Way, now: int, arrived: bool) -> None:
        """Whether a message arrived in time."""
        standing = self._standing(way)
        standing.delivery.add(now, arrived)
        self._judge(way, standing, now)

    def ended(self, way: Way, queued_at: int, now: int, verified: bool, country: str = "") -> None:
        """Whether a message, queued at that time, led to a verification that has now ended."""
        standing = self._standing(way)
        standing.conversion.add(queued_at, verified)
        self._judge(way, standing, now)
        if country:
            self._of_country(way, country).conversion.add(queued_at, verified)

    def paid(self, way: Way, now: int, cost: Cost, country: str = "") -> None:
        """A vendor named the price of a message."""
        self._standing(way).paid(now, cost)
        if country:
            self._of_country(way, country).paid(now, cost)

    def bad(self, way: Way, now: int) -> str:
        """Why the provider should stand behind the others, such as "delivery 41% of 63"; "" when it should not."""
        standing = self._standings.get(way)
        if standing is None:
            return ""
        self._judge(way, standing, now)  # time alone may have turned it
        return standing.reason if standing.bad else ""

    def cheapest(
        self, channel: str, zone: str, providers: tuple[str, ...], price: Price, now: int, country: str = ""
    ) -> tuple[str, ...]:
        """The providers by what a verification costs with each: the price of a message over the share of messages that
        led to one, in this country. Where not even two providers had enough messages there, in its zone. `price` is
        what the configuration says of a provider, for vendors that name none.

        One goes before another only when it is cheaper even if its share is at its lower bound and the other's at its
        upper: so neither order of two that are alike can push out the other. Those with too few messages keep their
        places. Where the prices are unknown or in several currencies, all messages are taken to cost the same.
        """
        key = channel, country or zone, providers
        order, rests = self._orders.get(key, _Order(providers, now))
        if now < rests:
            return order
        standings = self._measured(channel, zone, country, order, now)
        found = self._by_cost(standings, order, price, now)
        _keep(self._orders, key, _Order(found, now + (_PAUSE if found == order else self.terms.cooldown)))
        if found != order:
            self._log.warning(
                "order.changed",
                channel=channel,
                zone=zone or None,
                country=country or None,
                providers=list(found),
                reason="cost",
            )
        return found

    def _measured(self, channel: str, zone: str, country: str, order: tuple[str, ...], now: int) -> dict[str, Standing]:
        """The standings of those that had enough messages: in the country, or else in the zone."""

        def among(standings: Mapping[Way, Standing], where: str) -> dict[str, Standing]:
            found = ((provider, standings.get(Way(provider, channel, where))) for provider in order)
            return {name: s for name, s in found if s and s.verified(now).number >= self.terms.minimum}

        near = among(self._countries, country)
        return near if len(near) > 1 else among(self._standings, zone)

    def _by_cost(
        self, standings: Mapping[str, Standing], order: tuple[str, ...], price: Price, now: int
    ) -> tuple[str, ...]:
        shares = {provider: standing.verified(now) for provider, standing in standings.items()}
        measured = list(shares)
        paid = {provider: standings[provider].price(now) or price(provider) for provider in measured}
        costs = _comparable(paid)
        ranges = {provider: _range(costs[provider], shares[provider]) for provider in measured}
        ranked: list[str] = []
        for provider in measured:  # before the first that it beats; those that can't be told apart stay as they are
            beaten = (place for place, other in enumerate(ranked) if ranges[provider][1] < ranges[other][0])
            ranked.insert(next(beaten, len(ranked)), provider)
        places = iter(ranked)
        return tuple(next(places) if provider in paid else provider for provider in order)

    def _standing(self, way: Way) -> Standing:
        found = self._standings.get(way)
        if found is None:
            found = Standing(self.terms)
            _keep(self._standings, way, found)
        return found

    def _of_country(self, way: Way, country: str) -> Standing:
        way = Way(way.provider, way.channel, country)
        found = self._countries.get(way) or Standing(self.terms)
        _keep(self._countries, way, found)
        return found

    def _judge(self, way: Way, standing: Standing, now: int) -> None:
        if standing.rests(now):  # and what is measured of it is what it was
            return
        turned = standing.judge(now)
        self._measure(way)
        if turned:
            self._log.warning(
                "provider.judged",
                provider=way.provider,
                channel=way.channel,
                zone=way.zone or None,
                state="bad" if standing.bad else "good",
                reason=standing.reason,
            )

    def _measure(self, way: Way) -> None:
        """One value for all the zones of a channel, the worst, since a metric for each would cost ten times the
        series."""
        if self._metrics is None:
            return
        zones = [s for w, s in self._standings.items() if w[:2] == way[:2]]
        self._metrics.judged(way.provider, way.channel, any(standing.bad for standing in zones))
        for name in ("delivery", "conversion"):
            rates = [standing.rates[name].mean for standing in zones if name in standing.rates]
            if rates:
                self._metrics.share(way.provider, way.channel, name, min(rates))


def _keep(those: MutableMapping[_Key, _Value], key: _Key, value: _Value) -> None:
    """As the newest; the oldest goes when there are too many."""
    those.pop(key, None)
    those[key] = value
    if len(those) > _MOST:
        del those[next(iter(those))]


def _comparable(prices: Mapping[str, Cost | None]) -> dict[str, int]:
    """Millionths of one currency, or the same for all."""
    known = {provider: cost for provider, cost in prices.items() if cost is not None}
    if len(known) < len(prices) or len({cost.currency for cost in known.values()}) > 1:
        return dict.fromkeys(prices, 1_000_000)
    return {provider: max(1, cost.micros) for provider, cost in known.items()}


def _range(price: int, share: Sum) -> tuple[float, float]:
    """Between what one verification costs."""
    low, high = share.bounds()
    return price / high, price / low if low else inf
