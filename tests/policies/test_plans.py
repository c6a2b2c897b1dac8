"""Number plans: the library that the patterns are from is the oracle, for every country and every kind of line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumber, PhoneNumberType, ValidationResult

from policies import destination, plans
from policies.destination import Invalid
from policies.model import NumberType, Phone

KINDS = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)


def by_the_library(text: str) -> Phone:
    """A number understood by nothing but the library's public functions. Raises Invalid."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise Invalid("No country has this calling code.") from None
    result = phonenumbers.is_possible_number_with_reason(number)
    if result != ValidationResult.IS_POSSIBLE:
        raise Invalid(destination._IMPOSSIBLE[result])
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if e164 != text:
        return (
            by_the_library(e164) if destination._E164.fullmatch(e164) else destination.phone(e164)
        )  # which refuses it
    valid = phonenumbers.is_valid_number(number)
    country = phonenumbers.region_code_for_number(number) or "ZZ"
    return Phone(e164, country, kind(number), e164[:-4], valid, e164[:-6], int(e164[-4:]))


def kind(number: PhoneNumber) -> NumberType:
    name = phonenumbers.PhoneNumberType.to_string(phonenumbers.number_type(number)).lower()
    return destination._BY_CALLING_CODE.get(number.country_code or 0) or NumberType(name)


def answer(understand: object, text: str) -> Phone | str:
    try:
        return understand(text)  # type: ignore[operator]
    except Invalid as invalid:
        return invalid.reason


def examples() -> Iterator[str]:
    """The library's example of every kind of line in every region."""
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:
            metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            for name in KINDS:
                description = getattr(metadata, name)
                if description is not None and description.example_number:
                    yield f"+{code}{description.example_number}"


EXAMPLES = sorted({text for text in examples() if destination._E164.fullmatch(text)})
CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)


def test_the_example_of_every_kind_of_line_in_every_region_is_understood_as_the_library_does() -> None:
    assert len(EXAMPLES) > 1000
    different = [text for text in EXAMPLES if answer(destination.phone, text) != answer(by_the_library, text)]
    assert different == []


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A number near an example, or any digits behind a calling code: trunk prefixes, wrong lengths, unknown ranges."""
    if draw(st.booleans()):
        text = draw(st.sampled_from(EXAMPLES))
        kept = len(text) - draw(st.integers(1, 6))
        return text[:kept] + draw(st.text("0123456789", min_size=1, max_size=7))
    prefix = draw(st.sampled_from(("", "0", "00", "1", "8", "15", "9", "06", "3")))
    return f"+{draw(st.sampled_from(CODES))}{prefix}{draw(st.text('0123456789', min_size=4, max_size=11))}"


@settings(max_examples=1500, deadline=None)
@given(numbers())
@example("+390612345678")  # Italy keeps its leading zero,
@example("+390669812345")  # the Vatican is told by it,
@example("+393312345678")  # and Italian mobiles have none
@example("+5491123456789")  # Argentina: a mobile prefix that the library puts in,
@example("+541123456789")
@example("+54111523456789")
@example("+5501511987654321")  # Brazil: a carrier's code before the number
@example("+81000256912345")  # Japan: a prefix that is a number by itself
@example("+3780549886377")
@example("+78001234567")  # the trunk prefix 8 of Russia begins a number that is whole
@example("+77012345678")
@example("+447911123456")
@example("+4407911123456")
@example("+91009812345678")  # two trunk zeros
@example("+979123456789")
@example("+881612345678")
@example("+999123456789")
@example("+8880000000")
def test_any_number_is_understood_as_the_library_does(text: str) -> None:
    if destination._E164.fullmatch(text):
        assert answer(destination.phone, text) == answer(by_the_library, text)


def test_every_kind_of_line_is_among_the_examples_so_that_the_comparison_says_something() -> None:
    understood = [found for text in EXAMPLES if isinstance(found := answer(destination.phone, text), Phone)]
    assert {phone.type for phone in understood} >= set(NumberType) - {NumberType.UNKNOWN}
    told_apart = phonenumbers.SUPPORTED_REGIONS - {"EH", "MF"}  # no range tells them from Morocco and Guadeloupe
    assert {phone.country for phone in understood} == told_apart | {"001"}


def backwards(region: plans._Region) -> plans._Region:
    return replace(region, ranges=region.ranges[::-1])


def told_by_ranges(region: plans._Region) -> plans._Region:
    return replace(region, leading=None)


def mobile_forgotten(region: plans._Region) -> plans._Region:
    return replace(region, ranges=tuple(one for one in region.ranges if one.kind != PhoneNumberType.MOBILE))


@pytest.mark.parametrize("bug", [backwards, told_by_ranges, mobile_forgotten])
def test_a_rule_that_is_left_out_is_found_by_the_comparison(monkeypatch: pytest.MonkeyPatch, bug: object) -> None:
    """The planted bugs: ranges in another order, regions told by their ranges alone, no second look at a fixed line."""
    real = plans._region
    monkeypatch.setattr(plans, "_region", lambda code, name: bug(real(code, name)))  # type: ignore[operator]
    near = [f"{text[:-6]}000000" for text in EXAMPLES]
    assert any(answer(destination.phone, text) != answer(by_the_library, text) for text in EXAMPLES + near)


def test_no_pattern_is_compiled_before_a_number_needs_it() -> None:
    """All patterns would take half a second to compile, and most gateways serve a few countries."""
    plans._region.cache_clear()
    destination.phone("+14155552671")
    assert plans._region.cache_info().currsize == 1
    destination.phone("+33612345678")
    destination.phone("+33612345679")
    assert plans._region.cache_info().currsize == 2


def test_what_is_kept_is_bounded_by_the_plans_of_the_world() -> None:
    for text in EXAMPLES:
        answer(destination.phone, text)
    for n in range(2000):
        answer(destination.phone, f"+{1000000 + n * 4999999}")
    regions = sum(len(regions) for regions in COUNTRY_CODE_TO_REGION_CODE.values())
    assert plans._region.cache_info().currsize <= regions
    assert plans._plan.cache_info().currsize <= 999
