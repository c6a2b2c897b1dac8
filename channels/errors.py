"""Vendors' error codes, read from tables that are data, and the class that each one falls into."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from channels.contract import ErrorClass

Table = Mapping[str, ErrorClass]
"""Vendor code, as text, to class."""

_TABLES = Path(__file__).parent / "providers" / "errors"


def load(provider: str) -> Table:
    """The table that ships with a provider: providers/errors/<provider>.yaml. Raises ValueError on a bad table."""
    return parse((_TABLES / f"{provider}.yaml").read_text(encoding="utf-8"))


def parse(text: str) -> Table:
    """A table is written by class: each class holds its codes, and each code says what it means.

    Raises ValueError when a class is unknown or a code stands under two classes.
    """
    table: dict[str, ErrorClass] = {}
    content: dict[str, dict[Any, str]] = yaml.safe_load(text)
    for name, codes in content.items():
        error = ErrorClass(name)
        for code in map(str, codes):
            if code in table:
                raise ValueError(f"code {code} is listed under {table[code]} and under {error}: keep one")
            table[code] = error
    return table


def classify(table: Table, overrides: Table, code: str, status: int | None) -> ErrorClass:
    """The class of one error. The operator's word goes first, then the table's, then the HTTP status.

    `status` is None for a delivery report. A failure that nobody can name is worth another route, so it is TEMPORARY.
    """
    if code in overrides:
        return overrides[code]
    if code in table:
        return table[code]
    return ErrorClass.TEMPORARY if status is None else by_status(status)


_STATUSES = {
    401: ErrorClass.PROVIDER_ACCOUNT,
    402: ErrorClass.PROVIDER_ACCOUNT,
    403: ErrorClass.PROVIDER_ACCOUNT,
    404: ErrorClass.REQUEST_BUG,
    405: ErrorClass.REQUEST_BUG,
    408: ErrorClass.PROVIDER_DOWN,
    413: ErrorClass.REQUEST_BUG,
    415: ErrorClass.REQUEST_BUG,
    429: ErrorClass.THROTTLED,
}


def by_status(status: int) -> ErrorClass:
    """What an HTTP status alone says. A plain 400 or 422 may be about the destination as well as about us: UNKNOWN."""
    if status >= 500:
        return ErrorClass.PROVIDER_DOWN
    if 300 <= status < 400:
        return ErrorClass.REQUEST_BUG  # redirects aren't followed: the address in the configuration is not the API's
    return _STATUSES.get(status, ErrorClass.UNKNOWN)
