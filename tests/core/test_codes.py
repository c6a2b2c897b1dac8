"""Codes: every one as likely as any other, and what people type read leniently and in one way."""

from __future__ import annotations

import secrets
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import codes
from gateway.core.codes import Malformed, make, normalise

DIGITS = "0123456789"
SAMPLE = 1_000_000
CELLS = 1_000
UNLIKELY = 4.753
"""Standard deviations that a fair generator stays within but once in a million runs (one-sided)."""


def uneven(made: Iterable[str]) -> float:
    """How far the first three characters of these codes are from uniform, in standard deviations of chi-square with
    999 degrees of freedom (Wilson and Hilferty's cube-root approximation)."""
    seen = Counter(code[:3] for code in made)
    expected = seen.total() / CELLS
    chi = sum((seen[f"{cell:03d}"] - expected) ** 2 for cell in range(CELLS)) / expected
    free = CELLS - 1
    return float(((chi / free) ** (1 / 3) - (1 - 2 / (9 * free))) / sqrt(2 / (9 * free)))


def _numbers_below(number: int) -> Callable[[int], int]:
    """A fast fair source for a million codes of three digits: the system's randomness, cut to size by rejection."""
    pool = iter(pair for (pair,) in struct.iter_unpack("H", secrets.token_bytes(number * 3)) if pair < 65_000)
    return lambda limit: next(pool) % limit


def test_a_million_codes_are_uniform() -> None:
    below = _numbers_below(SAMPLE)
    assert uneven(make(3, DIGITS, below) for _ in range(SAMPLE)) < UNLIKELY


def test_the_same_measure_catches_a_modulo_of_twenty_random_bits() -> None:
    raw = secrets.token_bytes(SAMPLE * 3)
    planted = (f"{(int.from_bytes(raw[i : i + 3]) >> 4) % 10**6:06d}" for i in range(0, len(raw), 3))
    assert uneven(planted) > UNLIKELY


def test_the_source_of_codes_is_the_systems_randomness_and_is_uniform() -> None:
    assert make.__defaults__ == (secrets.randbelow,)
    assert uneven(make(3, DIGITS) for _ in range(60_000)) < UNLIKELY


def test_leading_zeros_are_digits_like_any_other() -> None:
    assert make(6, DIGITS, lambda _: 0) == "000000"
    assert make(6, DIGITS, lambda _: 42) == "000042"
    assert make(6, DIGITS, lambda end: end - 1) == "999999"
    assert normalise("000042") == "000042"


@pytest.mark.parametrize("length", [4, 6, 8, 10])
def test_a_code_has_the_length_and_the_alphabet_that_were_asked_for(length: int) -> None:
    code = make(length, "BCDF")
    assert len(code) == length
    assert set(code) <= set("BCDF")


READ = {
    "123456": "123456",
    "123 456": "123456",
    "123-456": "123456",
    " 1-2-3-4-5-6 ": "123456",
    "١٢٣٤٥٦": "123456",  # Arabic-Indic
    "۱۲۳۴۵۶": "123456",  # Persian
    "१२३४५६": "123456",  # Devanagari
    "１２３４５６": "123456",  # fullwidth
    "𝟏𝟐𝟑𝟒𝟓𝟔": "123456",  # mathematical bold
    "12٣456": "123456",
    "abcd": "ABCD",
    "a1b2c3": "A1B2C3",
}


@pytest.mark.parametrize(("typed", "code"), READ.items())
def test_what_a_person_means_is_read(typed: str, code: str) -> None:
    assert normalise(typed) == code


REFUSED = (
    "",
    "123",
    "12345678901",
    "123456\n",
    "\n123456",
    "123\t456",
    "12_34_56",
    "+123456",
    "-12.3456",
    "1e5555 .",
    "123456\x00",
    "123\u00a0456",  # a no-break space
    "123\u200b456",  # a zero-width space
    "123\u2013456",  # an en dash
    "²³⁴⁵⁶⁷",  # superscripts: isdigit() says True
    "①②③④⑤⑥",
    "ⅠⅡⅢⅣ",
    "一二三四五六",
    "½½½½",
    "ıııı",  # upper() makes ASCII of a dotless i
    "ſſſſ",  # and of a long s
    "ßßßß",
    "ＡＢＣＤ",
    "\ud800\ud800\ud800\ud800",
    "1" * 10_000,
    " " * 65 + "123456",
    "123456" + " " * 60,
)


@pytest.mark.parametrize("typed", REFUSED)
def test_what_is_no_code_is_refused_before_it_costs_anything(typed: str) -> None:
    with pytest.raises(Malformed):
        normalise(typed)


@given(st.text(max_size=80))
def test_any_string_is_either_a_plain_code_or_malformed(typed: str) -> None:
    try:
        code = normalise(typed)
    except Malformed:
        return
    assert code.isascii()
    assert codes._CODE.fullmatch(code)
    assert normalise(code) == code


@given(st.text(DIGITS, min_size=4, max_size=10), st.integers(0, 0x10FFFF))
def test_a_decimal_of_any_script_reads_as_its_value(digits: str, point: int) -> None:
    character = chr(point)
    value = unicodedata.decimal(character, None)
    if value is not None:
        assert normalise(digits[1:] + character) == f"{digits[1:]}{value}"
