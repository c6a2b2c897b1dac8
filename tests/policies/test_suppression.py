"""What a policy makes of an opt-out: another channel, or nothing at all."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from policies.destination import email, phone
from policies.engine import Policy, compile_policy, decide
from policies.model import Decision, Question
from policies.schema import PolicySettings

ORDERS = dict.fromkeys(("sms", "whatsapp", "voice", "email"), ("one",))


def policy(**suppression: Any) -> Policy:
    steps = [{"channel": channel, "wait": "30s"} for channel in ORDERS]
    raw = {"fallback": steps, "countries": {"default": "allow"}, "suppression": suppression}
    return compile_policy("login", PolicySettings.model_validate(raw), ORDERS)


def ask(rules: Policy, *suppressed: str, mail: str = "", **more: Any) -> Decision:
    to = email(mail) if mail else None
    return decide(rules, Question("shop", "login", phone("+14155552671"), to, suppressed=suppressed, **more))


def channels(decision: Decision) -> list[str]:
    return [step.channel for step in decision.steps]


def says(decision: Decision) -> str:
    return next(note.says for note in decision.notes if note.rule == "suppression")


def test_who_opted_out_of_nothing_gets_every_channel() -> None:
    assert channels(ask(policy())) == ["sms", "whatsapp", "voice"]
    assert says(ask(policy())) == "no opt-out is known"


def test_a_channel_that_the_person_opted_out_of_is_left_out() -> None:
    decision = ask(policy(), "sms")
    assert channels(decision) == ["whatsapp", "voice"]
    assert says(decision) == "opted out of sms; leaves out sms"


def test_with_no_other_channel_left_the_start_is_refused() -> None:
    for decision in (ask(policy(), "sms", "whatsapp", "voice"), ask(policy(), "voice", channels=("voice",))):
        assert decision.refusal is not None
        assert (decision.refusal.code, decision.refusal.rule) == ("opted_out", "suppression")
        assert channels(decision) == []


def test_email_is_another_channel() -> None:
    assert channels(ask(policy(), "sms", "whatsapp", "voice", mail="ana@example.org")) == ["email"]


def test_a_policy_that_refuses_sends_nothing_to_who_opted_out_of_anything() -> None:
    strict = policy(opted_out="refuse")
    assert channels(ask(strict)) == ["sms", "whatsapp", "voice"]
    refusal = ask(strict, "voice").refusal
    assert refusal is not None
    assert (refusal.code, refusal.rule) == ("opted_out", "suppression")
    assert ask(strict, "telegram").refusal is None, "a channel that would not be used"


@pytest.mark.parametrize("wrong", [{"opted_out": "ignore"}, {"expiry": "59m"}, {"expiry": "11y"}, {"never": True}])
def test_a_setting_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policy(**wrong)


def test_the_default_keeps_an_opt_out_until_it_is_lifted() -> None:
    settings = PolicySettings.model_validate({"fallback": [{"channel": "sms", "wait": "30s"}]}).suppression
    assert (settings.opted_out, settings.expiry) == ("next_channel", None)
