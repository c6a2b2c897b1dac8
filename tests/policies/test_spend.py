"""Money in a policy: who is too dear, which purses a verification draws on, and the calendar of their periods."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies import destination
from policies.engine import Policy, compile_policy, decide
from policies.inheritance import resolve
from policies.model import Decision, Question
from policies.money import MICROS, Tariff, Unrated, bounds, written
from policies.rules.spend import SpendSettings
from policies.schema import PolicySettings

TARIFF = Tariff(
    "USD",
    {"EUR": Decimal("1.1")},
    {
        ("one", "sms"): {"": 50_000, "GB": 40_000},
        ("two", "sms"): {"": 900_000},
        ("one", "voice"): {"US": 1_500_000},
    },
)
ORDERS = {"sms": ("one", "two"), "voice": ("one",), "email": ("mail",)}
FALLBACK = [{"channel": channel, "wait": "30s"} for channel in ("sms", "voice", "email")]


def policy(tariff: Tariff = TARIFF, **spend: Any) -> Policy:
    raw = {
        "shop": {
            "limits": {},
            "countries": {"allow": ["US", "GB", "001"]},
            "fallback": FALLBACK,
            "spend": {"max_price": None, **spend, "caps": NONE | spend.get("caps", {})},
        }
    }
    return compile_policy("shop", PolicySettings.model_validate(resolve("shop", raw)), ORDERS, tariff=tariff)


def ask(policy: Policy, phone: str | None = "+14155550123", **question: Any) -> Decision:
    email = destination.email("ana@example.org")
    number = destination.phone(phone) if phone else None
    return decide(policy, Question("shop", "login", number, question.pop("email", email), **question))


def says(decision: Decision) -> str:
    return next(note.says for note in decision.notes if note.rule == "spend")


def ways(decision: Decision) -> dict[str, tuple[str, ...]]:
    return {step.channel: step.providers for step in decision.steps}


def test_every_provider_of_every_step_has_its_price() -> None:
    prices = {step.channel: dict(step.prices) for step in ask(policy()).steps}
    assert prices == {"sms": {"one": 50_000, "two": 900_000}, "voice": {"one": 1_500_000}, "email": {"mail": 0}}


def test_a_country_has_its_own_price_and_one_that_no_table_names_the_policys() -> None:
    prices = {step.channel: dict(step.prices) for step in ask(policy(unknown_price="0.70 EUR"), "+447400123456").steps}
    assert prices == {"sms": {"one": 40_000, "two": 900_000}, "voice": {"one": 770_000}, "email": {"mail": 0}}


def test_a_provider_that_is_too_dear_is_left_out_and_named() -> None:
    decision = ask(policy(max_price="0.50 USD"))
    assert ways(decision) == {"sms": ("one",), "email": ("mail",)}
    assert says(decision) == ("caps nothing; leaves out as too dear: two by sms (0.90 USD), one by voice (1.50 USD)")


def test_a_price_that_is_the_highest_allowed_is_allowed() -> None:
    assert ways(ask(policy(max_price="0.90 USD")))["sms"] == ("one", "two")


def test_where_every_way_is_too_dear_it_is_refused() -> None:
    refusal = ask(policy(max_price="0.01 USD"), email=None).refusal
    assert refusal
    assert (refusal.code, refusal.rule) == ("spend_capped", "spend")


def test_an_unknown_price_above_the_highest_sends_only_what_has_a_price() -> None:
    decision = ask(policy(max_price="1 USD", unknown_price="2 USD"), "+447400123456")
    assert ways(decision) == {"sms": ("one", "two"), "email": ("mail",)}


def test_a_weighted_order_loses_the_share_of_who_is_left_out() -> None:
    steps = [{"channel": "sms", "wait": "30s", "order": "weighted", "weights": {"one": 1, "two": 9}}]
    raw = {"shop": {"countries": {"allow": ["US"]}, "fallback": steps, "spend": {"max_price": "0.5 USD"}}}
    made = compile_policy("shop", PolicySettings.model_validate(resolve("shop", raw)), ORDERS, tariff=TARIFF)
    assert [(step.providers, step.weights) for step in ask(made).steps] == [(("one",), (("one", 1),))]


def test_only_what_is_free_is_left_once_a_cap_is_used_up() -> None:
    assert ways(ask(policy(), only_free=True)) == {"email": ("mail",)}
    refusal = ask(policy(), only_free=True, email=None).refusal
    assert refusal
    assert refusal.code == "spend_capped"


NONE = dict.fromkeys(("app-day", "country-day", "whole-month"))
CAPS = {
    **NONE,
    "whole": {"per": "everything", "amount": "1000 USD", "window": "month"},
    "soft": {"per": "app", "amount": "10 EUR", "window": "hour", "then": "free"},
    "country": {"per": ["country", "app"], "amount": "20.5 USD", "window": "day"},
}


def test_caps_are_told_with_whose_purse_they_are_and_those_that_refuse_come_first() -> None:
    caps = {cap.name: (cap.per, cap.subject, cap.amount, cap.period, cap.then) for cap in ask(policy(caps=CAPS)).caps}
    assert caps == {
        "whole": ("everything", "", 1_000_000_000, "month", "refuse"),
        "country": ("app+country", "shop/US", 20_500_000, "day", "refuse"),
        "soft": ("app", "shop", 11_000_000, "hour", "free"),
    }
    assert [cap.then for cap in ask(policy(caps=CAPS)).caps][-1] == "free"


def test_a_cap_by_country_does_not_hold_for_email_alone() -> None:
    assert {cap.name for cap in ask(policy(caps=CAPS), None).caps} == {"whole", "soft"}


def test_the_preset_caps_what_somebody_loses_who_never_read_of_it() -> None:
    settings = PolicySettings.model_validate(resolve("default", {})).spend
    assert {name: (cap.per, cap.amount, cap.window) for name, cap in settings.caps.items()} == {
        "country-day": (("app", "country"), "100 USD", "day"),
        "app-day": (("app",), "200 USD", "day"),
        "whole-month": (("everything",), "2000 USD", "month"),
    }
    assert (settings.max_price, settings.unknown_price) == ("1.00 USD", "0.50 USD")


def test_one_amount_of_a_cap_can_be_changed_by_its_name() -> None:
    raw = {"shop": {"spend": {"caps": {"app-day": {"amount": "5 USD"}, "country-day": None}}}}
    caps = PolicySettings.model_validate(resolve("shop", raw)).spend.caps
    assert {name: cap.amount for name, cap in caps.items()} == {"app-day": "5 USD", "whole-month": "2000 USD"}


def test_a_currency_without_a_rate_is_a_fault_that_says_what_to_write() -> None:
    with pytest.raises(Unrated, match=r"^spend\.caps\.x\.amount: GBP has no rate to USD: write spend\.rates\.GBP$"):
        policy(caps={"x": {"per": "app", "amount": "1 GBP", "window": "day"}})


@pytest.mark.parametrize("amount", ["1", "1 usd", "-1 USD", "1.0000001 USD", "1,5 USD", "1e3 USD", "١ USD", "1 USD\n"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValidationError, match="not an amount of money"):
        SpendSettings(max_price=amount)


@pytest.mark.parametrize(
    ("per", "fault"), [([], "at least one of"), (["app", "everything"], "write it alone"), ("team", "Input should be")]
)
def test_what_is_no_purse_is_refused(per: object, fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        SpendSettings.model_validate({"caps": {"x": {"per": per, "amount": "1 USD", "window": "day"}}})


def test_two_caps_on_one_purse_are_refused_since_they_would_both_draw_on_it() -> None:
    cap = {"per": "app", "amount": "1 USD", "window": "day"}
    with pytest.raises(ValidationError, match=r"caps\.mine: has the same per and window as app-day: change app-day"):
        SpendSettings.model_validate({"caps": {"app-day": cap, "mine": cap}})


@pytest.mark.parametrize(
    ("period", "now", "began", "ends"),
    [
        ("hour", "2026-03-29T01:59:59", "2026-03-29T01:00:00", "2026-03-29T02:00:00"),
        ("day", "2026-03-29T01:30:00", "2026-03-29T00:00:00", "2026-03-30T00:00:00"),
        ("month", "2028-02-29T23:59:59", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_periods_are_those_of_the_calendar_in_utc(period: Any, now: str, began: str, ends: str) -> None:
    assert bounds(period, _ms(now)) == (_ms(began), _ms(ends))


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@given(st.sampled_from(["hour", "day", "month"]), st.integers(0, 4_000_000_000_000))
def test_periods_follow_each_other_without_a_gap(period: Any, now: int) -> None:
    began, ends = bounds(period, now)
    assert began <= now < ends
    assert bounds(period, ends - 1) == (began, ends)
    assert bounds(period, ends)[0] == ends


@given(st.integers(0, 10**15))
def test_an_amount_is_written_so_that_it_can_be_read_again(micros: int) -> None:
    assert Tariff().reckon(written(micros, "USD")) == micros


@given(st.integers(0, 10**12), st.decimals("0.0001", "20000", places=4))
def test_a_conversion_never_reckons_less(micros: int, rate: Decimal) -> None:
    found = Tariff("USD", {"XXX": rate}).convert(micros, "XXX")
    assert 0 <= found - micros * rate < 1


def test_amounts_are_written_as_people_do() -> None:
    assert [written(n, "USD") for n in (7_900, 12_500_000, 0, MICROS)] == [
        "0.0079 USD",
        "12.50 USD",
        "0.00 USD",
        "1.00 USD",
    ]
