"""A price as an operator writes it, an amount and a currency: 0.0079 USD."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator

_FORM = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ([A-Z]{3})")


def _price(text: str) -> str:
    if _FORM.fullmatch(text) is None:
        raise ValueError("not a price: write an amount and an ISO 4217 currency, such as 0.0079 USD")
    return text


Price = Annotated[str, AfterValidator(_price)]
"""What one message costs: at most six decimal places, which is the millionths that prices are reckoned in."""


def micros(price: str) -> tuple[int, str]:
    """Millionths of one unit, and the currency, of a Price."""
    amount, _, currency = price.partition(" ")
    return int(Decimal(amount) * 1_000_000), currency
