"""Senders and languages as the configuration writes them, with the remedy when one is written wrongly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

_E164 = r"\+[1-9][0-9]{6,14}"


def form(pattern: str, remedy: str) -> BeforeValidator:
    """Text of that form. The fault says the remedy, and for a number without its quotes that it needs them."""

    def check(value: Any) -> Any:
        if isinstance(value, int):
            raise ValueError("put it in quotes: YAML reads it as a number")
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            raise ValueError(remedy)
        return value

    return BeforeValidator(check)


Phone = Annotated[str, form(_E164, "write a number in E.164, such as '+14155550100'")]
"""A number that calls or messages come from, with its plus."""

Sender = Annotated[
    str,
    form(
        rf"{_E164}|[0-9]{{3,8}}|(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{{1,11}}",
        "write a number in E.164, a short code, or a sender name of at most 11 letters and digits",
    ),
]
"""What an SMS comes from: a number with its plus, a short code, or a registered name."""


def bare(number: str) -> str:
    """A number without its plus, for the vendors that want it so. A sender's name stays as it is."""
    return number[1:] if re.fullmatch(_E164, number) else number


def nearest(choices: Mapping[str, str], language: str) -> str | None:
    """The choice for a language tag, or for the nearest shorter one: zh-Hant-TW, zh-Hant, zh. None: there is none."""
    folded = {tag.lower(): choice for tag, choice in choices.items()}
    tag = language.lower()
    while tag and tag not in folded:
        tag = tag.rpartition("-")[0]
    return folded.get(tag)
