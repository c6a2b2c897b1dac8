"""The machine under any sequence of events: what holds always, whatever the order."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels.contract import REMEDIES, ErrorClass, Remedy
from gateway.core import machine
from gateway.core.machine import Accepted, Canceled, Delivered, Due, Ended, Failed, Pace, Resent, Send, Unreachable
from gateway.core.model import Attempt, AttemptStatus, Status, Verification
from policies.model import Step

PACE = Pace()
RANK = {s: rank for rank, s in enumerate(("queued", "sent", "silent", "failed", "delivered"))}
ERRORS = st.sampled_from([ErrorClass.TEMPORARY, ErrorClass.NO_CHANNEL, ErrorClass.BAD_DESTINATION, ErrorClass.FRAUD])
"""One class for each remedy, so that their combinations are met often."""
NUMBERS = st.sampled_from([0, 0, 0, -1, -1, -2])
"""Counted back from the newest attempt: what is far behind matters little, what was just left behind most."""
NEWS = st.one_of(st.builds(Accepted, NUMBERS), st.builds(Delivered, NUMBERS), st.builds(Failed, NUMBERS, ERRORS))
EVENTS = st.one_of(
    NEWS, st.just(Due()), st.builds(Resent, st.sampled_from([None, "sms", "email"])), st.just(Canceled())
)
PACES = st.tuples(EVENTS, st.integers(0, 90_000))
STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["sms", "voice", "whatsapp", "email"]),
        st.sampled_from([("one",), ("one", "two"), ("two", "three", "one")]),
        st.integers(5_000, 60_000),
    ),
    min_size=1,
    max_size=4,
).map(tuple)


def fresh(steps: tuple[Step, ...]) -> Verification:
    first = Attempt(1, 0, steps[0].channel, steps[0].providers[0], AttemptStatus.QUEUED, 0, 0)
    status = Status.PENDING
    return Verification("ver_x", 1, "a", "p", "p", "r", status, steps, (first,), 0, 600_000, 0, 0, 5)


def turned(v: Verification, event: machine.Event, now: int) -> machine.Turn:
    try:
        return machine.apply(v, _absolute(v, event), now, PACE)
    except Unreachable:
        return v, ()


def _absolute(v: Verification, event: machine.Event) -> machine.Event:
    if isinstance(event, Accepted | Delivered | Failed) and event.attempt < 1:
        return replace(event, attempt=max(1, len(v.attempts) + event.attempt))
    return event


def sends(effects: tuple[machine.Effect, ...]) -> list[Send]:
    return [e for e in effects if isinstance(e, Send)]


@settings(max_examples=400, deadline=None)
@given(STEPS, st.lists(PACES, max_size=25))
@example(  # a word of fraud that comes late, about the message before
    (Step("sms", ("one",), 30_000), Step("voice", ("one", "two"), 30_000)),
    [(Accepted(0), 1), (Due(), 30_000), (Failed(-1, ErrorClass.FRAUD), 1), (Failed(0, ErrorClass.TEMPORARY), 1)],
)
def test_no_sequence_of_events_breaks_the_invariants(
    steps: tuple[Step, ...], events: list[tuple[machine.Event, int]]
) -> None:
    v, now = fresh(steps), 0
    for event, passed in events:
        now += passed
        before = v
        v, effects = turned(v, event, now)
        _check_attempts(before, v)
        _check_sends(before, v, event, effects)
        _check_ends(before, v, effects)


def _check_attempts(before: Verification, v: Verification) -> None:
    assert len(v.attempts) in (len(before.attempts), len(before.attempts) + 1)
    assert [a.number for a in v.attempts] == list(range(1, len(v.attempts) + 1))
    for old, new in zip(before.attempts, v.attempts, strict=False):
        assert RANK[new.status] >= RANK[old.status], "an attempt moved backwards"
        assert (new.channel, new.provider, new.queued_at) == (old.channel, old.provider, old.queued_at)
    for attempt in v.attempts:
        assert attempt.provider in v.steps[attempt.step].providers
        assert attempt.channel == v.steps[attempt.step].channel


def _check_sends(
    before: Verification, v: Verification, event: machine.Event, effects: tuple[machine.Effect, ...]
) -> None:
    sent = sends(effects)
    assert len(sent) <= 1
    assert (len(v.attempts) > len(before.attempts)) == any(not s.again for s in sent)
    if sent:
        assert before.pending
        assert v.pending
        assert sent[0].attempt is v.current
        assert v.current.status is AttemptStatus.QUEUED
    if any(_stopped(a) for a in before.attempts):
        # A block as fraud bars every new message. What was queued before it was heard may be carried out again.
        assert all(s.again for s in sent)
    if isinstance(event, Due) and any(a.status is AttemptStatus.DELIVERED for a in before.attempts):
        assert all(s.again for s in sent), "silence sent a message after one was delivered"


def _stopped(attempt: Attempt) -> bool:
    failed = attempt.status is AttemptStatus.FAILED and attempt.reason is not None
    return failed and REMEDIES[ErrorClass(attempt.reason or "")] is Remedy.STOP


def _check_ends(before: Verification, v: Verification, effects: tuple[machine.Effect, ...]) -> None:
    if not before.pending:
        assert v.status is before.status
        assert v.ended_at == before.ended_at
        assert not sends(effects)
    assert (before.pending and not v.pending) == any(isinstance(e, Ended) for e in effects)
    assert (machine.due(v, 0, PACE) is None) == (not v.pending), "a pending verification without a timer"


REPORTS = st.lists(
    st.one_of(st.builds(Delivered, st.integers(1, 2)), st.builds(Failed, st.integers(1, 2), ERRORS)),
    min_size=2,
    max_size=4,
    unique_by=lambda e: (type(e), e.attempt),
)


@settings(max_examples=150, deadline=None)
@given(REPORTS)
def test_reports_in_any_order_leave_the_same_attempt_statuses(reports: list[machine.Event]) -> None:
    steps = (Step("sms", ("one",), 30_000), Step("voice", ("one",), 30_000))
    silent, _ = turned(*_ready(steps))
    outcomes = set()
    for order in permutations(reports):
        v = silent
        for event in order:
            v, _ = turned(v, event, 40_000)
        outcomes.add(tuple(a.status for a in v.attempts))
    assert len(outcomes) == 1


def _ready(steps: tuple[Step, ...]) -> tuple[Verification, machine.Event, int]:
    """Two messages out: the first went silent, the second is about to be accepted."""
    v, _ = turned(fresh(steps), Accepted(1), 1)
    v, _ = turned(v, Due(), 31_000)
    return v, Accepted(2), 31_500


@settings(max_examples=150, deadline=None)
@given(STEPS, st.lists(NEWS, max_size=12))
def test_the_same_news_twice_is_news_once(steps: tuple[Step, ...], news: list[machine.Event]) -> None:
    v = fresh(steps)
    for event in news:
        same = _absolute(v, event)
        v, _ = turned(v, same, 10)
        again, effects = turned(v, same, 11)
        assert (again, effects) == (v, ())
