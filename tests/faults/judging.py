"""What must hold of every history of the fleet: the simulation's rules, and what only whole processes can break."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gateway.core.model import AttemptStatus
from tests.faults.fleet import CHECKS, LEASE, SENDS
from tests.simulation import checker
from tests.simulation.checker import Call, Case, Terms
from tests.simulation.history import Event, History

PROMPT = 2.0
"""Seconds in which every call is answered, whatever the store does."""
TERMS = Terms(checks=CHECKS, guesses=CHECKS, sends=SENDS, ways=2, lease=LEASE, patience=LEASE, calm=0, new_codes=False)


def honest(case: Case) -> Iterator[str]:
    """Every call is answered in time, if only to say that nobody knows; but for a process that was dead or stopped."""
    for call in case.calls:
        told = call.told
        if told is None or _was_down(case, call, told):
            continue
        if told.status is None:
            yield f"{call.asked.what} of {call.asked.process} was not answered"
        elif told.seconds > PROMPT:
            yield f"{call.asked.what} took {told.seconds} s to be answered {told.status}"
        elif told.status >= 500 and not (told.status == 503 and told.retry):
            yield f"{call.asked.what} was answered {told.status}"


def _was_down(case: Case, call: Call, told: Event) -> bool:
    mine = [e for e in case.history.of("kill", "pause", "up") if e.process == call.asked.process]
    ends = [*mine[1:], Event(1 << 60, "end")]
    spans = ((down.at, up.at) for down, up in zip(mine, ends, strict=False) if down.what != "up")
    return any(call.asked.at <= up + 200 and told.at >= down for down, up in spans)


def alive_or_over(case: Case) -> Iterator[str]:
    """What is pending has a timer; what has ended has none, and no secret. Now that all is well, nothing is queued."""
    for id_, kept in case.history.kept.items():
        v = kept.stored.verification
        if v.pending and kept.timer is None:
            yield f"{id_} is pending without a timer"
        if not v.pending and (kept.timer is not None or kept.stored.sealed is not None):
            yield f"{id_} has ended and still has a timer or its secrets"
        if v.pending and v.current.status is AttemptStatus.QUEUED:
            yield f"{id_}: message {v.current.number} stayed queued"


Rule = Callable[[Case], Iterator[str]]
RULES: tuple[Rule, ...] = (
    *(r for r in checker.RULES if r not in (checker.a_timer_or_an_end, checker.in_time)),
    honest,
    alive_or_over,
)


TAKEN_BACK = (
    checker.few_wrong,
    checker.few_sends,
    checker.not_sent_twice,
    checker.an_end_is_for_ever,
    checker.repeats_agree,
    checker.within_the_caps,
    checker.the_purses_agree,
)
"""What a failover may take back, since nobody waits until a replica has it: a wrong code that was counted, a cancel, a
resend, what was spent, a step of the fallback, which is then taken again. It is told, and not judged."""

AT_HAND = 10
"""Messages that one process may have had at hand when it was stopped: the callers are no more than that."""
_AWAKE = 250  # ms


def last_words(history: History) -> list[Event]:
    """What a process that had been stopped sent when it went on, and was somebody else's by then. Whoever is stopped
    between the look at its lease and the bytes on the wire can't know it, and no vendor can be told to refuse it: one
    message for each that it had at hand is what a stop may cost."""
    found = []
    for down, up in _stops(history):
        others = {e.ref for e in history.of("send") if down.at <= e.at <= up.at + _AWAKE and e.process != up.process}
        waking = (e for e in history.of("send") if e.process == up.process and up.at <= e.at <= up.at + _AWAKE)
        found += [e for e in waking if e.ref in others or _over(history, e)]
    return found


def _over(history: History, send: Event) -> bool:
    kept = history.kept.get(send.ref.rpartition(".")[0])
    ended = kept.stored.verification.ended_at if kept else None
    return kept is not None and ended is not None and send.at > ended - kept.zero


def _stops(history: History) -> Iterator[tuple[Event, Event]]:
    for down in history.of("pause"):
        up = next((e for e in history.of("up") if e.process == down.process and e.at >= down.at), None)
        if up:
            yield down, up


def broken(history: History, rules: Sequence[Rule] = RULES) -> list[str]:
    """What breaks a rule, each with the rule's name; empty when everything holds."""
    late = last_words(history)
    case = Case(replace(history, events=[event for event in history.events if event not in late]), TERMS)
    spoke = [f"last_words: {len(late)} messages of a process that had been stopped"] if len(late) > AT_HAND else []
    return spoke + [f"{rule.__name__}: {fault}" for rule in rules for fault in rule(case)]


def answered(history: History) -> dict[str, int]:
    """How many calls of each kind were answered: a history in which nothing happened proves nothing."""
    case = Case(history, TERMS)
    counts: dict[str, int] = {}
    for call in case.calls:
        if call.told and call.told.what == "ok":
            counts[call.asked.what] = counts.get(call.asked.what, 0) + 1
    return counts
