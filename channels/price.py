"""A price as an operator writes it: an amount and a currency, 0.0079 USD, for all countries or for each its own."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

DEFAULT = "default"
"""In place of a country: the price for every country that is not named."""

_FORM = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ([A-Z]{3})")
_COUNTRY = re.compile(r"[A-Z]{2}")


_REMEDY = "not a price: write an amount and an ISO 4217 currency, such as 0.0079 USD"


def _price(text: str) -> str:
    if _FORM.fullmatch(text) is None:
        raise ValueError(_REMEDY)
    return text


Price = Annotated[str, AfterValidator(_price)]
"""What one message costs: at most six decimal places, which is the millionths that prices are reckoned in."""


def _country(text: object) -> object:
    if text is False or text == "false":
        raise ValueError('YAML reads an unquoted NO as false: write "NO" in quotes for Norway')
    if not isinstance(text, str) or (text != DEFAULT and _COUNTRY.fullmatch(text) is None):
        raise ValueError("not a country: write ISO 3166 letters, such as US, or default")
    return text


def _by_country(said: object) -> object:
    if not isinstance(said, str | dict):
        raise ValueError(_REMEDY)
    return {DEFAULT: said} if isinstance(said, str) else said


PriceList = Annotated[
    dict[Annotated[str, BeforeValidator(_country)], Price],
    BeforeValidator(_by_country, json_schema_input_type=str | dict[str, str]),
]
"""What one message costs, by country: 0.0079 USD, or {default: 0.05 USD, US: 0.0079 USD}."""


def micros(price: str) -> tuple[int, str]:
    """Millionths of one unit, and the currency, of a Price."""
    amount, _, currency = price.partition(" ")
    return int(Decimal(amount) * 1_000_000), currency
