"""The number plans of the world, as libphonenumber knows them: which country a number is of, and what kind of line.

The library answers these questions too, but through `re`, whose cache of 512 patterns is too small for its 1,200: with
numbers of many countries each answer compiles patterns again (400 microseconds). Here every pattern is compiled once,
when the first number needs it. The data and the rules are the library's, and tests hold each answer to the library's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberType, ValidationResult
from phonenumbers.phonemetadata import PhoneNumberDesc


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers behind one calling code."""

    code: int
    regions: tuple[str, ...]  # those that share it, the main one first; "001" for a network of no country
    lengths: tuple[int, ...]  # of a whole number, sorted
    local: frozenset[int]  # lengths that can be dialled only from nearby
    trunk: re.Pattern[str] | None  # what may stand before a number that is dialled within the country

    def possible(self, length: int) -> int:
        """Whether some number of this plan has so many digits, and if not, why: a ValidationResult."""
        if length in self.local:
            return ValidationResult.IS_POSSIBLE_LOCAL_ONLY
        if length in self.lengths:
            return ValidationResult.IS_POSSIBLE
        if length < self.lengths[0]:
            return ValidationResult.TOO_SHORT
        return ValidationResult.TOO_LONG if length > self.lengths[-1] else ValidationResult.INVALID_LENGTH


@dataclass(frozen=True, slots=True)
class _Range:
    """The numbers of one kind in one region. Lengths are looked at first: they are cheap and rule out most."""

    kind: int  # of PhoneNumberType
    lengths: frozenset[int]
    pattern: re.Pattern[str]

    def has(self, national: str) -> bool:
        return len(national) in self.lengths and self.pattern.fullmatch(national) is not None


@dataclass(frozen=True, slots=True)
class _Region:
    """One region's part of a plan."""

    leading: re.Pattern[str] | None  # tells its numbers from those of the other regions; None: only their ranges do
    general: _Range | None
    ranges: tuple[_Range, ...]  # in the order in which the library asks, the mobile one last
    alike: bool  # mobile and fixed lines share one range


def plan_of(e164: str) -> tuple[Plan, str] | None:
    """The plan of a number in E.164, and its digits after the calling code; None where no country has the code."""
    for end in (2, 3, 4):
        plan = _plan(e164[1:end])
        if plan is not None:
            return plan, e164[end:]
    return None


def national(plan: Plan, e164: str, digits: str) -> str:
    """The number as it is counted: less a trunk prefix, which some people leave in (+44 07... is +44 7...)."""
    match = plan.trunk.match(digits) if plan.trunk else None
    if match is None or match.group() == "":  # Argentina's prefix may be empty, and then there is nothing to take off
        return digits
    return phonenumbers.national_significant_number(phonenumbers.parse(e164))  # rare, and each country has its own way


def place(plan: Plan, digits: str) -> tuple[str | None, int]:
    """The region of a number and its PhoneNumberType. A number outside every known range is UNKNOWN; its region is None
    where several share the calling code."""
    if len(plan.regions) == 1:
        return plan.regions[0], _kind(_region(plan.code, plan.regions[0]), digits)
    for name in plan.regions:
        region = _region(plan.code, name)
        if region.leading is not None:
            if region.leading.match(digits):
                return name, _kind(region, digits)
        elif (kind := _kind(region, digits)) != PhoneNumberType.UNKNOWN:
            return name, kind
    return None, PhoneNumberType.UNKNOWN


def _kind(region: _Region, digits: str) -> int:
    if region.general is None or not region.general.has(digits):
        return PhoneNumberType.UNKNOWN
    length = len(digits)
    for at, found in enumerate(region.ranges):
        if length in found.lengths and found.pattern.fullmatch(
            digits
        ):  # `has`, written out: each number asks ten times
            return _line(region, at, digits)
    return PhoneNumberType.UNKNOWN


def _line(region: _Region, at: int, digits: str) -> int:
    """A number of a fixed range may be a mobile one too."""
    kind = region.ranges[at].kind
    if kind != PhoneNumberType.FIXED_LINE:
        return kind
    both = region.alike or any(other.has(digits) for other in region.ranges[at + 1 :])
    return PhoneNumberType.FIXED_LINE_OR_MOBILE if both else kind


# Both caches are bounded by the library's data: 1,000 texts that begin a number, and 254 regions. All patterns of all
# regions together take less than 1 MB.
@cache
def _plan(code: str) -> Plan | None:
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code))
    if regions is None:
        return None
    main = _metadata(int(code), regions[0])
    general = main.general_desc or PhoneNumberDesc()
    trunk = main.national_prefix_for_parsing
    return Plan(
        code=int(code),
        regions=tuple(regions),
        lengths=tuple(general.possible_length),
        local=frozenset(general.possible_length_local_only),
        trunk=re.compile(trunk) if trunk else None,
    )


@cache
def _region(code: int, name: str) -> _Region:
    metadata = _metadata(code, name)
    alike = metadata.same_mobile_and_fixed_line_pattern
    return _Region(
        leading=re.compile(metadata.leading_digits) if metadata.leading_digits else None,
        general=_range(PhoneNumberType.UNKNOWN, metadata.general_desc),
        ranges=tuple(_ranges(metadata, alike)),
        alike=alike,
    )


def _ranges(metadata: PhoneMetadata, alike: bool) -> Iterator[_Range]:
    asked = (
        (PhoneNumberType.PREMIUM_RATE, metadata.premium_rate),
        (PhoneNumberType.TOLL_FREE, metadata.toll_free),
        (PhoneNumberType.SHARED_COST, metadata.shared_cost),
        (PhoneNumberType.VOIP, metadata.voip),
        (PhoneNumberType.PERSONAL_NUMBER, metadata.personal_number),
        (PhoneNumberType.PAGER, metadata.pager),
        (PhoneNumberType.UAN, metadata.uan),
        (PhoneNumberType.VOICEMAIL, metadata.voicemail),
        (PhoneNumberType.FIXED_LINE, metadata.fixed_line),
        (PhoneNumberType.MOBILE, None if alike else metadata.mobile),
    )
    found = (_range(kind, description) for kind, description in asked)
    return (one for one in found if one is not None)


def _range(kind: int, description: PhoneNumberDesc | None) -> _Range | None:
    if description is None or not description.national_number_pattern:
        return None
    return _Range(kind, frozenset(description.possible_length), re.compile(description.national_number_pattern))


def _metadata(code: int, region: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if metadata is None:
        raise LookupError(f"the number plan of {region} is missing")  # never with a whole library
    return metadata
