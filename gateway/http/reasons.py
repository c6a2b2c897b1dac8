"""The words for what is wrong with a request: what to write instead, and never what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from gateway.http.problems import pointer

_FORMS: Mapping[str, str] = {
    "purpose": "begin with a lower-case letter; then up to 63 of a-z, 0-9, _ and -",
    "locale": "write a language tag of at most 35 characters, such as en or pt-BR",
    "code": "write 4 to 10 ASCII digits or letters",
    "app_hash": "write the 11 characters that Android computes for the app",
    "reason": "write a word of at most 32 lower-case letters and underscores",
    "id": "write the 16 characters that the list of blocks has",
    "domain": "write the bare host name in ASCII, such as shop.example: no scheme, port or path",
}
"""By field: pydantic would show the regular expression."""


def faults(error: ValidationError) -> Iterator[tuple[str, str]]:
    """A JSON pointer and a reason for each."""
    for fault in error.errors(include_url=False):
        yield _pointer(fault["loc"]), _reason(fault)


def _pointer(location: tuple[int | str, ...]) -> str:
    at = ""
    for name in location:
        if name != "[key]":  # pydantic's word for "it is the name that is wrong"
            at = pointer(at, name)
    return at


def _reason(fault: Any) -> str:
    about = "its name: " if fault["loc"] and fault["loc"][-1] == "[key]" else ""
    say = _REASONS.get(fault["type"])
    return about + (say(fault) if say else str(fault["msg"]))


def _text(fault: Any) -> str:
    number = isinstance(fault["input"], int | float) and not isinstance(fault["input"], bool)
    return "write it as a string: leading zeros are lost in a number" if number else "write a string"


def _form(fault: Any) -> str:
    return _FORMS.get(str(fault["loc"][-1]), "it has another form than it needs")


def _one_of(fault: Any) -> str:
    return "write one of " + str(fault["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")


_REASONS: Mapping[str, Callable[[Any], str]] = {
    "missing": lambda _: "it is missing",
    "extra_forbidden": lambda _: "there is no field of that name",
    "string_type": _text,
    "string_pattern_mismatch": _form,
    "string_too_short": lambda fault: f"at least {fault['ctx']['min_length']} characters",
    "string_too_long": lambda fault: f"at most {fault['ctx']['max_length']} characters",
    "too_long": lambda fault: f"at most {fault['ctx']['max_length']} entries",
    "too_short": lambda fault: f"at least {fault['ctx']['min_length']} entries",
    "model_type": lambda _: "write a JSON object",
    "model_attributes_type": lambda _: "write a JSON object",
    "dict_type": lambda _: "write a JSON object",
    "list_type": lambda _: "write an array",
    "literal_error": _one_of,
    "enum": _one_of,
    "value_error": lambda fault: str(fault["ctx"]["error"]),
}
"""By pydantic's type of error."""
