"""What is counted: for whom, in which scope, and which requests share one bucket."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.destination import email, phone
from policies.engine import compile_policy, decide
from policies.inheritance import resolve
from policies.model import Counts, Limit, Question
from policies.rules.subjects import network
from policies.schema import PolicySettings

ORDERS = {"sms": ("one",), "email": ("smtp",)}
STEPS = [{"channel": "sms", "wait": "30s"}, {"channel": "email", "wait": "30s"}]


def counted(limit: dict[str, Any], *, number: str = "+14155552671", address: str = "", **more: Any) -> list[Limit]:
    raw = {
        "fallback": STEPS,
        "countries": {"default": "allow"},
        "limits": {"one": {"amount": 5, "window": "10m"} | limit},
    }
    policy = compile_policy("login", PolicySettings.model_validate(raw), ORDERS)
    to, mail = phone(number) if number else None, email(address) if address else None
    return list(decide(policy, Question(app="shop", purpose="login", phone=to, email=mail, **more)).limits)


def subjects(limit: dict[str, Any], **asked: Any) -> list[str]:
    return [limit.subject for limit in counted(limit, **asked)]


def test_a_limit_is_handed_over_whole() -> None:
    limit = {"per": "destination", "counts": "sends", "scope": "app", "shadow": True}
    assert counted(limit) == [
        Limit("one", "shop", "destination", "+14155552671", 5, 600_000, Counts.SENDS, shadow=True)
    ]


@pytest.mark.parametrize(("scope", "shared"), [("policy", "shop/login"), ("app", "shop"), ("all", "")])
def test_a_scope_says_what_shares_the_counter(scope: str, shared: str) -> None:
    assert [limit.scope for limit in counted({"per": "ip", "scope": scope})] == [shared]


def test_both_addresses_are_counted_the_phone_first() -> None:
    assert subjects({"per": "destination"}, address="Ana+1@example.org") == ["+14155552671", "ana@example.org"]
    assert subjects({"per": "destination"}, number="", address="Ana+1@example.org") == ["ana@example.org"]
    assert len(subjects({"per": "ip"}, address="ana@example.org")) == 1


def test_every_spelling_of_one_destination_is_one_subject() -> None:
    numbers = {subjects({"per": "destination"}, number=text)[0] for text in ("+447400123456", "+4407400123456")}
    mails = {subjects({"per": "destination"}, number="", address=f"A+{tag}@Example.org")[0] for tag in range(99)}
    assert numbers == {"+447400123456"}
    assert mails == {"a@example.org"}


@pytest.mark.parametrize(
    ("per", "subject"),
    [
        ("ip", "203.0.113.7"),
        ("device", "d-81"),
        ("app", "shop"),
        ("country", "US"),
        ("prefix", "+1415555"),
        ("everything", ""),
    ],
)
def test_each_dimension_has_its_subject(per: str, subject: str) -> None:
    found = counted({"per": per}, ip="203.0.113.7", device="d-81")
    assert [(limit.per, limit.subject) for limit in found] == [(per, subject)]


def test_dimensions_together_cannot_be_confused_with_others() -> None:
    found = counted({"per": ["country", "device", "ip"]}, ip="203.0.113.7", device="d-81")
    assert [(limit.per, limit.subject) for limit in found] == [("ip+device+country", "11:203.0.113.74:d-812:US")]


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_no_two_pairs_of_app_and_device_share_a_subject(app: str, device: str, other: str, another: str) -> None:
    raw = {
        "fallback": STEPS,
        "countries": {"default": "allow"},
        "limits": {"one": {"per": ["device", "app"], "amount": 1, "window": 1, "scope": "all"}},
    }
    policy = compile_policy("login", PolicySettings.model_validate(raw), ORDERS)

    def subject(app: str, device: str) -> str:
        question = Question(app=app, purpose="", phone=phone("+14155552671"), device=device)
        return decide(policy, question).limits[0].subject

    assert (subject(app, device) == subject(other, another)) == ((app, device) == (other, another))


def test_joining_with_a_plain_separator_would_have_confused_them() -> None:
    """The planted bug: a device is the caller's free text."""
    one, other = ("a+b", "c"), ("a", "b+c")
    assert "+".join(one) == "+".join(other)


def test_a_whole_ipv6_network_is_one_client() -> None:
    addresses = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:0DB8:0001:0002::"]
    assert {subjects({"per": "ip"}, ip=ip)[0] for ip in addresses} == {"2001:db8:1:2::/64"}
    assert network("2001:db8:1:3::1") == "2001:db8:1:3::/64"


def test_an_ipv4_address_dressed_as_ipv6_is_ipv4() -> None:
    assert network("::ffff:203.0.113.7") == network("203.0.113.7") == "203.0.113.7"


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_rotating_the_lower_half_of_an_ipv6_address_changes_nothing(address: Any, low: int) -> None:
    rotated = type(address)((int(address) >> 64 << 64) + low)
    if address.ipv4_mapped is None and rotated.ipv4_mapped is None:
        assert network(str(address)) == network(str(rotated))


@pytest.mark.parametrize("ip", ["", "unknown", "203.0.113.7:80", "１.2.3.4"])
def test_no_readable_ip_is_a_bucket_of_its_own_and_not_a_way_around(ip: str) -> None:
    assert subjects({"per": "ip"}, ip=ip) == [""]


def test_no_device_is_a_bucket_of_its_own_with_an_amount_of_its_own() -> None:
    limit = {"per": "device", "missing": 100}
    assert [(found.subject, found.amount) for found in counted(limit)] == [("", 100)]
    assert [(found.subject, found.amount) for found in counted(limit, device="d")] == [("d", 5)]
    assert [found.amount for found in counted({"per": "device"})] == [5]


def test_a_missing_country_is_not_a_missing_client() -> None:
    limit = {"per": ["ip", "country"], "missing": 100}
    found = counted(limit, number="", address="ana@example.org", ip="203.0.113.7")
    assert [(limit.subject, limit.amount) for limit in found] == [("11:203.0.113.70:", 5)]


def test_a_limit_about_numbers_does_not_put_all_email_into_one_bucket() -> None:
    for per in ("prefix", "country", ["app", "prefix"]):
        assert subjects({"per": per}, number="", address="ana@example.org") == []
        assert len(subjects({"per": per}, address="ana@example.org")) == 1


def test_the_default_preset_counts_these() -> None:
    raw = resolve("login", {"login": {"countries": {"allow": ["US"]}}})
    policy = compile_policy("login", PolicySettings.model_validate(raw), ORDERS)
    decision = decide(policy, Question(app="shop", purpose="login", phone=phone("+14155552671"), ip="203.0.113.7"))
    assert [(limit.name, limit.scope, limit.per, limit.amount) for limit in decision.limits] == [
        ("destination-10m", "shop", "destination", 5),
        ("destination-day", "shop", "destination", 20),
        ("destination-anyone-hour", "", "destination", 10),
        ("ip-hour", "shop", "ip", 30),
        ("network-hour", "shop", "network", 300),
        ("device-hour", "shop", "device", 1000),
        ("prefix-hour", "shop", "prefix", 100),
        ("app-hour", "shop", "app", 10_000),
    ]
    assert [note.says for note in decision.notes if note.rule == "limits"] == [
        f"counts {', '.join(limit.name for limit in decision.limits)}"
    ]
