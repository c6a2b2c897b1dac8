"""What lists say of a destination: the most special entry counts, denial over permission, and permission over suspicion
alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import (
    SUPPORTED_REGIONS,
    PhoneNumberFormat,
    PhoneNumberType,
    example_number_for_type,
    format_number,
)
from pydantic import ValidationError

from policies import entries
from policies.destination import email, phone
from policies.engine import Policy, compile_policy, decide
from policies.model import Decision, Listed, Question
from policies.schema import PolicySettings

ORDERS = dict.fromkeys(("sms", "voice", "email"), ("one",))
LONDON_MOBILE, PREMIUM = "+447911123456", "+19005551234"
FILE = Path("lists/deny.txt")


def policy(contents: str = "", **sections: Any) -> Policy:
    steps = [{"channel": channel, "wait": "30s"} for channel in ORDERS]
    raw = {"fallback": steps, "countries": {"default": "allow"}, **sections}
    listing, faults = entries.listing(contents.encode())
    assert faults == []
    return compile_policy("login", PolicySettings.model_validate(raw), ORDERS, contents={FILE: listing})


def ask(
    rules: Policy, number: str | None = LONDON_MOBILE, mail: str | None = None, dns: Any = "unknown", **more: Any
) -> Decision:
    to = phone(number) if number else None
    return decide(rules, Question("shop", "login", to, email(mail) if mail else None, mail=dns, **more))


def refused(decision: Decision) -> tuple[str, str] | None:
    return (decision.refusal.code, decision.refusal.rule) if decision.refusal else None


def says(decision: Decision, rule: str = "lists") -> str:
    return next(note.says for note in decision.notes if note.rule == rule)


BLOCKED = ("destination_blocked", "lists")


@pytest.mark.parametrize("entry", [LONDON_MOBILE, "+4479*", "+4*", "+44791112345*"])
def test_a_number_is_denied_by_itself_and_by_any_beginning_of_it(entry: str) -> None:
    assert refused(ask(policy(lists={"deny": [entry]}))) == BLOCKED
    assert refused(ask(policy(entry, lists={"deny_files": [str(FILE)]}))) == BLOCKED


@pytest.mark.parametrize("entry", ["+447911123457", "+4478*", "+4479111234560*", "example.org"])
def test_other_entries_leave_it_alone(entry: str) -> None:
    decision = ask(policy(lists={"deny": [entry]}))
    assert refused(decision) is None
    assert says(decision) == "on no list"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("ana@example.org", "ana@example.org"),
        ("Ana+shop@Example.org", "ana+other@example.org"),
        ("example.org", "ana@mail.example.org"),
        ("EXAMPLE.org", "ana@example.org"),
        ("bücher.example.org", "ana@xn--bcher-kva.example.org"),
    ],
)
def test_an_address_is_denied_by_its_mailbox_and_by_any_domain_above_it(entry: str, address: str) -> None:
    assert refused(ask(policy(lists={"deny": [entry]}), None, address)) == BLOCKED


@pytest.mark.parametrize("address", ["ana@notexample.org", "ana@example.org.uk"])
def test_a_domain_covers_itself_and_what_is_under_it_and_nothing_else(address: str) -> None:
    assert refused(ask(policy(lists={"deny": ["example.org"]}), None, address)) is None


def test_a_denied_number_leaves_the_address() -> None:
    decision = ask(policy(lists={"deny": ["+4479*"]}), mail="ana@example.org")
    assert [step.channel for step in decision.steps] == ["email"]
    assert says(decision) == "number on the deny list; leaves out sms, voice"


def test_the_most_special_entry_counts() -> None:
    exception = {"deny": ["+4479*", "example.org"], "allow": [LONDON_MOBILE, "ana@example.org"]}
    assert refused(ask(policy(lists=exception))) is None
    assert refused(ask(policy(lists=exception), "+447911123457")) == BLOCKED
    assert refused(ask(policy(lists=exception), None, "ana@example.org")) is None
    assert refused(ask(policy(lists=exception), None, "bob@example.org")) == BLOCKED
    inverse = {"allow": ["+4479*"], "deny": [LONDON_MOBILE]}
    assert refused(ask(policy(lists=inverse))) == BLOCKED


def test_of_two_that_are_one_deny_counts() -> None:
    assert refused(ask(policy("+4479*", lists={"allow": ["+4479*"], "deny_files": [str(FILE)]}))) == BLOCKED


def test_an_allowed_number_is_not_asked_what_kind_it_is() -> None:
    assert refused(ask(policy(), PREMIUM)) == ("number_type_denied", "number_type")
    decision = ask(policy(lists={"allow": [PREMIUM]}), PREMIUM)
    assert refused(decision) is None
    assert says(decision, "number_type") == "on the allow list"


def test_an_allowed_address_is_not_asked_what_kind_it_is() -> None:
    strict = {"email": {"no_mail": "deny"}}
    assert refused(ask(policy(**strict), None, "ana@example.org", dns="refuses")) == ("destination_blocked", "email")
    lenient = policy(**strict, lists={"allow": ["example.org"]})
    assert refused(ask(lenient, None, "ana@example.org", dns="refuses")) is None


def test_an_allowed_number_opens_no_country_and_passes_no_limit() -> None:
    closed = {"countries": {"allow": ["US"]}, "lists": {"allow": [LONDON_MOBILE]}}
    assert refused(ask(policy(**closed))) == ("country_denied", "country")
    limits = {"day": {"per": "destination", "amount": 5, "window": "24h"}}
    counted = ask(policy(limits=limits, lists={"allow": [LONDON_MOBILE]}))
    assert [limit.name for limit in counted.limits] == ["day"]


def test_in_shadow_a_denial_is_only_noted() -> None:
    decision = ask(policy(lists={"deny": ["+4479*"], "shadow": True}))
    assert refused(decision) is None
    note = next(note for note in decision.notes if note.rule == "lists")
    assert (note.refused, note.shadow) == (True, True)


# --- what an app adds by the API ---


def test_an_app_can_deny_what_the_policy_allows() -> None:
    assert refused(ask(policy(lists={"allow": [LONDON_MOBILE]}), listed=Listed(phone="deny"))) == BLOCKED


def test_an_app_can_not_allow_what_the_policy_denies() -> None:
    for api_allow in (True, False):
        rules = policy(lists={"deny": ["+4479*"], "api_allow": api_allow})
        assert refused(ask(rules, listed=Listed(phone="allow"))) == BLOCKED


def test_what_an_app_allows_counts_against_the_other_rules_only_where_the_policy_says_so() -> None:
    said = Listed(phone="allow")
    assert refused(ask(policy(), PREMIUM, listed=said)) == ("number_type_denied", "number_type")
    assert refused(ask(policy(lists={"api_allow": True}), PREMIUM, listed=said)) is None


# --- entries and files ---


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an entry"),
        ("hello", "not an entry"),
        ("+", "The number is too short"),
        ("+44*79", "Leave out"),
        ("+0*", "Leave out"),
        ("+44079*", "no number begins so: leave out the 0 after the calling code"),
        ("+610*", "no number begins so: leave out the 0 after the calling code"),
        ("+999*", "no country has this calling code"),
        ("+441", "The number is too short"),
        ("447911123456", "not an entry"),
        ("a@b", "The domain needs a dot"),
        ("exa mple.org", "Not an email address"),
    ],
)
def test_what_is_no_entry_is_told_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(entries.Unusable, match=reason):
        entries.read(text)


def test_every_beginning_of_a_number_that_exists_is_an_entry() -> None:
    """Of those too that begin with a 0: Rome, Abidjan."""
    kinds = (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.TOLL_FREE)
    found = [example_number_for_type(region, kind) for region in SUPPORTED_REGIONS for kind in kinds]
    numbers = {format_number(number, PhoneNumberFormat.E164) for number in found if number} | {"+390612345678"}
    for number in numbers:
        for length in range(2, min(15, len(number)) + 1):
            assert entries.read(f"{number[:length]}*").text == f"{number[:length]}*"


def test_a_beginning_that_no_number_has_is_a_fault_in_a_file_too() -> None:
    _, faults = entries.listing(b"+4479*\n+44079*\n")
    assert faults == [(2, "no number begins so: leave out the 0 after the calling code, as E.164 does")]


def test_a_file_has_an_entry_in_a_line_and_comments() -> None:
    text = "# pumping, March\n\n+447911123456 # reported\n  +4479*\r\nAna+x@Example.org\nexample.com\n"
    listing, faults = entries.listing(text.encode())
    assert faults == []
    assert listing.entries == {"+447911123456", "+4479*", "ana@example.org", "example.com"}


def test_a_fault_in_a_file_has_its_line_and_the_first_five_are_told() -> None:
    _, faults = entries.listing(b"+447911123456\nnonsense\n" + b"x\n" * 10)
    assert [line for line, _ in faults] == [2, 3, 4, 5, 6]
    assert all("nonsense" not in reason for _, reason in faults)


def test_the_revision_follows_what_the_files_say() -> None:
    said = {"deny_files": [str(FILE)]}
    assert policy("+4479*", lists=said).revision == policy("+4479*", lists=said).revision
    assert policy("+4479*", lists=said).revision != policy("+4478*", lists=said).revision


def test_one_entry_in_both_lists_is_a_fault_and_shows_no_number() -> None:
    with pytest.raises(ValidationError, match=r"\+4479\*\*\*\*\*\*\*\*|in both deny and allow"):
        policy(lists={"deny": [LONDON_MOBILE], "allow": [LONDON_MOBILE]})


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (LONDON_MOBILE, "+4479*****56"),
        ("+4479*", "+4479*"),
        ("+44791112345*", "+447911.....*"),
        ("ana@example.org", "a**@example.org"),
        ("example.org", "example.org"),
    ],
)
def test_what_is_shown_of_an_entry_is_no_number_and_no_address(entry: str, shown: str) -> None:
    found = entries.read(entry)
    shown = phone(LONDON_MOBILE).masked if entry == LONDON_MOBILE else shown
    assert (found.masked, repr(found)) == (shown, f"Entry({shown})")


@given(st.from_regex(r"\A\+4479[0-9]{8}\Z"), st.integers(1, 13))
def test_what_covers_a_number_is_what_begins_it(number: str, length: int) -> None:
    covering = entries.Entry(number).covering
    assert covering[0] == number
    assert len(covering) == len(number) <= 16
    assert (number[:length] + "*" in covering) == (1 < length <= len(number))
    assert list(covering[1:]) == sorted(covering[1:], key=len, reverse=True)
