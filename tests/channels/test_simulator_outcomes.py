"""The table of simulated outcomes, and the page of the docs that lists it."""

from __future__ import annotations

from pathlib import Path

import phonenumbers
from email_validator import validate_email

from channels.contract import Channel, ErrorClass, ReportKind
from channels.providers.simulator import Settings
from channels.simulated import OUTCOMES, When, fate

PAGE = Path(__file__).parents[2] / "docs" / "providers" / "simulator.md"


def test_every_number_is_fictional_valid_and_used_once() -> None:
    assert len({scenario.number for scenario in OUTCOMES}) == len(OUTCOMES)
    for scenario in OUTCOMES:
        number = phonenumbers.parse(scenario.number)
        assert phonenumbers.is_valid_number(number)
        assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
        assert scenario.number.startswith("+141555501")


def test_every_address_is_acceptable_and_used_once() -> None:
    assert len({scenario.name for scenario in OUTCOMES}) == len(OUTCOMES)
    for scenario in OUTCOMES:
        assert validate_email(scenario.address, check_deliverability=False).normalized == scenario.address


def test_every_class_of_error_can_be_provoked() -> None:
    fates = [scenario.on(channel) for scenario in OUTCOMES for channel in Channel]
    refusals = {fate.refusal for fate in fates} | {word.error for fate in fates for word in fate.reports}
    assert refusals - {None} == set(ErrorClass)


def test_every_kind_of_report_and_every_time_of_it_can_be_provoked() -> None:
    words = [word for scenario in OUTCOMES for channel in Channel for word in scenario.on(channel).reports]
    assert {word.kind for word in words} == set(ReportKind)
    assert {word.when for word in words} == set(When)


def test_a_failure_says_why_and_nothing_else_does() -> None:
    for scenario in OUTCOMES:
        for channel in Channel:
            for word in scenario.on(channel).reports:
                assert (word.kind is ReportKind.FAILED) == (word.error is not None) == bool(word.code)


def test_number_and_address_of_one_row_mean_the_same() -> None:
    for scenario in OUTCOMES:
        assert fate(Channel.SMS, scenario.number) == scenario.on(Channel.SMS)
        assert fate(Channel.EMAIL, scenario.address) == scenario.on(Channel.EMAIL)


def test_the_docs_list_every_number_address_and_outcome() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `+1415")]
    assert rows == [f"| `{each.number}` | `{each.address}` | {each.says} |" for each in OUTCOMES]


def test_the_docs_name_every_setting() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert {name for name in Settings.model_fields if f"`{name}`" not in page} == set()
