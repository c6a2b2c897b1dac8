"""A question made from a record decides as the one that was asked, though it holds hashes alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.keys import Keyring
from gateway.service import traffic as writing
from policies.destination import email, phone
from policies.engine import compile_policy, decide
from policies.inheritance import resolve
from policies.model import Limit, Listed, Question
from policies.schema import PolicySettings
from policies.traffic import Ended, Sent, Started, Unreadable, read

KEYS = Keyring(b"l" * 32, {"k1": b"s" * 32})
RAW = {
    "countries": {"default": "allow", "deny": ["RU"], "rules": {"IN": {"channels": ["whatsapp", "sms"]}}},
    "lists": {"deny": ["sub.example.org"], "api_allow": True},
    "email": {"disposable": "deny", "no_mail": "deny", "mixed_script": "deny"},
    "quiet_hours": {"channels": ["voice"]},
    "limits": {"pair": {"per": ["ip", "country"], "amount": 3, "window": "1h"}},
}
POLICY = compile_policy(
    "p",
    PolicySettings.model_validate(resolve("p", {"p": RAW})),
    dict.fromkeys(("sms", "voice", "whatsapp", "email"), ("one",)),
)
NUMBERS = [
    "+14155550123",
    "+14155550199",
    "+919812345678",
    "+4930123456",
    "+79161234567",
    "+18005551234",
    "+8821612345678",
]


def asked(**fields: Any) -> Question:
    """A question with the other fields as they are by themselves, which `builds` would fill in too."""
    return Question(**fields)


QUESTIONS = st.builds(
    asked,
    app=st.sampled_from(["shop", "bank"]),
    purpose=st.just("login"),
    phone=st.sampled_from([None, *map(phone, NUMBERS)]),
    email=st.sampled_from(
        [None, *map(email, ("Ana+x@example.org", "ana@example.org", "a@x.sub.example.org", "a@ex\u0430mple.com"))]
    ),
    listed=st.builds(Listed, st.sampled_from(["", "deny", "allow"]), st.sampled_from(["", "deny", "allow"])),
    mail=st.sampled_from(["unknown", "takes", "refuses"]),
    channels=st.sampled_from([(), ("email",), ("voice", "sms")]),
    now=st.just(1_800_000_000_000),
    locale=st.sampled_from(["", "pt-BR"]),
    suppressed=st.sampled_from([(), ("sms",), ("email", "voice")]),
    ip=st.sampled_from(["", "203.0.113.7", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]),
    device=st.sampled_from(["", "d-1", "d-2"]),
)


class Setup:
    """What recording reads of the real one."""

    def __init__(self) -> None:
        self.keys, self.store, self.record, self.lines = KEYS, self, self, list[dict[str, Any]]()

    def now(self) -> int:
        return 1_800_000_000_000

    def write(self, line: dict[str, Any]) -> None:
        self.lines.append(json.loads(json.dumps(line)))


def recorded(question: Question, **how: str) -> dict[str, Any]:
    setup = Setup()
    writing.started(setup, question, **how)  # type: ignore[arg-type]  # what it reads of a setup is there
    return setup.lines[0]


def shape(limits: tuple[Limit, ...]) -> list[Limit]:
    return [limit._replace(subject="") for limit in limits]


@given(QUESTIONS)
def test_the_question_from_a_record_is_answered_as_the_one_that_was_asked(question: Question) -> None:
    started = read(recorded(question))
    assert isinstance(started, Started)
    real, again = decide(POLICY, question), decide(POLICY, started.question)
    assert (again.refusal, again.steps, again.code) == (real.refusal, real.steps, real.code)
    assert shape(again.limits) == shape(real.limits)


@given(QUESTIONS, QUESTIONS)
def test_two_questions_share_a_counter_in_the_record_exactly_when_they_share_it_in_the_gateway(
    one: Question, other: Question
) -> None:
    real = [decide(POLICY, question).limits for question in (one, other)]
    again = [decide(POLICY, read(recorded(question)).question).limits for question in (one, other)]  # type: ignore[union-attr]
    shared = [[a.subject == b.subject for a in side[0] for b in side[1] if a.name == b.name] for side in (real, again)]
    assert shared[0] == shared[1]


def test_a_line_holds_no_number_address_client_or_device() -> None:
    question = Question("shop", "login", phone(NUMBERS[0]), email("ana@example.org"), ip="203.0.113.7", device="d-81")
    line = json.dumps(recorded(question, verification="ver_x", refused="limits:ip-hour"))
    for secret in (NUMBERS[0], NUMBERS[0][1:], NUMBERS[0][1:-4], "ana@", "203.0.113.7", "d-81", "ver_x"):
        assert secret not in line
    assert '"masked": "+1415*****23"' in line
    assert '"refused": "limits:ip-hour"' in line


def test_another_key_gives_other_hashes_and_each_kind_its_own() -> None:
    question = Question("shop", "login", phone(NUMBERS[0]), device=NUMBERS[0])
    line, setup = recorded(question), Setup()
    setup.keys = Keyring(b"m" * 32, {"k1": b"s" * 32})
    writing.started(setup, question)  # type: ignore[arg-type]  # as above
    assert setup.lines[0]["phone"]["to"] != line["phone"]["to"]
    assert line["device"] != line["phone"]["to"]


def test_later_messages_and_ends_are_read() -> None:
    head = {"v": 1, "at": 5, "id": "a"}
    assert read({**head, "event": "message", "step": 1, "by": "resend"}) == Sent(5, "a", 1, by_person=True)
    assert read({**head, "event": "message", "step": 2, "by": "fallback"}) == Sent(5, "a", 2, by_person=False)
    assert read({**head, "event": "end", "status": "approved"}) == Ended(5, "a", approved=True)
    assert read({**head, "event": "end", "status": "expired"}) == Ended(5, "a", approved=False)


GOOD = recorded(Question("shop", "login", phone(NUMBERS[0]), ip="203.0.113.7"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"v": 2}, "it is not of version 1"),
        ({"event": "sale"}, "it tells of no event that is known"),
        ({"at": "soon"}, "a field is missing, or is not what it should be"),
        ({"phone": {"to": "x"}}, "a field is missing, or is not what it should be"),
        ({"phone": "+14155550123"}, "a field is missing, or is not what it should be"),
        ({"ip": "203.0.113.7"}, "a field is missing, or is not what it should be"),
        ({"ip": "f" * 40}, "a field is missing, or is not what it should be"),
    ],
)
def test_a_line_that_is_wrong_is_refused_without_being_repeated(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(GOOD | change)
    assert str(refused.value) == why
