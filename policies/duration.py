"""Lengths of time as people write them in a policy: 500ms, 30s, 10m, 24h, 7d."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PATTERN = r"[0-9]{1,12}(ms|s|m|h|d)"
_REMEDY = "write a whole number and a unit, such as 200ms, 30s, 10m or 24h"


def milliseconds(value: object) -> int:
    """The length in milliseconds. A plain whole number is seconds. Raises ValueError with the remedy."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"not a length of time: {_REMEDY}")
    if isinstance(value, int):
        value = f"{value}s"
    if re.fullmatch(_PATTERN, value, re.ASCII) is None:
        raise ValueError(f"not a length of time: {_REMEDY}")
    unit = value.lstrip("0123456789")
    return int(value.removesuffix(unit)) * _UNITS[unit]


def written(length: int) -> str:
    """Milliseconds in the largest unit that says them exactly: 600000 is 10m, 90000 is 90s."""
    unit, size = next((unit, size) for unit, size in _UNITS.items() if length % size == 0 and (length or unit == "s"))
    return f"{length // size}{unit}"


def within(shortest: str, longest: str) -> AfterValidator:
    """Holds a Duration between two lengths, both allowed, with an error that speaks in units and not milliseconds."""
    low, high = milliseconds(shortest), milliseconds(longest)

    def hold(length: int) -> int:
        if not low <= length <= high:
            raise ValueError(f"{written(length)} is out of range: write something from {shortest} to {longest}")
        return length

    return AfterValidator(hold)


Duration = Annotated[
    int,
    BeforeValidator(milliseconds),
    PlainSerializer(written, return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^{_PATTERN}$"}]}),
]
"""Milliseconds, written in YAML as whole seconds or with a unit; written back with a unit."""
