"""Money as a policy writes it, what messages cost, and the calendar periods for which spending is capped."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AfterValidator

MICROS = 1_000_000
"""Millionths in one unit of a currency: what prices are reckoned in, as integers."""

_HOUR = 3_600_000
_FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ([A-Z]{3})", re.ASCII)


def _amount(text: str) -> str:
    if _FORM.fullmatch(text) is None:
        raise ValueError("not an amount of money: write an amount and an ISO 4217 currency, such as 100 USD")
    return text


Amount = Annotated[str, AfterValidator(_amount)]
"""An amount and a currency: 100 USD, or 0.35 EUR."""

PeriodName = Literal["hour", "day", "month"]
"""A period of the calendar, in UTC."""


class Unrated(ValueError):
    """A currency that can't be reckoned in the one that caps are in. The message is for the operator."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What messages cost, in millionths of one currency, and what the others are worth in it."""

    currency: str = "USD"
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    prices: Mapping[tuple[str, str], Mapping[str, int]] = field(default_factory=dict)
    """By provider and channel: by country, and under "" for every other."""

    def price(self, provider: str, channel: str, country: str) -> int | None:
        """Of one message, at the most; None when no table names it."""
        table = self.prices.get((provider, channel), {})
        return table.get(country, table.get(""))

    def reckon(self, amount: str) -> int:
        """An Amount in millionths of the one currency. Raises Unrated."""
        number, _, currency = amount.partition(" ")
        return self.convert(Decimal(number) * MICROS, currency)

    def convert(self, micros: Decimal | int, currency: str) -> int:
        """Millionths of a currency in millionths of the one, rounded up. Raises Unrated."""
        rate = Decimal(1) if currency == self.currency else self.rates.get(currency)
        if rate is None:
            raise Unrated(f"{currency} has no rate to {self.currency}: write spend.rates.{currency}")
        return int((micros * rate).to_integral_value(ROUND_CEILING))


def bounds(period: PeriodName, now: int) -> tuple[int, int]:
    """When the period that `now` lies in began and when it ends, in ms since 1970, UTC."""
    return _bounds(period, now // _HOUR)


@lru_cache(maxsize=64)
def _bounds(period: PeriodName, hour: int) -> tuple[int, int]:
    """All periods begin and end with an hour, so one answer serves for all of it."""
    at = datetime.fromtimestamp(hour * _HOUR // 1000, UTC)
    match period:
        case "hour":
            length = timedelta(hours=1)
        case "day":
            at, length = at.replace(hour=0), timedelta(days=1)
        case "month":
            at, length = at.replace(day=1, hour=0), timedelta(days=monthrange(at.year, at.month)[1])
    began = int(at.timestamp()) * 1000
    return began, began + int(length.total_seconds()) * 1000


def written(micros: int, currency: str) -> str:
    """Millionths as people read them: 0.0079 USD, 12.50 USD."""
    number = f"{Decimal(micros) / MICROS:f}"
    whole, _, part = number.partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')} {currency}"
