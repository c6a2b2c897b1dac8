"""The rules for whole processes find what they are for, in planted histories; the others are the simulation's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.model import Attempt, AttemptStatus, Purse, Status, Verification
from gateway.store.document import Stored, pack
from policies.model import Step
from tests.faults.judging import RULES, broken
from tests.simulation.history import Event, History, Kept

V, TO = "ver_one", "+14155550123"
PRICE = 10_000


def kept(**fields: Any) -> Kept:
    """A verification whose message is out and whose code nobody has tried."""
    sent = Attempt(1, 0, "sms", "own", fields.pop("last", AttemptStatus.SENT), 1_000, 1_000, held=PRICE)
    timer, sealed = fields.pop("timer", 9_000), fields.pop("sealed", b"secret")
    v = Verification(
        id=V,
        version=3,
        app="demo",
        purpose="default",
        policy="default",
        revision="r",
        status=fields.pop("status", Status.PENDING),
        steps=(Step("sms", ("own",), 2_000),),
        attempts=(sent,),
        created_at=0,
        expires_at=60_000,
        resend_at=0,
        checks_used=0,
        checks_max=4,
        purses=(Purse("purse", "cap", 2 * PRICE, 1 << 60, False),),
    )
    ends = ["canceled"] if v.status is Status.CANCELED else []
    journal = b"".join(pack([0, name]) for name in ("created", "queued", *ends))
    return Kept(Stored(v, "k1", sealed, "en", journal), timer)


def started(**outcome: Any) -> list[Event]:
    facts = {"op": 1, "answer": V, "process": "g1", "status": 201, "seconds": 0.01, "retry": False, **outcome}
    what = facts.pop("what", "ok")
    return [
        Event(1_000, "start", {"op": 1, "key": None, "to": TO, "process": "g1"}),
        Event(1_000 + int(facts["seconds"] * 1000), what, facts),
    ]


SENT = Event(1_020, "send", {"ref": f"{V}.1", "code": "482913", "process": "g1", "to": TO, "price": PRICE})
TAKEN = Event(1_020, "taken", {"ref": f"{V}.1", "process": "g1", "price": PRICE, "billed": PRICE})
UNANSWERED = {"what": "unknown", "answer": None, "status": None, "seconds": 2.5}


def history(events: list[Event], keeping: Kept | None = None) -> History:
    """With as much in the purse as every message costs, also one that went out again."""
    spent = PRICE * max(1, sum(event.what == "send" for event in events))
    in_order = sorted(events, key=lambda event: event.at)
    return History(lambda: 0, in_order, {V: keeping or kept()}, purses={"purse": spent})


def test_a_sound_history_breaks_nothing() -> None:
    assert broken(history([*started(), SENT])) == []
    refused = {"what": "unknown", "answer": None, "status": 503, "retry": True}
    assert broken(history([*started(**refused), SENT])) == []
    assert broken(history([*started(), SENT], kept(status=Status.CANCELED, timer=None, sealed=None))) == []


BAD: dict[str, tuple[str, list[Event], Kept]] = {
    "no answer": ("honest", started(**UNANSWERED), kept()),
    "an answer too late": ("honest", started(seconds=2.3), kept()),
    "a crash": ("honest", started(what="unknown", answer=None, status=500), kept()),
    "a 503 that does not say when": ("honest", started(what="unknown", answer=None, status=503), kept()),
    "pending without a timer": ("alive_or_over", started(), kept(timer=None)),
    "queued for ever": ("alive_or_over", started(), kept(last=AttemptStatus.QUEUED)),
    "ended with a timer": ("alive_or_over", started(), kept(status=Status.CANCELED, sealed=None)),
    "ended with its secrets": ("alive_or_over", started(), kept(status=Status.CANCELED, timer=None)),
    "acknowledged and gone": ("nothing_lost", started(answer="ver_two"), kept()),
}


@pytest.mark.parametrize("what", BAD)
def test_a_planted_history_is_found_by_its_rule(what: str) -> None:
    rule, events, keeping = BAD[what]
    assert {told.partition(":")[0] for told in broken(history([*events, SENT], keeping))} == {rule}


def test_money_is_judged_as_in_the_simulation() -> None:
    def told(found: History) -> set[str]:
        return {rule.partition(":")[0] for rule in broken(found)}

    sound = history([*started(), SENT, TAKEN])
    more = [replace(TAKEN, facts={**TAKEN.facts, "ref": f"{V}.{n}"}) for n in (2, 3)]
    assert told(sound) == set()
    assert told(replace(sound, events=[*sound.events, *more])) == {"within_the_caps"}
    assert told(replace(sound, purses={"purse": 0})) == {"the_purses_agree"}


def test_who_was_dead_or_stopped_need_not_answer_and_all_others_must() -> None:
    events = [*started(**UNANSWERED), SENT]
    down = [Event(1_500, "pause", {"process": "g1"}), Event(3_200, "up", {"process": "g1"})]
    assert broken(history([*events, *down])) == []
    of_another = [replace(event, facts={"process": "g2"}) for event in down]
    assert broken(history([*events, *of_another])) == ["honest: start of g1 was not answered"]
    earlier = [replace(event, at=event.at - 1_400) for event in (down[0], replace(down[1], at=1_900))]
    assert broken(history([*events, *earlier])) == ["honest: start of g1 was not answered"]


def test_a_stopped_process_may_send_what_it_had_at_hand_and_no_more() -> None:
    def sent(at: int, process: str, number: int = 1) -> Event:
        return replace(SENT, at=at, facts={**SENT.facts, "ref": f"{V}.{number}", "process": process})

    stop = [Event(1_010, "pause", {"process": "g1"}), Event(5_000, "up", {"process": "g1"})]
    taken_over = [*started(), *stop, sent(4_600, "g2")]
    assert broken(history([*taken_over, sent(5_050, "g1")])) == []
    twice = broken(history([*taken_over, sent(5_900, "g1")]))
    assert [told.partition(":")[0] for told in twice] == ["not_sent_twice", "not_sent_twice"]
    many = broken(history([*taken_over, *(sent(5_050 + n, "g1") for n in range(11))]))
    assert many == ["last_words: 11 messages of a process that had been stopped"]


def test_there_are_rules_of_both_kinds() -> None:
    assert {"honest", "alive_or_over", "one_approval", "no_send_after_the_end"} <= {rule.__name__ for rule in RULES}
