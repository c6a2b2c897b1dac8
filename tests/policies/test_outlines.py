"""What the rules say is remembered by a question's circumstances: nobody gets an answer that was meant for another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import decision
from policies.destination import email, phone
from policies.engine import Policy, decide, outline
from policies.model import Circumstances, Listed, Mode, Outline, Question

POLICY = decision.policy()
NUMBERS = [
    *("+12025550123", "+12025550124", "+442071838750", "+447400123456", "+447012345678", "+551123456789"),
    *("+5511961234567", "+919812345678", "+88213123456", "+8502381234567", "+447999012345"),
]
CHANNELS = st.lists(st.sampled_from(["sms", "whatsapp", "voice", "email"]), max_size=4).map(tuple)
WORDS = st.sampled_from(["", "deny", "allow"])


def question(number: str, address: str, **more: Any) -> Question:
    to, mail = phone(number) if number else None, email(address) if address else None
    return Question("shop", "login", to, mail, **more)


questions = st.builds(
    question,
    st.sampled_from(["", *NUMBERS]),
    st.sampled_from(["", "ana@example.org", "ben@mailinator.com", "x@bad.example.org"]),
    channels=CHANNELS,
    ip=st.sampled_from(["", "203.0.113.7", "2001:db8::1", "::ffff:203.0.113.9", "none"]),
    device=st.sampled_from(["", "d-1", "d-2"]),
    suppressed=CHANNELS,
    listed=st.builds(Listed, WORDS, WORDS),
    mail=st.sampled_from(["unknown", "takes", "refuses"]),
    now=st.integers(0, 48).map(lambda halves: halves and 1_800_000_000_000 + halves * 1_800_000),
    only_free=st.booleans(),
    own_code=st.booleans(),
    suspected=st.sampled_from(Mode),
    suspected_by=st.sampled_from(["", "adjacent"]),
    stretch=st.integers(1, 2),
)


def remembering(outlines: Callable[[Circumstances], Outline]) -> Policy:
    """The policy with another memory."""
    policy = dataclasses.replace(POLICY)
    object.__setattr__(policy, "outlines", outlines)
    return policy


def told(policy: Policy, asked: Question) -> tuple[object, ...]:
    found = decide(policy, asked)
    return (*found._replace(counters=(), outline=None), found.limits)


@given(questions)
def test_an_answer_out_of_memory_is_the_one_that_the_rules_give(asked: Question) -> None:
    assert told(POLICY, asked) == told(remembering(partial(outline, POLICY)), asked)


SEEN = question("+12025550124", "ana@example.org", now=1_800_000_000_000, ip="203.0.113.7", device="d-1")


@pytest.mark.parametrize(
    ("left_out", "other"),
    [
        ("country", {"number": "+919812345678"}),
        ("kind", {"number": "+18005550123"}),
        ("mailbox", {"address": ""}),
        ("channels", {"channels": ("voice",)}),
        ("ip", {"ip": ""}),
        ("device", {"device": ""}),
        ("suppressed", {"suppressed": ("sms",)}),
        ("listed", {"listed": Listed("deny")}),
        ("flaws", {"mail": "refuses"}),
        ("ranges", {"number": "+447012345678"}),
        ("night", {"now": 1_800_000_000_000 + 12 * 3_600_000}),
        ("only_free", {"only_free": True}),
        ("own_code", {"own_code": True}),
        ("suspected", {"suspected": Mode.ENFORCE}),
        ("stretch", {"stretch": 30}),
    ],
)
def test_a_memory_that_leaves_out_one_circumstance_is_caught(left_out: str, other: dict[str, Any]) -> None:
    """The planted bugs: each of the circumstances, forgotten."""
    plain = Circumstances._field_defaults[left_out]
    shared = lru_cache(64)(partial(outline, POLICY))
    policy = remembering(lambda at: shared(at._replace(**{left_out: plain})))
    more = {"now": SEEN.now, "ip": SEEN.ip, "device": SEEN.device} | other
    asked = question(more.pop("number", "+12025550124"), more.pop("address", "ana@example.org"), **more)
    assert told(POLICY, SEEN) == told(remembering(partial(outline, POLICY)), SEEN)
    assert (told(policy, SEEN), told(policy, asked)) != (told(POLICY, SEEN), told(POLICY, asked))


def test_people_in_the_same_circumstances_share_an_outline_and_no_subject() -> None:
    one, other = (decide(POLICY, question(number, "")) for number in ("+12025550125", "+12025550126"))
    assert one.outline is other.outline
    subjects = [{limit.subject for limit in found.limits if limit.per == "destination"} for found in (one, other)]
    assert subjects == [{"+12025550125"}, {"+12025550126"}]
    assert "+1202555012" not in repr(one)


def test_whoever_asks_in_ever_new_circumstances_does_not_fill_the_memory() -> None:
    for stretch in range(2_000):
        decide(POLICY, question("+12025550123", "", stretch=stretch))
    assert POLICY.outlines.cache_info().currsize <= 512  # type: ignore[attr-defined]  # as lru_cache has it
