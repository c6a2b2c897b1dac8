"""A start, rehearsed: what the policy decides and what the limits would say, in memory and in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

from policies.engine import Policy, decide
from policies.model import Counts, Decision, Limit, Question
from policies.rules.limits import cooldown
from policies.windows import Reserved, Windows

LIMITED = "rate_limited"
"""The problem code of the API for a start that a limit refuses."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one start. `limits` are all that it reserves under, the cooldown among them."""

    decision: Decision
    target: str
    limits: tuple[Limit, ...] = ()
    reserved: Reserved = field(default_factory=Reserved)

    @property
    def allowed(self) -> bool:
        return self.decision.refusal is None and self.reserved.by is None

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
        """The limit that refused, or ""."""
        return self.reserved.by.name if self.reserved.by else ""


def start(policy: Policy, question: Question, windows: Windows, now: int) -> Outcome:
    """Ask for a verification at `now` (ms)."""
    decision = decide(policy, question)
    if decision.refusal:
        return Outcome(decision, "")
    target = question.target(decision.steps[0].channel)
    limits = (*decision.limits, *cooldown(question.app, decision.policy, target, decision.code))
    return Outcome(decision, target, limits, windows.reserve(limits, now))


def later(started: Outcome, windows: Windows, now: int, *, by_person: bool) -> Reserved:
    """Another message of a verification that has started: it reserves in its destination's own counters, and the
    automatic fallback only in those that count sends."""
    own = [limit for limit in started.limits if limit.per == "destination" and limit.subject == started.target]
    return windows.reserve([limit for limit in own if by_person or limit.counts is Counts.SENDS], now)
