"""What a policy decides: who is sent to, by which channels, and which rule refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.destination import email, phone
from policies.engine import RULES, Policy, compile_policy, decide
from policies.inheritance import resolve
from policies.model import CodeSettings, Decision, GuessBudget, Question, Refusal
from policies.schema import PolicySettings

US, CANADA, LONDON, INDIA = "+14155552671", "+14165552671", "+442071838750", "+919812345678"
ORDERS = {"sms": ("one", "two"), "whatsapp": ("meta",), "voice": ("two",), "email": ("smtp",)}
ALL = [{"channel": channel, "wait": "30s"} for channel in ("sms", "whatsapp", "voice", "email")]


def policy(**raw: Any) -> Policy:
    raw = {"fallback": ALL, "countries": {"default": "allow"}, "limits": {}} | raw
    return compile_policy("login", PolicySettings.model_validate(raw), ORDERS)


def ask(rules: Policy, number: str = US, address: str = "", **more: Any) -> Decision:
    to, mail = phone(number) if number else None, email(address) if address else None
    return decide(rules, Question(app="shop", purpose="login", phone=to, email=mail, **more))


def channels(decision: Decision) -> list[str]:
    assert decision.refusal is None
    return [step.channel for step in decision.steps]


def refused(decision: Decision) -> tuple[str, str]:
    assert decision.refusal is not None
    assert decision.steps == ()
    return decision.refusal.code, decision.refusal.rule


def test_a_number_gets_every_channel_but_email_in_the_order_of_the_policy() -> None:
    assert channels(ask(policy())) == ["sms", "whatsapp", "voice"]


def test_an_address_gets_email_only_and_both_get_all() -> None:
    assert channels(ask(policy(), number="", address="ana@example.org")) == ["email"]
    assert channels(ask(policy(), address="ana@example.org")) == ["sms", "whatsapp", "voice", "email"]


def test_an_address_that_no_step_reaches_is_refused_by_the_address_rule() -> None:
    rules = policy(fallback=ALL[:2])
    assert refused(ask(rules, number="", address="ana@example.org")) == ("no_channel", "address")
    assert refused(ask(rules, number="")) == ("no_channel", "address")


def test_the_caller_narrows_and_orders() -> None:
    assert channels(ask(policy(), channels=("voice", "sms"))) == ["voice", "sms"]
    assert channels(ask(policy(), channels=("voice", "voice"))) == ["voice"]


@given(st.lists(st.sampled_from(["sms", "whatsapp", "voice", "email", "pigeon"]), max_size=8))
def test_no_wish_widens_what_the_policy_allows(wish: list[str]) -> None:
    decision = ask(policy(fallback=ALL[:2]), channels=tuple(wish))
    assert {step.channel for step in decision.steps} <= {"sms", "whatsapp"}
    assert len(decision.steps) <= 2
    if not wish:
        assert len(decision.steps) == 2


def test_a_channel_that_was_chosen_is_never_replaced_by_another() -> None:
    assert refused(ask(policy(fallback=ALL[:1]), channels=("voice",))) == ("no_channel", "channels")
    assert refused(ask(policy(), number=LONDON, channels=("sms",))) == ("no_channel", "number_type")


def test_an_empty_policy_sends_nowhere() -> None:
    assert refused(ask(policy(countries={}))) == ("country_denied", "country")


def test_a_country_is_sent_to_when_allowed_and_its_neighbour_on_the_same_calling_code_is_not() -> None:
    rules = policy(countries={"allow": ["US"]})
    assert ask(rules).refusal is None
    assert refused(ask(rules, number=CANADA)) == ("country_denied", "country")
    assert refused(ask(rules, number="+18765551234")) == ("country_denied", "country")


def test_deny_holds_where_the_default_is_to_allow() -> None:
    assert refused(ask(policy(countries={"default": "allow", "deny": ["CA"]}), number=CANADA))[0] == "country_denied"


@pytest.mark.parametrize("number", ["+881612345678", "+979123456789", "+80012345678", "+612345678"])
def test_numbers_of_no_country_are_refused_even_where_every_country_is_allowed(number: str) -> None:
    assert refused(ask(policy(number_types={"deny": []}), number=number)) == ("country_denied", "country")


def test_the_global_networks_can_be_allowed_by_name() -> None:
    rules = policy(countries={"allow": ["001"]}, number_types={"deny": []})
    assert ask(rules, number="+881612345678").refusal is None


def test_a_channel_held_to_some_countries_is_left_out_elsewhere() -> None:
    rules = policy(countries={"default": "allow", "only": {"voice": ["US"]}})
    assert channels(ask(rules)) == ["sms", "whatsapp", "voice"]
    assert channels(ask(rules, number=CANADA)) == ["sms", "whatsapp"]
    assert refused(ask(rules, number=CANADA, channels=("voice",))) == ("no_channel", "country")


def test_email_goes_on_when_the_country_or_the_type_of_the_number_is_denied() -> None:
    assert channels(ask(policy(countries={}), address="ana@example.org")) == ["email"]
    assert channels(ask(policy(), number="+449091234567", address="ana@example.org")) == ["email"]


@pytest.mark.parametrize("number", ["+449091234567", "+19005551234", "+18005551234", "+612345678", "+979123456789"])
def test_kinds_of_line_that_are_denied_are_refused(number: str) -> None:
    rules = policy(countries={"allow": ["GB", "US", "001"], "default": "allow"})
    decision = ask(rules, number=number)
    assert refused(decision)[0] == ("country_denied" if number == "+612345678" else "number_type_denied")


def test_a_landline_is_called_and_never_written_to() -> None:
    assert channels(ask(policy(), number=LONDON)) == ["voice"]
    assert channels(ask(policy(), number=LONDON, address="ana@example.org")) == ["voice", "email"]
    assert refused(ask(policy(fallback=ALL[:2]), number=LONDON)) == ("no_channel", "number_type")


def test_a_landline_can_be_denied_or_taken_as_it_is() -> None:
    assert refused(ask(policy(number_types={"landline": "deny"}), number=LONDON)) == (
        "number_type_denied",
        "number_type",
    )
    assert channels(ask(policy(number_types={"landline": "as_is"}), number=LONDON)) == ["sms", "whatsapp", "voice"]


def test_a_step_that_no_provider_can_carry_is_left_out() -> None:
    settings = PolicySettings.model_validate({"fallback": ALL, "countries": {"default": "allow"}})
    assert channels(ask(compile_policy("login", settings, {"voice": ("two",)}))) == ["voice"]
    assert refused(ask(compile_policy("login", settings, {}))) == ("no_channel", "route")


def test_providers_that_are_not_there_are_passed_over() -> None:
    raw = {
        "fallback": [{"channel": "sms", "wait": 30, "providers": ["gone", "two"]}],
        "countries": {"default": "allow"},
    }
    settings = PolicySettings.model_validate(raw)
    there = compile_policy("login", settings, ORDERS, {"sms": {"one", "two"}})
    assert [step.providers for step in ask(there).steps] == [("two",)]
    nothing = compile_policy("login", settings, ORDERS, {"sms": {"one"}})
    assert refused(ask(nothing)) == ("no_channel", "route")


def test_a_country_has_its_own_order_providers_sender_and_wait() -> None:
    special = {
        "channels": ["whatsapp", "sms"],
        "providers": {"sms": ["msg91"]},
        "sender": {"sms": "OTPGTW"},
        "wait": {"sms": "20s"},
    }
    rules = policy(countries={"default": "allow", "rules": {"IN": special}})
    steps = ask(rules, number=INDIA, address="ana@example.org").steps
    assert [(step.channel, step.providers, step.wait, step.sender) for step in steps] == [
        ("whatsapp", ("meta",), 30_000, ""),
        ("sms", ("msg91",), 20_000, "OTPGTW"),
        ("email", ("smtp",), 30_000, ""),
    ]
    assert ask(rules).steps[0].providers == ("one", "two")
    assert channels(ask(rules, number=INDIA, channels=("sms", "whatsapp"))) == ["sms", "whatsapp"]


def test_the_word_of_the_country_goes_before_the_steps_and_the_steps_before_the_configurations() -> None:
    fallback = [{"channel": "sms", "wait": 30, "providers": ["step"]}, {"channel": "voice", "wait": 30}]
    rules = policy(
        fallback=fallback, countries={"default": "allow", "rules": {"IN": {"providers": {"sms": ["country"]}}}}
    )
    assert [step.providers for step in ask(rules, number=INDIA).steps] == [("country",), ("two",)]
    assert [step.providers for step in ask(rules).steps] == [("step",), ("two",)]


def test_a_country_can_place_email_in_its_order() -> None:
    rules = policy(countries={"default": "allow", "rules": {"US": {"channels": ["email", "voice"]}}})
    assert channels(ask(rules, address="ana@example.org")) == ["email", "voice"]


def test_the_first_refusal_wins_and_later_rules_say_nothing() -> None:
    decision = ask(policy(countries={}), number="+19005551234")
    assert refused(decision) == ("country_denied", "country")
    assert [note.rule for note in decision.notes] == ["address", "channels", "lists", "country"]
    assert decision.limits == ()


def test_a_rule_in_shadow_notes_its_refusal_and_changes_nothing() -> None:
    decision = ask(policy(countries={"shadow": True}, number_types={"shadow": True}), number=LONDON)
    assert channels(decision) == ["sms", "whatsapp", "voice"]
    noted = {note.rule: (note.refused, note.shadow) for note in decision.notes}
    assert noted["country"] == (True, True)
    assert noted["number_type"] == (False, True)


def test_every_rule_notes_what_it_decided_in_order_and_masks_the_destination() -> None:
    decision = ask(policy(), address="ana@example.org", ip="203.0.113.7", device="d-81")
    assert [note.rule for note in decision.notes] == [name for name, _ in RULES]
    assert [note.says for note in decision.notes] == [
        "to a number and an email address",
        "no wish",
        "on no list",
        "US is allowed",
        "fixed_line_or_mobile is allowed",
        "nothing is wrong with it",
        "for US: sms, whatsapp, voice, email",
        "no opt-out is known",
        "no channel is silent",
        "watches nothing",
        "caps nothing",
        "counts nothing",
        "6 digits, lives 10m, 5 checks",
    ]


def test_a_rule_that_leaves_steps_out_says_which() -> None:
    notes = {note.rule: note.says for note in ask(policy(), number=LONDON).notes}
    assert notes["address"] == "to a number; leaves out email"
    assert notes["number_type"] == "a landline is called; leaves out sms, whatsapp"


def test_no_decision_shows_a_destination_or_a_client_in_its_repr() -> None:
    raw = {"limits": {"all": {"per": ["destination", "ip", "device"], "amount": 1, "window": "1h"}}}
    shown = repr(ask(policy(**raw), address="ana.lopez@example.org", ip="203.0.113.7", device="d-81"))
    for secret in (US, "5552671", "ana.lopez", "203.0.113.7", "d-81"):
        assert secret not in shown


def test_a_refusal_tells_the_caller_nothing_of_the_policy() -> None:
    decision = ask(policy(countries={"allow": ["US"]}), number=CANADA)
    assert decision.refusal == Refusal("country_denied", "country", "This policy doesn't send to the number's country.")


def test_the_decision_carries_the_code_the_guesses_and_the_revision() -> None:
    decision = ask(policy(code={"alphabet": "letters", "length": 8}, guesses={"amount": 9, "window": "1h"}))
    assert decision.code == CodeSettings(8, "BCDFGHJKLMNPQRSTVWXZ", 600_000, 5, "same", 30_000, (30_000,), 30_000)
    assert decision.guesses == GuessBudget(9, 3_600_000)
    assert (decision.policy, decision.revision) == (
        "login",
        policy(code={"alphabet": "letters", "length": 8}, guesses={"amount": 9, "window": "1h"}).revision,
    )


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 65, "login\n"])
def test_a_policy_name_that_could_be_mistaken_for_a_scope_is_refused(name: str) -> None:
    settings = PolicySettings.model_validate({"fallback": ALL})
    with pytest.raises(ValueError) as failed:
        compile_policy(name, settings, ORDERS)
    expected = "a policy's name has letters, digits, dots, hyphens and underscores, 64 at the most"
    assert str(failed.value) == expected


PHONES = st.sampled_from([US, CANADA, LONDON, INDIA, "+19005551234", "+881612345678", "+612345678", "+18765551234"])
RULESETS = st.sampled_from(
    [
        policy(),
        policy(countries={}),
        policy(countries={"allow": ["US", "GB"], "only": {"voice": ["GB"]}}),
        policy(number_types={"landline": "deny", "deny": []}),
        compile_policy("login", PolicySettings.model_validate(resolve("development", {})), ORDERS),
    ]
)


@given(RULESETS, PHONES, st.booleans(), st.lists(st.sampled_from(["sms", "voice", "email"]), max_size=3), st.text())
def test_every_decision_is_either_a_refusal_or_has_steps_with_providers_and_repeats_itself(
    rules: Policy, number: str, mail: bool, wish: list[str], device: str
) -> None:
    more: dict[str, Any] = {"address": "ana@example.org" if mail else "", "channels": tuple(wish), "device": device}
    decision = ask(rules, number, **more)
    assert (decision.refusal is None) == bool(decision.steps)
    assert all(step.providers for step in decision.steps)
    assert decision == ask(rules, number, **more)
    assert decision.notes[-1].refused == (decision.refusal is not None)


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy().name = "other"  # type: ignore[misc]
