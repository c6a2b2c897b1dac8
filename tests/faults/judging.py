"""What must hold of every history of the fleet: the simulation's rules, and what only whole processes can break."""

from __future__ import annotations

from collections.abc import Iterator

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


RULES = (
    *(r for r in checker.RULES if r not in (checker.a_timer_or_an_end, checker.in_time)),
    honest,
    alive_or_over,
)


def broken(history: History) -> list[str]:
    """What breaks a rule, each with the rule's name; empty when everything holds."""
    case = Case(history, TERMS)
    return [f"{rule.__name__}: {fault}" for rule in RULES for fault in rule(case)]


def answered(history: History) -> dict[str, int]:
    """How many calls of each kind were answered: a history in which nothing happened proves nothing."""
    case = Case(history, TERMS)
    counts: dict[str, int] = {}
    for call in case.calls:
        if call.told and call.told.what == "ok":
            counts[call.asked.what] = counts.get(call.asked.what, 0) + 1
    return counts
