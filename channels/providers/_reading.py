"""What a vendor sent, read without trusting it: a JSON object, a form, a price."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from pydantic_core import from_json

from channels.contract import Cost

_FIELDS = 200  # in one form; vendors send about thirty
_MOST = 1_000_000_000  # millionths: no single message costs a thousand of any currency


def json_object(body: bytes | str) -> Mapping[str, Any]:
    """A JSON object, or an empty one in place of anything else."""
    try:
        content = from_json(body)
    except ValueError:  # not so plain: a byte order mark, another encoding, half of a surrogate pair
        content = _read_thoroughly(body)
    return content if isinstance(content, dict) else {}


def _read_thoroughly(body: bytes | str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def form_fields(body: bytes) -> list[tuple[str, str]]:
    """The fields of a form as they came, repeated and empty ones included. Raises ValueError on what is no form."""
    return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)


def moment(value: object) -> int | None:
    """A time such as 2026-01-05T10:00:00Z, or with a space for the T, or in seconds since 1970; as ms since 1970. UTC
    where it names no zone. None for what is no time."""
    text = str(value)[:40]
    if re.fullmatch(r"[0-9]{10}", text):
        return int(text) * 1000
    if not re.match(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]", text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def vendor_id(value: object) -> str:
    """A vendor's id of a message, or nothing."""
    return value if isinstance(value, str) else ""


def price(amount: object, currency: object) -> Cost | None:
    """A price such as "0.0333" in a currency such as "EUR". None for nothing, for zero and for what is no price."""
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isalpha()):
        return None
    try:
        micros = Decimal(str(amount)[:32]) * 1_000_000
        if not 0 < micros <= _MOST:  # before it becomes an integer: "1e999999" would become a very long one
            return None
    except ArithmeticError:
        return None
    return Cost(round(micros), currency.upper())
