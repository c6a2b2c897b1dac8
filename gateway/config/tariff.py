"""What messages cost: the price lists of the providers, in the one currency that caps are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import ceil

from channels.contract import CALL_LIMIT, Channel
from channels.price import DEFAULT, micros
from gateway.config.model import CurrencySettings
from gateway.config.settings import ProviderSection
from policies.money import Tariff, Unrated


def tariff(spend: CurrencySettings, providers: Mapping[str, ProviderSection], segments: Mapping[str, int]) -> Tariff:
    """The tariff. `segments` are the most parts of one message, by channel, each of which costs. A call costs as much
    as the longest one. A price in a currency without a rate is left out: see `unrated`."""
    bare = Tariff(spend.currency, {currency: Decimal(str(rate)) for currency, rate in spend.rates.items()})
    units = {**segments, Channel.VOICE: ceil(CALL_LIMIT / 60)}
    prices = {
        (name, channel): table
        for name, section in providers.items()
        for channel, table in _tables(section, bare, units)
    }
    return Tariff(bare.currency, bare.rates, prices)


def _tables(
    section: ProviderSection, bare: Tariff, units: Mapping[str, int]
) -> Iterator[tuple[str, Mapping[str, int]]]:
    for channel in Channel if section.free else ():
        yield channel, {"": 0}
    for channel, listed in section.settings.price.items():
        table = {}
        for country, price in listed.items():
            try:
                reckoned = bare.convert(*micros(price))
            except Unrated:
                continue
            table["" if country == DEFAULT else country] = reckoned * units.get(channel, 1)
        yield channel, table


def unrated(spend: CurrencySettings, section: ProviderSection) -> Iterator[tuple[str, str, str]]:
    """The channel, the country and the currency of each price that can't be reckoned."""
    for channel, listed in section.settings.price.items():
        for country, price in listed.items():
            currency = micros(price)[1]
            if currency != spend.currency and currency not in spend.rates:
                yield channel, country, currency


def unpriced(section: ProviderSection) -> list[str]:
    """The channels of a provider whose messages cost something that no price list says for every country."""
    if section.free:
        return []
    listed = section.settings.price
    carried = sorted(section.channels or ())
    return [name for name in carried if name != Channel.EMAIL and DEFAULT not in listed.get(Channel(name), {})]
