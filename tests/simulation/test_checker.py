"""The rules find what they are for: a sound history passes them all, and each way to break one is told by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.model import Attempt, AttemptStatus, Purse, Status, Verification
from gateway.store.document import Stored, pack
from policies.model import Step
from tests.simulation.checker import RULES, Terms, broken
from tests.simulation.history import Event, History, Kept

TERMS = Terms(checks=3, guesses=4, sends=3, ways=2, lease=10_000, patience=20_000, calm=0, new_codes=False)
V, TO = "ver_one", "+14155550123"
QUEUED, SENT = AttemptStatus.QUEUED, AttemptStatus.SENT
PRICE = 8_000
PURSE = Purse("purse", "day", 2 * PRICE, 1 << 60, False)


def journal(*names: str) -> bytes:
    return b"".join(pack([0, name]) for name in names)


def kept(ended: int = 60_000, attempts: int = 2, last: AttemptStatus = SENT, told: bytes = b"", **fields: Any) -> Kept:
    """One approved verification with two messages, as the store has it."""
    held = fields.pop("held", PRICE)
    messages = tuple(Attempt(n + 1, 0, "sms", "one", SENT, 1_000, 1_000, held=PRICE) for n in range(attempts - 1))
    status = fields.pop("status", Status.APPROVED)
    v = Verification(
        id=V,
        version=9,
        app="shop",
        purpose="login",
        policy="default",
        revision="r",
        status=status,
        steps=(Step("sms", ("one", "two"), 5_000),),
        attempts=(*messages, Attempt(attempts, 0, "sms", "two", last, 20_000, 20_000, held=held)),
        purses=(PURSE,),
        created_at=0,
        expires_at=90_000,
        resend_at=0,
        checks_used=fields.pop("checks_used", 2),
        checks_max=3,
        ended_at=ended,
    )
    ends = [] if status is Status.PENDING else [str(status)]
    told = told or journal("created", *["queued"] * attempts, *ends)
    return Kept(Stored(v, "k1", fields.pop("sealed", None), "en", told), fields.pop("timer", None))


def started(op: str = "p.1", key: str | None = None, answer: str = V) -> list[Event]:
    return [
        Event(0, "start", {"op": op, "key": key, "to": TO, "process": "p1"}),
        Event(10, "ok", {"op": op, "answer": answer}),
    ]


def sent(at: int, number: int, process: str = "p1", code: str = "482913", paid: int = -1) -> Event:
    """With as much in the purse as there must be, or with so much as is said."""
    facts = {"code": code, "process": process, "to": TO, "price": PRICE}
    held = PRICE * (number + (at not in (20, 20_000))) if paid < 0 else paid
    return Event(at, "send", {"ref": f"{V}.{number}", **facts, "purses": {"purse": held}})


def taken(number: int, price: int = PRICE, billed: int = PRICE) -> Event:
    return Event(20_100, "taken", {"ref": f"{V}.{number}", "price": price, "billed": billed})


def asked(at: int, what: str, answer: Any, **facts: Any) -> list[Event]:
    op = f"{what}.{at}"
    return [Event(at, what, {"op": op, "id": V, **facts}), Event(at + 5, "ok", {"op": op, "answer": answer})]


def checked(at: int, answer: str, code: str = "482913", key: str | None = None) -> list[Event]:
    return asked(at, "check", answer, code=code, key=key)


def sound() -> History:
    """One start, two messages, one wrong and one right code."""
    events = [*started(), sent(20, 1), sent(20_000, 2), taken(1), taken(2), *checked(40_000, "wrong", "000000")]
    return History(lambda: 0, [*events, *checked(60_000, "approved")], {V: kept()}, purses={"purse": 2 * PRICE})


def with_events(*more: Event) -> History:
    history = sound()
    return replace(history, events=sorted([*history.events, *more], key=lambda event: event.at))


def with_kept(**how: Any) -> History:
    return replace(sound(), kept={V: kept(**how)})


BAD: dict[str, tuple[str, Callable[[], History]]] = {
    "a second approval": ("one_approval", lambda: with_events(*checked(60_001, "approved"))),
    "a wrong code approved": (
        "approved_means_right",
        lambda: replace(sound(), events=[*started(), sent(20, 1), *checked(50_000, "approved", "111111")]),
    ),
    "the right code called wrong": ("approved_means_right", lambda: with_events(*checked(30_000, "wrong"))),
    "two codes": ("one_code", lambda: with_events(sent(30_000, 2, code="777777"))),
    "too many wrong codes": (
        "few_wrong",
        lambda: with_events(*checked(41_000, "wrong", "000001"), *checked(42_000, "wrong", "000002")),
    ),
    "a check that was not counted": ("few_wrong", lambda: with_kept(checks_used=1)),
    "more checks counted than allowed": ("few_wrong", lambda: with_kept(checks_used=4)),
    "an acknowledged one gone": ("nothing_lost", lambda: replace(sound(), kept={})),
    "two for one key": (
        "repeats_agree",
        lambda: replace(sound(), events=[*started("a", "k"), *started("b", "k", "ver_two")], kept={}),
    ),
    "two verdicts for one key": (
        "repeats_agree",
        lambda: with_events(*checked(50_000, "wrong", "000003", "k"), *checked(61_000, "spent", "000003", "k")),
    ),
    "one without a timer": ("a_timer_or_an_end", lambda: with_events(Event(30_000, "unarmed", {"id": V}))),
    "one that never ends": ("a_timer_or_an_end", lambda: with_kept(status=Status.PENDING)),
    "a timer after the end": ("a_timer_or_an_end", lambda: with_kept(timer=99_000)),
    "secrets after the end": ("a_timer_or_an_end", lambda: with_kept(sealed=b"secret")),
    "an end that comes too late": ("in_time", lambda: with_kept(status=Status.EXPIRED, ended=111_000)),
    "a message left queued": ("in_time", lambda: with_kept(status=Status.EXPIRED, ended=91_000, last=QUEUED)),
    "a wait that never ends": ("in_time", lambda: with_kept(status=Status.EXPIRED, ended=91_000)),
    "a message after the end": ("no_send_after_the_end", lambda: with_events(sent(70_001, 2))),
    "a message twice": ("not_sent_twice", lambda: with_events(sent(35_000, 2))),
    "a message twice at once": (
        "not_sent_twice",
        lambda: with_events(sent(21_000, 2, "p2"), Event(20_500, "pause", {"process": "p1"})),
    ),
    "a message that nobody wrote down": ("few_sends", lambda: with_kept(attempts=1)),
    "more messages than ways": ("few_sends", lambda: with_kept(attempts=3)),
    "more messages than the limit": (
        "few_sends",
        lambda: replace(with_events(*asked(25_000, "resend", 4)), kept={V: kept(attempts=4)}),
    ),
    "a verdict after the end": ("an_end_is_for_ever", lambda: with_events(*checked(70_000, "wrong", "000004"))),
    "a resend after the end": ("an_end_is_for_ever", lambda: with_events(*asked(70_000, "resend", 3))),
    "a journal with a message too few": (
        "the_journal_agrees",
        lambda: with_kept(told=journal("created", "queued", "approved")),
    ),
    "a journal with two ends": (
        "the_journal_agrees",
        lambda: with_kept(told=journal("created", "queued", "queued", "approved", "expired")),
    ),
    "more than the cap": ("within_the_caps", lambda: with_events(taken(3))),
    "a message before it is paid": ("paid_before_it_goes_out", lambda: with_events(sent(20_000, 2, paid=PRICE))),
    "a message that is not paid again": (
        "paid_before_it_goes_out",
        lambda: with_events(Event(20_500, "kill", {"process": "p1"}), sent(31_000, 2, "p2", paid=2 * PRICE)),
    ),
    "given back twice": ("the_purses_agree", lambda: replace(sound(), purses={"purse": PRICE})),
    "never given back": ("the_purses_agree", lambda: with_kept(held=0)),
    "an exception that nobody caught": ("no_surprise", lambda: replace(sound(), faults=["KeyError"])),
}


def test_a_sound_history_breaks_nothing() -> None:
    assert broken(sound(), TERMS) == []


@pytest.mark.parametrize("what", BAD)
def test_a_planted_history_is_found_by_its_rule(what: str) -> None:
    rule, bad = BAD[what]
    assert rule in {told.partition(":")[0] for told in broken(bad(), TERMS)}


def test_every_rule_has_a_history_that_breaks_it() -> None:
    assert {rule for rule, _ in BAD.values()} == {rule.__name__ for rule in RULES}


def test_what_a_lost_lease_explains_is_no_fault() -> None:
    killed = with_events(Event(20_500, "kill", {"process": "p1"}), sent(31_000, 2, "p2"))
    assert broken(replace(killed, purses={"purse": 3 * PRICE}), TERMS) == []
    assert "the_purses_agree" in broken(killed, TERMS)[0], "what is sent twice is paid twice"


def test_what_turns_out_dearer_and_what_a_crash_left_over_come_on_top_of_a_cap() -> None:
    dearer = replace(with_kept(held=3 * PRICE), purses={"purse": 4 * PRICE})
    assert broken(replace(dearer, events=[*dearer.events, taken(2, billed=3 * PRICE)]), TERMS) == []
    crashed = with_events(Event(20_500, "kill", {"process": "p1"}))
    assert broken(replace(crashed, purses={"purse": 3 * PRICE}), TERMS) == []


def test_a_code_that_a_resend_replaced_is_no_longer_right() -> None:
    events = [*started(), sent(20, 1, code="111111"), *asked(19_990, "resend", 2), sent(20_000, 2)]
    late = replace(sound(), events=[*events, *checked(60_000, "approved", "111111")])
    assert "approved_means_right" in broken(late, replace(TERMS, new_codes=True))[0]
    meanwhile = replace(sound(), events=[*events[:-3], *checked(19_980, "approved", "111111")])
    assert not any("approved_means_right" in told for told in broken(meanwhile, replace(TERMS, new_codes=True)))
