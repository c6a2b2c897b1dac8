"""A start, rehearsed: what the policy decides and what the limits would say, in memory and in virtual time."""

from __future__ import annotations

from typing import NamedTuple

from policies.engine import Policy, decide
from policies.model import Counts, Decision, Limit, Question
from policies.rules.limits import with_cooldown
from policies.rules.spend import REFUSAL
from policies.windows import Counted, Reserved, Windows

LIMITED = "rate_limited"
"""The problem code of the API for a start that a limit refuses."""


class Outcome(NamedTuple):
    """What became of one start. `counted` is all that it reserves in, with the cooldown."""

    decision: Decision
    targets: tuple[str, ...] = ()  # for each step, the address that its messages go to
    counted: tuple[Counted, ...] = ()
    reserved: Reserved = Reserved()
    at: int = 0  # ms
    free: frozenset[str] = frozenset()  # channels that nobody earns from

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All that it reserves under."""
        return tuple(limit for counter, _ in self.counted for limit in counter.limits)

    @property
    def allowed(self) -> bool:
        return self.decision.refusal is None and self.reserved.passed

    @property
    def problem(self) -> str:
        """The API's problem code, or ""."""
        refusal = self.decision.refusal
        return refusal.code if refusal else LIMITED if self.reserved.by else ""

    @property
    def rule(self) -> str:
        """The rule that refused, or ""."""
        refusal = self.decision.refusal
        return refusal.rule if refusal else "limits" if self.reserved.by else ""

    @property
    def by(self) -> str:
        """The limit or the cap that refused, or ""."""
        by = self.reserved.by or self.reserved.cap
        return by.name if by else ""

    def price(self, step: int) -> int:
        """What a message of this step costs with the provider that goes first, in millionths."""
        return self.decision.steps[step].price(self.decision.steps[step].providers[0])


def start(policy: Policy, question: Question, windows: Windows, now: int) -> Outcome:
    """Ask for a verification at `now` (ms)."""
    decision = decide(policy, question)
    looked = windows.watching.look(decision.watches, now)
    if looked.by:
        decision = decide(policy, question._replace(suspected=looked.mode, suspected_by=looked.by.rule))
    if decision.refusal:
        return Outcome(decision)
    targets = tuple(question.target(step.channel) for step in decision.steps)
    counted = _counted(question.app, decision)
    outcome = Outcome(decision, targets, counted, at=now, free=frozenset(policy.settings.fraud.free))
    reserved = _reserved(outcome, counted, windows, now, 0)
    if reserved.passed:
        windows.watching.count(decision.watches, now)
    if reserved.cap is None:
        return outcome._replace(reserved=reserved)
    if reserved.cap.then == "free":
        return start(policy, question._replace(only_free=True), windows, now)
    return Outcome(decision._replace(refusal=REFUSAL), reserved=reserved)


def _counted(app: str, decision: Decision) -> tuple[Counted, ...]:
    return tuple((counter, counter.subject(decision.subjects)) for counter in with_cooldown(app, decision))


def later(started: Outcome, windows: Windows, now: int, *, by_person: bool, step: int = 0) -> Reserved:
    """Another message, of this step, of a verification that has started: it reserves in the counters of its own
    address and of the first message's, and the automatic fallback only in those that count sends."""
    whose = (started.targets[0], started.targets[step])
    own = [(c, subject) for c, subject in started.counted if c.per == "destination" and subject in whose]
    wanted = tuple((c, subject) for c, subject in own if by_person or c.counts is Counts.SENDS)
    return _reserved(started, wanted, windows, now, step)


def pays(started: Outcome, step: int) -> bool:
    """Whether somebody may earn from a message of this step."""
    return started.decision.steps[step].channel not in started.free


def barred(started: Outcome, windows: Windows, now: int, step: int) -> bool:
    """Whether a block has begun since the start that keeps another message, of this step, from going out."""
    return pays(started, step) and windows.watching.blocked(started.decision.watches, now) is not None


def answered(started: Outcome, windows: Windows, paid: int = 1) -> None:
    """The code of a verification was typed that had so many messages that somebody may earn from."""
    windows.watching.credit(started.decision.watches, started.at, max(1, paid))


def _reserved(outcome: Outcome, counted: tuple[Counted, ...], windows: Windows, now: int, step: int) -> Reserved:
    """Limits and purses, all or none. A verification belongs to the periods that it began in."""
    paid = outcome.decision.caps, outcome.price(step), outcome.at
    cap = windows.purses.full(*paid)
    reserved = Reserved(cap=cap) if cap else windows.reserve(counted, now)
    if reserved.passed:
        windows.purses.pay(*paid)
    return reserved
