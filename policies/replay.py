"""Replays recorded traffic under two sets of policies, in virtual time, and counts what would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from policies.engine import Policy
from policies.model import Mode, Question
from policies.rehearsal import Outcome, answered, barred, later, pays, start
from policies.traffic import Ended, Recorded, Sent, Started
from policies.windows import Windows

Policies = Callable[[Question], Policy | None]
"""The policy that decides a question; None when its app is not in the configuration."""

MOST_OPEN = 200_000
"""Verifications that may be unfinished at once. Beyond it the oldest is taken to have ended, not approved."""

EMAIL = "email"
"""What stands for the country of a start without a phone number."""


@dataclass(slots=True)
class Tally:
    """What came of the starts under one set of policies. Keys are (rule, country) and (channel, country)."""

    allowed: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    shadows: Counter[str] = field(default_factory=Counter)  # by limit: would have refused
    cost: Counter[str] = field(default_factory=Counter)  # by country, in millionths of the caps' currency

    def send(self, outcome: Outcome, step: int, country: str) -> None:
        """Count a message of this step."""
        if outcome.decision.treatment is Mode.SHADOW:
            return  # which sends nothing
        self.messages[outcome.decision.steps[step].channel, country] += 1
        self.cost[country] += outcome.price(step)


@dataclass(slots=True)
class Comparison:
    """Both tallies, and what the change of policies changes."""

    before: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)
    starts: int = 0
    approved: int = 0
    as_recorded: int = 0  # starts that the present policies decide as they were decided then
    since: int = 0  # ms
    until: int = 0
    changed: int = 0  # starts with another answer, another order of channels or other providers
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)  # allowed before; (rule after, country)
    refused_approved: Counter[tuple[str, str]] = field(default_factory=Counter)  # of these, people who typed the code
    admitted: Counter[tuple[str, str]] = field(default_factory=Counter)  # refused before; (rule before, country)
    rerouted: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (channel before, after, country)


@dataclass(frozen=True, slots=True)
class _Open:
    country: str
    before: Outcome | None  # None when that side refused it
    after: Outcome | None
    lost: tuple[str, str] | None  # the key under which the new policies newly refuse it
    paid: list[int]  # before and after, the messages that somebody may earn from


class Replay:
    """Takes what was recorded, in the order of its time."""

    def __init__(self, before: Policies, after: Policies) -> None:
        self.found = Comparison()
        self._policies = before, after
        self._windows = Windows(), Windows()
        self._open: dict[str, _Open] = {}

    def take(self, recorded: Recorded) -> None:
        """One line's worth."""
        match recorded:
            case Started():
                self._start(recorded)
            case Sent():
                self._send(recorded)
            case Ended():
                self._end(recorded)

    def _start(self, event: Started) -> None:
        found, question = self.found, event.question
        found.starts += 1
        found.since, found.until = found.since or event.at, event.at
        country = question.phone.country if question.phone else EMAIL
        before = self._decide(0, found.before, event, country)
        after = self._decide(1, found.after, event, country)
        found.as_recorded += (_rule(before) == event.refused) if before else 0
        lost = self._compare(before, after, country)
        if event.id:
            sides = _allowed(before), _allowed(after)
            paid = [int(side is not None and pays(side, 0)) for side in sides]
            self._hold(event.id, _Open(country, *sides, lost, paid))

    def _decide(self, side: int, tally: Tally, event: Started, country: str) -> Outcome | None:
        policy = self._policies[side](event.question)
        if policy is None:
            tally.refused["app", country] += 1
            return None
        outcome = start(policy, event.question, self._windows[side], event.at)
        if outcome.allowed:
            tally.allowed += 1
            tally.send(outcome, 0, country)
            tally.shadows.update(limit.name for limit in outcome.reserved.shadows)
        else:
            tally.refused[_rule(outcome), country] += 1
        return outcome

    def _compare(self, before: Outcome | None, after: Outcome | None, country: str) -> tuple[str, str] | None:
        """Count what differs; the key under which the start is newly refused, if it is."""
        found = self.found
        found.changed += _way(before) != _way(after)
        was, now = _allowed(before), _allowed(after)
        if was and now:
            first, other = was.decision.steps[0].channel, now.decision.steps[0].channel
            if first != other:
                found.rerouted[first, other, country] += 1
        elif was:
            found.refused[_rule(after), country] += 1
            return _rule(after), country
        elif now:
            found.admitted[_rule(before), country] += 1
        return None

    def _hold(self, id_: str, opened: _Open) -> None:
        self._open[id_] = opened
        if len(self._open) > MOST_OPEN:
            del self._open[next(iter(self._open))]

    def _send(self, event: Sent) -> None:
        """The n-th step of the fallback stays the n-th under each side's own order; where there is none, or a limit
        refuses, nothing is sent."""
        opened = self._open.get(event.id)
        if opened is None:
            return
        sides = (opened.before, self.found.before), (opened.after, self.found.after)
        for side, (outcome, tally) in enumerate(sides):
            if outcome is None or event.step >= len(outcome.decision.steps):
                continue
            windows = self._windows[side]
            if barred(outcome, windows, event.at, event.step):
                continue
            if later(outcome, windows, event.at, by_person=event.by_person, step=event.step).passed:
                tally.send(outcome, event.step, opened.country)
                self._count(side, opened, outcome, event.step)

    def _count(self, side: int, opened: _Open, outcome: Outcome, step: int) -> None:
        """A start is counted for one message that somebody may earn from; this may be another."""
        if pays(outcome, step):
            opened.paid[side] += 1
            if opened.paid[side] > 1:
                self._windows[side].watching.more(outcome.decision.watches, outcome.at)

    def _end(self, event: Ended) -> None:
        opened = self._open.pop(event.id, None)
        if opened is None or not event.approved:
            return
        self.found.approved += 1
        for side, outcome in enumerate((opened.before, opened.after)):
            if outcome and not event.both:
                answered(outcome, self._windows[side], opened.paid[side])
        if opened.lost:
            self.found.refused_approved[opened.lost] += 1


def _allowed(outcome: Outcome | None) -> Outcome | None:
    return outcome if outcome and outcome.allowed else None


def _rule(outcome: Outcome | None) -> str:
    """What refused, in the words of the record: a rule, or limits:NAME; "" for nothing."""
    if outcome is None:
        return "app"
    return f"{outcome.rule}:{outcome.by}" if outcome.by else outcome.rule


def _way(outcome: Outcome | None) -> tuple[object, ...]:
    """What a caller would see of a decision."""
    if outcome is None or not outcome.allowed:
        return (_rule(outcome),)
    return tuple((step.channel, step.providers) for step in outcome.decision.steps)
