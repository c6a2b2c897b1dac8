"""What a case expects is compared with what the policy decides, and each difference is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from policies.expectations import Case, judge
from tests.support.world import CHANNELS, compile_policies

RAW: dict[str, Any] = {
    "extends": "default",
    "code": {"length": 8, "expiry": "5m", "cooldown": "10s"},
    "limits": {"prefix-hour": {"amount": 20}, "ip-hour": {"amount": 8}},
    "fraud": {"rules": {"adjacent": {"amount": 60}}},
    "countries": {
        "allow": ["US", "IN", "DE"],
        "rules": {"IN": {"channels": ["whatsapp", "sms"], "providers": {"sms": ["two"]}, "sender": {"sms": "SHOP"}}},
    },
}
POLICY = compile_policies({"login": RAW}, dict.fromkeys(CHANNELS, ("one", "two")))["login"]
INDIA, US = "+919812345678", "+14155550123"


def differences(expect: dict[str, Any], **case: Any) -> list[str]:
    asked = Case.model_validate({"name": "a case", "to": US, **case, "expect": expect})
    return [str(difference) for difference in judge(asked, "shop", POLICY)]


HOLDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"allowed": True, "policy": "login"}),
    ({"to": INDIA}, {"channels": ["whatsapp", "sms"], "providers": {"sms": ["two"]}, "senders": {"sms": "SHOP"}}),
    ({}, {"providers": {"sms": ["one", "two"]}, "waits": {"sms": "30s", "voice": 45}}),
    ({"email": "ana@example.org", "to": None}, {"channels": ["email"]}),
    ({"channels": ["voice"]}, {"channels": ["voice"]}),
    ({"opted_out": ["sms"]}, {"channels": ["whatsapp", "voice"]}),
    ({"opted_out": ["sms", "whatsapp", "voice"]}, {"problem": "opted_out", "rule": "suppression"}),
    ({"to": "+85251234567"}, {"allowed": False, "problem": "country_denied", "rule": "country"}),
    ({"to": "+1415"}, {"allowed": False, "problem": "invalid_destination"}),
    (
        {},
        {"code": {"length": 8, "alphabet": "digits", "expiry": "5m", "checks": 5, "resend": "same", "cooldown": "10s"}},
    ),
    ({}, {"limits": ["ip-hour", "prefix-hour", "cooldown"]}),
    ({"repeat": 2, "every": "9s"}, {"refused_at": 2, "by": "cooldown", "problem": "rate_limited", "rule": "limits"}),
    ({"repeat": 6, "every": "10s"}, {"refused_at": 6, "by": "destination-10m"}),
    ({"repeat": 5, "every": "10s"}, {"allowed": True}),
    ({"repeat": 9, "vary": ["to"], "ip": "203.0.113.7"}, {"refused_at": 9, "by": "ip-hour"}),
    ({"repeat": 21, "vary": ["to", "ip"]}, {"refused_at": 21, "by": "prefix-hour"}),
    (
        {"to": None, "email": "a@example.org", "repeat": 9, "vary": ["to"], "ip": "::1"},
        {"refused_at": 9, "by": "ip-hour"},
    ),
    ({"repeat": 11, "vary": ["to", "ip"], "device": "d"}, {"refused_at": 11, "by": "device-hour"}),
    ({"repeat": 15, "vary": ["to", "ip", "device"], "device": "d"}, {"allowed": True}),
]


@pytest.mark.parametrize(("case", "expect"), HOLDS)
def test_what_holds_makes_no_difference(case: dict[str, Any], expect: dict[str, Any]) -> None:
    assert differences(expect, **case) == []


TOO_SHORT = (
    "destination: expected one that is valid, came invalid_destination (The number is too short: E.164 needs the "
    "country calling code and the whole number.)"
)
DIFFERS: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (
        {"to": "+85251234567"},
        {"allowed": True},
        ["allowed: expected true, came country_denied by country (HK is not allowed)"],
    ),
    ({}, {"allowed": False}, ["allowed: expected false, came true"]),
    (
        {},
        {"problem": "country_denied", "rule": "country"},
        ["problem: expected country_denied, came none", "rule: expected country, came none"],
    ),
    ({}, {"channels": ["voice"]}, ["channels: expected [voice], came [sms, whatsapp, voice]"]),
    ({}, {"providers": {"email": ["one"]}}, ["providers.email: expected [one], came no such step"]),
    ({}, {"waits": {"sms": "31s"}}, ["waits.sms: expected 31s, came 30s"]),
    ({}, {"senders": {"sms": "SHOP"}}, ["senders.sms: expected SHOP, came none"]),
    (
        {},
        {"code": {"length": 6, "expiry": "10m"}},
        ["code.length: expected 6, came 8", "code.expiry: expected 10m, came 5m"],
    ),
    ({}, {"policy": "other"}, ["policy: expected other, came login"]),
    (
        {"to": None, "email": "ana@example.org"},
        {"limits": ["prefix-hour"]},
        [
            (
                "limits: expected [prefix-hour], came [destination-10m, destination-day, destination-anyone-hour, "
                "ip-hour, network-hour, device-hour, app-hour, cooldown]"
            )
        ],
    ),
    (
        {"repeat": 6, "every": "10s"},
        {"allowed": True},
        ["allowed: expected true, came rate_limited by limits (limit destination-10m) at start 6"],
    ),
    (
        {"repeat": 6, "every": "9s"},
        {"refused_at": 6, "by": "destination-10m"},
        ["refused_at: expected 6, came 2", "by: expected destination-10m, came cooldown"],
    ),
    ({"repeat": 5, "every": "10s"}, {"refused_at": 5}, ["refused_at: expected 5, came never"]),
    (
        {"to": "+1415"},
        {"allowed": True},
        [
            (
                "destination: expected one that is valid, came invalid_destination (The number is too short: E.164 "
                "needs the country calling code and the whole number.)"
            )
        ],
    ),
    ({"to": "+1415"}, {"problem": "country_denied"}, ["problem: expected country_denied, came invalid_destination"]),
    ({"to": "+4179"}, {"allowed": False}, [TOO_SHORT]),  # or else a typing error in the number would pass for ever
    ({"to": "+4179"}, {"problem": "invalid_destination", "rule": "country"}, [TOO_SHORT]),
]


@pytest.mark.parametrize(("case", "expect", "said"), DIFFERS)
def test_what_differs_is_said_with_what_was_expected_and_what_came(
    case: dict[str, Any], expect: dict[str, Any], said: list[str]
) -> None:
    assert differences(expect, **case) == said


def test_caps_begin_anew_by_the_calendar_of_the_time_that_a_case_names() -> None:
    capped = {**RAW, "spend": {"caps": {"app-day": {"amount": "1 USD"}}}}  # two messages at the unknown price
    policy = compile_policies({"login": capped}, dict.fromkeys(CHANNELS, ("one",)))["login"]
    expect = {"refused_at": 4, "by": "app-day", "problem": "spend_capped"}
    case = {"name": "x", "to": US, "at": "2026-01-31T23:50:00Z", "repeat": 4, "every": "10m", "expect": expect}
    assert judge(Case.model_validate(case), "shop", policy) == ()


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"expect": {}}, "expects nothing: write at least one of allowed, problem, channels, code, limits"),
        ({"expect": {"allowed": True, "by": "ip-hour"}}, "allowed: true goes with no refusal"),
        ({"to": None, "expect": {"allowed": True}}, "has nobody to send to: write to, email or both"),
        ({"repeat": 3, "expect": {"refused_at": 4}}, "expect.refused_at: there are only 3 starts"),
        ({"expect": {"alowed": True}}, "Extra inputs are not permitted"),
        ({"expect": {"allowed": None}}, "expects nothing: write at least one of allowed"),
        ({"expect": {"code": {}}}, "expects nothing: write at least one of length"),
        ({"expect": {"limits": []}}, "at least 1 item"),
        ({"expect": {"providers": {}}}, "at least 1 item"),
        ({"expect": {"allowed": True}, "ip": "203.0.113"}, "not an IP address: write one such as 203.0.113.7"),
        ({"expect": {"allowed": True}, "purpose": "Pay me"}, "String should match pattern"),
        ({"expect": {"allowed": True}, "name": "a\x07b"}, "has characters that can't be shown"),
    ],
)
def test_a_case_that_can_show_nothing_is_refused(case: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Case.model_validate({"name": "a case", "to": US} | case)
