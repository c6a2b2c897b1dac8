"""Codes: made from the system's randomness, read leniently, compared as keyed digests."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable

_SEPARATORS = str.maketrans("", "", " -")
_CODE = re.compile(r"[0-9A-Z]{4,10}")
MAX_INPUT = 64
"""Characters of a code as typed, separators included. More is refused before anything is done with it."""


class Malformed(ValueError):
    """What was typed can't be a code. It costs no attempt."""


def make(length: int, alphabet: str, below: Callable[[int], int] = secrets.randbelow) -> str:
    """A code of `length` characters, each equally likely; leading zeros are as good as any other digit. It is drawn as
    one number below the count of all such codes: the system is asked for randomness once."""
    size, code = len(alphabet), ""
    drawn = below(size**length)
    for _ in range(length):
        drawn, place = divmod(drawn, size)
        code = alphabet[place] + code
    return code


def normalise(typed: str) -> str:
    """What a person typed, as ASCII digits and upper-case letters.

    Spaces and hyphens fall away, and decimal digits of other scripts become ASCII: phones type Arabic or Devanagari
    digits where the message showed ASCII ones. Raises Malformed.
    """
    if _CODE.fullmatch(typed):  # as nearly all are
        return typed
    if len(typed) > MAX_INPUT:
        raise Malformed(f"a code has at most {MAX_INPUT} characters, with its separators")
    plain = typed.translate(_SEPARATORS)
    if not plain.isascii():
        plain = "".join(map(_ascii_digit, plain))
    plain = plain.upper()
    if not _CODE.fullmatch(plain):
        raise Malformed("a code is 4 to 10 digits or Latin letters")
    return plain


def _ascii_digit(character: str) -> str:
    if character.isascii():
        return character
    digit = unicodedata.decimal(character, None)
    if digit is None:
        raise Malformed("a code is 4 to 10 digits or Latin letters")
    return str(digit)
