"""The breaker by the table, in virtual time: when it opens, what it lets through, and what closes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.breaker import Breaker, Entry, State, Terms

TERMS = Terms()


def feed(breaker: Breaker, answers: str, now: float, step: float = 0.0) -> float:
    """Send one message for each letter and settle it: + sound, - faulty, . says nothing. Returns the time after."""
    for letter in answers:
        entry = breaker.enter(now)
        if entry is not None:
            breaker.settle(entry, {"+": True, "-": False, ".": None}[letter], now)
        now += step
    return now


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(TERMS)
    feed(breaker, "-" * 20, at)
    assert breaker.state(at) is State.OPEN
    return breaker


@pytest.mark.parametrize(
    ("answers", "step", "state"),
    [
        ("-" * 19, 0, State.CLOSED),  # too few to tell
        ("-" * 20, 0, State.OPEN),
        ("+" * 10 + "-" * 10, 0, State.OPEN),  # exactly half
        ("+" * 11 + "-" * 10, 0, State.CLOSED),
        ("-" * 10 + "+" * 10, 0, State.CLOSED),  # it opens on a fault, never on a success
        ("-" * 10 + "+" * 10 + "-", 0, State.OPEN),
        ("." * 100 + "-" * 19, 0, State.CLOSED),  # what says nothing is no sample
        ("." * 100 + "-" * 20, 0, State.OPEN),  # and hides nothing
        ("-" * 20, 1.0, State.OPEN),
        ("-" * 40, 1.6, State.CLOSED),  # 19 in any 30 seconds
        ("+" * 100 + "-" * 20, 0, State.CLOSED),
        ("+" * 100 + "-" * 20, 1.0, State.OPEN),  # the successes are older than the window
    ],
)
def test_it_opens_when_half_of_twenty_answers_in_thirty_seconds_are_faults(
    answers: str, step: float, state: State
) -> None:
    breaker = Breaker(TERMS)
    now = feed(breaker, answers, 1000.0, step)
    assert breaker.state(now - step) is state


@pytest.mark.parametrize(
    ("after", "state", "refuses"), [(0, "open", True), (29.9, "open", True), (30, "half_open", False)]
)
def test_it_stays_open_for_thirty_seconds(after: float, state: str, refuses: bool) -> None:
    breaker = opened(100.0)
    assert (breaker.state(100.0 + after), breaker.refuses(100.0 + after)) == (state, refuses)
    assert (breaker.enter(100.0 + after) is None) is refuses


@pytest.mark.parametrize(
    ("answer", "state", "refuses"),
    [
        (True, State.CLOSED, False),
        (False, State.OPEN, True),
        (None, State.HALF_OPEN, False),  # nothing was learned: the next message probes
    ],
)
def test_the_answer_to_the_probe_decides(answer: bool | None, state: State, refuses: bool) -> None:
    breaker = opened()
    probe = breaker.enter(30.0)
    assert probe is not None
    breaker.settle(probe, answer, 31.0)
    assert (breaker.state(31.0), breaker.refuses(31.0)) == (state, refuses)


def test_a_failed_probe_opens_it_for_another_thirty_seconds() -> None:
    breaker = opened()
    feed(breaker, "-", 40.0)
    assert [breaker.state(at) for at in (40.0, 69.9, 70.0)] == [State.OPEN, State.OPEN, State.HALF_OPEN]


def test_after_it_closes_it_counts_from_nothing() -> None:
    breaker = opened()
    feed(breaker, "+", 30.0)
    feed(breaker, "-" * 19, 30.0)
    assert breaker.state(30.0) is State.CLOSED


def test_answers_from_before_it_turned_change_nothing() -> None:
    breaker = Breaker(TERMS)
    slow = [breaker.enter(0.0) for _ in range(60)]
    feed(breaker, "-" * 20, 0.0)
    settle(breaker, slow[:20], True, 1.0)
    assert breaker.state(1.0) is State.OPEN
    settle(breaker, slow[20:40], False, 29.0)
    assert breaker.state(30.0) is State.HALF_OPEN  # the late failures did not make it longer
    feed(breaker, "+", 30.0)
    settle(breaker, slow[40:], False, 31.0)
    assert breaker.state(31.0) is State.CLOSED


def settle(breaker: Breaker, entries: list[Entry | None], sound: bool, now: float) -> None:
    for entry in entries:
        assert entry is not None
        breaker.settle(entry, sound, now)


def test_a_message_that_insists_goes_through_and_its_success_closes() -> None:
    breaker = opened()
    entry = breaker.enter(5.0, insist=True)
    assert entry is not None
    breaker.settle(entry, True, 6.0)
    assert breaker.state(6.0) is State.CLOSED


def test_a_message_that_insists_and_fails_neither_lengthens_nor_takes_the_probe() -> None:
    breaker = opened()
    for at in (5.0, 29.0):
        entry = breaker.enter(at, insist=True)
        assert entry is not None
        breaker.settle(entry, False, at)
    assert breaker.state(30.0) is State.HALF_OPEN
    probe, insisting = breaker.enter(30.0), breaker.enter(30.0, insist=True)
    assert (probe is not None and probe.probe, insisting is not None and insisting.probe) == (True, False)


def probes(breaker: Breaker, now: float, messages: int = 1000) -> int:
    """How many of so many messages at once are let through."""
    return sum(breaker.enter(now) is not None for _ in range(messages))


def test_of_a_thousand_messages_at_once_one_probes() -> None:
    assert probes(opened(), 30.0) == 1


def test_a_breaker_that_forgets_its_probe_is_noticed() -> None:
    class Forgetful(Breaker):
        def enter(self, now: float, *, insist: bool = False) -> Entry | None:
            entry = super().enter(now, insist=insist)
            self._probe = None
            return entry

    breaker = Forgetful(TERMS)
    feed(breaker, "-" * 20, 0.0)
    assert probes(breaker, 30.0) == 1000


def test_it_remembers_no_more_than_its_window_however_long_it_runs() -> None:
    breaker = Breaker(TERMS)
    feed(breaker, "+" * 5000, 0.0, 0.5)
    assert len(breaker._counts) <= TERMS.window + 1


Step = tuple[str, float]


@given(st.lists(st.tuples(st.sampled_from("+-.?!"), st.floats(0, 40)), max_size=80))
def test_whatever_happens_no_more_than_one_probe_is_out_and_a_pause_always_ends(steps: list[Step]) -> None:
    breaker, now = Breaker(Terms(sample=3)), 0.0
    out: list[Entry] = []
    settle_oldest: dict[str, Callable[[Entry], None]] = {
        letter: lambda entry, sound=sound: breaker.settle(entry, sound, now)  # type: ignore[misc]
        for letter, sound in (("+", True), ("-", False), (".", None))
    }
    for letter, seconds in steps:
        now += seconds
        if letter in "?!":
            entry = breaker.enter(now, insist=letter == "!")
            out += [entry] if entry else []
        elif out:
            settle_oldest[letter](out.pop(0))
        assert sum(entry.probe and entry.era == breaker._usual.era for entry in out) <= 1
        assert (breaker.state(now + TERMS.pause) is State.OPEN) is False
