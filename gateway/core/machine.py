"""The machine: (verification, event, now) -> (verification, effects). It decides every fallback.

Three rules. Every change of a verification is made here (check.lua alone may approve or lock). Nothing here reads a
clock, a socket or a store. An attempt never moves backwards:

              Accepted  Delivered  Failed   TimedOut
  queued      sent      delivered  failed   silent
  sent        .         delivered  failed   silent
  silent      .         delivered  failed   .
  failed      .         delivered  .        .
  delivered   .         .          .        .

Only the newest attempt moves the fallback. What is heard of an earlier one is written down and changes nothing else,
but for one thing: once any message is known to be delivered, silence is no longer a reason to send another.
A step that is silent at the time (its quiet hours) is passed over, unless a person names its channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from channels.contract import REMEDIES, Channel, Cost, ErrorClass, Remedy
from gateway.core.model import Attempt, AttemptStatus, Status, Verification

QUEUED, SENT, DELIVERED, SILENT, FAILED = AttemptStatus


@dataclass(frozen=True, slots=True)
class Accepted:
    """A provider took the message."""

    attempt: int
    message_id: str = ""
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A provider refused the message, or reported later that it failed."""

    attempt: int
    error: ErrorClass
    vendor_code: str = ""
    cost: Cost | None = None
    unsent: bool = False  # nothing was handed over: it costs nothing


@dataclass(frozen=True, slots=True)
class Delivered:
    """A report says that the message arrived."""

    attempt: int
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """A report names the price and no other news."""

    attempt: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class Due:
    """The timer fired."""


@dataclass(frozen=True, slots=True)
class Resent:
    """A person asked again: for the named channel, or for whatever comes next."""

    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Canceled:
    """The app ended it."""


Event = Accepted | Failed | Delivered | Priced | Due | Resent | Canceled


@dataclass(frozen=True, slots=True)
class Send:
    """Carry this attempt out. `again` when an earlier process may have died while it did."""

    attempt: Attempt
    again: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """An attempt took a new status."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Paid:
    """The price of an attempt became known. Vendors repeat their reports; this comes once."""

    attempt: Attempt
    cost: Cost


@dataclass(frozen=True, slots=True)
class Unsent:
    """No provider took the message: what was reserved for it is free again."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class FellBack:
    """The next message goes another way. `reason` is an error class, 'silent' or 'resend'."""

    left: Attempt
    taken: Attempt
    reason: str


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nothing is left to try. The code stays checkable: a silent message may still arrive."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The verification reached its end."""

    status: Status


Effect = Send | Changed | Paid | Unsent | FellBack | Exhausted | Ended
Turn = tuple[Verification, tuple[Effect, ...]]


@dataclass(frozen=True, slots=True)
class Pace:
    """The engine's own times, in milliseconds."""

    lease: int = 15_000  # how long a process may take to carry out one send before another takes over
    min_useful: int = 60_000  # a step that would start with less life than this left is not worth its price


MOST_ATTEMPTS = 200
"""Messages of one verification: what the limits of no sensible policy allow, and what fits a callback's token."""


class Unreachable(Exception):
    """No step can serve the channel that was asked for, or it is too late for one."""


_MOVES: dict[AttemptStatus, frozenset[AttemptStatus]] = {
    QUEUED: frozenset({SENT, DELIVERED, FAILED, SILENT}),
    SENT: frozenset({DELIVERED, FAILED, SILENT}),
    SILENT: frozenset({DELIVERED, FAILED}),
    FAILED: frozenset({DELIVERED}),
    DELIVERED: frozenset(),
}


def apply(v: Verification, event: Event, now: int, pace: Pace) -> Turn:
    """One turn. An event that changes nothing gives back the very same object and no effects."""
    match event:
        case Accepted() | Delivered() | Failed() | Priced():
            return _heard(v, event, now, pace)
    if not v.pending:
        return v, ()
    match event:
        case Due():
            return _due(v, now, pace)
        case Resent():
            return _resent(v, event, now, pace)
        case Canceled():
            return _end(v, Status.CANCELED, now)


def _heard(v: Verification, event: Accepted | Delivered | Failed | Priced, now: int, pace: Pace) -> Turn:
    """News of one attempt: its price, and then what became of it."""
    v, paid = (v, ()) if event.cost is None else _priced(v, event, event.cost)
    match event:
        case Accepted():
            v, effects = _accepted(v, event, now)
        case Delivered():
            v, effects = _delivered(v, event, now)
        case Failed():
            v, effects = _failed(v, event, now, pace)
        case Priced():
            effects = ()
    return v, (*paid, *effects)


def _priced(v: Verification, event: Accepted | Delivered | Failed | Priced, cost: Cost) -> Turn:
    attempt = _attempt(v, event.attempt)
    if attempt is None or attempt.cost is not None:
        return v, ()
    paid = attempt._replace(cost=cost)
    return _with(v, paid), (Paid(paid, cost),)


def bar(turn: Turn, reason: str) -> Turn:
    """The same turn without its new message, which a limit or a cap forbade: the fallback ends there."""
    v, effects = turn
    kept = tuple(e for e in effects if not isinstance(e, Send | FellBack))
    v, gave_up = _give_up(v._replace(attempts=v.attempts[:-1]), reason)
    return v, (*kept, *gave_up)


def due(v: Verification, now: int, pace: Pace) -> int | None:
    """When the timer must fire next: when the lease of a send ends, when a wait ends, or at expiry. None at an end."""
    if not v.pending:
        return None
    status = v.attempts[-1].status
    if status is QUEUED:
        return now + pace.lease
    return min(_wait_ends(v), v.expires_at) if status is SENT else v.expires_at


def _accepted(v: Verification, event: Accepted, now: int) -> Turn:
    attempt = _attempt(v, event.attempt)
    if attempt is None:
        return v, ()
    if attempt.status is not QUEUED:
        # A report overtook its own send: only the vendor's id is news.
        known = attempt._replace(message_id=attempt.message_id or event.message_id)
        return (v, ()) if known == attempt else (_with(v, known), ())
    sent = attempt._replace(status=SENT, at=now, message_id=event.message_id)
    return _with(v, sent), (Changed(sent),)


def _delivered(v: Verification, event: Delivered, now: int) -> Turn:
    v, attempt = _move(v, event.attempt, DELIVERED, now)
    return (v, ()) if attempt is None else (v, (Changed(attempt),))


def _failed(v: Verification, event: Failed, now: int, pace: Pace) -> Turn:
    before = _attempt(v, event.attempt)
    v, attempt = _move(v, event.attempt, FAILED, now, reason=event.error, vendor_code=event.vendor_code)
    if attempt is None or before is None:
        return v, ()
    unsent: tuple[Effect, ...] = (Unsent(attempt),) if event.unsent and before.status is QUEUED else ()
    # Silence has moved the fallback on already; a failure that comes after it is only written down.
    if not v.pending or attempt.number != v.current.number or before.status is SILENT:
        return v, (Changed(attempt), *unsent)
    v, effects = _fall_back(v, _remedy(v, event.error), event.error, now, pace)
    return v, (Changed(attempt), *unsent, *effects)


def _remedy(v: Verification, error: ErrorClass) -> Remedy:
    """An error's own remedy, but for an opt-out under a policy that sends nothing to who opted out of anything."""
    return Remedy.STOP if error is ErrorClass.OPTED_OUT and v.opt_outs.stops else REMEDIES[error]


def _due(v: Verification, now: int, pace: Pace) -> Turn:
    if now >= v.expires_at:
        return _end(v, Status.EXPIRED, now)
    match v.current.status:
        case AttemptStatus.QUEUED:
            return v, (Send(v.current, again=True),)
        case AttemptStatus.SENT if now >= _wait_ends(v):
            return _timed_out(v, now, pace)
        case _:
            return v, ()


def _timed_out(v: Verification, now: int, pace: Pace) -> Turn:
    v, attempt = _move(v, v.current.number, SILENT, now)
    if attempt is None:
        return v, ()
    if _arrived(v):
        return v, (Changed(attempt),)
    v, effects = _fall_back(v, None, "silent", now, pace)
    return v, (Changed(attempt), *effects)


def _wait_ends(v: Verification) -> int:
    current = v.attempts[-1]
    return current.at + v.steps[current.step].wait


def _resent(v: Verification, event: Resent, now: int, pace: Pace) -> Turn:
    way = next(_ways_for_a_person(v, event.channel, now), None)
    if way is None or not _worth_it(v, now, pace):
        raise Unreachable
    silent: tuple[Effect, ...] = ()
    if v.current.status is SENT:
        v, attempt = _move(v, v.current.number, SILENT, now)
        silent = (Changed(attempt),) if attempt else ()
    v, effects = _take(v, way, "resend", now)
    return v, (*silent, *effects)


def _end(v: Verification, status: Status, now: int) -> Turn:
    return v._replace(status=status, ended_at=now), (Ended(status),)


def _give_up(v: Verification, reason: str) -> Turn:
    return v._replace(exhausted=True), (Exhausted(reason),)


Way = tuple[int, str]
"""A step's index and a provider's name."""


def _fall_back(v: Verification, remedy: Remedy | None, reason: str, now: int, pace: Pace) -> Turn:
    """Take the next way, or give up. `remedy` is None after silence: the channel had its chance."""
    if remedy is Remedy.STOP:
        return _give_up(v, reason)
    if not _worth_it(v, now, pace):
        return _give_up(v, "too_late")
    way = next(_ways(v, now, same_step=remedy is Remedy.NEXT_PROVIDER), None)
    return _give_up(v, reason) if way is None else _take(v, way, reason, now)


def _worth_it(v: Verification, now: int, pace: Pace) -> bool:
    """Whether one more message is any good: the code lives long enough, and there were not absurdly many before."""
    return now + pace.min_useful <= v.expires_at and len(v.attempts) < MOST_ATTEMPTS


def _take(v: Verification, way: Way, reason: str, now: int) -> Turn:
    left = v.current
    step, provider = way
    way_there = v.steps[step]
    taken = Attempt(
        len(v.attempts) + 1,
        step,
        way_there.channel,
        provider,
        QUEUED,
        at=now,
        queued_at=now,
        held=way_there.price(provider),
    )
    v = v._replace(attempts=(*v.attempts, taken), exhausted=False)
    return v, (FellBack(left, taken, reason), Send(taken))


def _ways(v: Verification, now: int, *, same_step: bool) -> Iterator[Way]:
    """What is left to try after the newest attempt, in the policy's order."""
    closed = _closed(v)
    if same_step and v.current.channel not in closed:
        for provider in _others(v, v.current):
            yield v.current.step, provider
    for index in range(v.current.step + 1, len(v.steps)):
        step = v.steps[index]
        if step.channel not in closed and step.providers and not step.silent(now):
            yield index, step.providers[0]


def _ways_for_a_person(v: Verification, channel: str | None, now: int) -> Iterator[Way]:
    """The same for somebody who asks again: the order begins anew when it has ended, with another provider first."""
    closed = _closed(v)
    after = v.current.step + 1
    order = [*range(after, len(v.steps)), *range(after)]
    for index in order:
        step = v.steps[index]
        unwanted = not step.providers or (step.silent(now) and (step.strict or channel is None))
        if step.channel in closed or channel not in (None, step.channel) or unwanted:
            continue
        yield index, _fresh_provider(v, index)


def next_way(v: Verification, at: int) -> Way | None:
    """Where silence would lead at that time; None when it would lead nowhere."""
    last = v.current.step + 1 >= len(v.steps)
    moot = last or v.exhausted or v.current.status not in (QUEUED, SENT) or _arrived(v)
    if moot or not v.pending:
        return None
    return next(_ways(v, at, same_step=False), None)


def _others(v: Verification, attempt: Attempt) -> tuple[str, ...]:
    """The providers of the attempt's step that were not tried since the step began."""
    tried = set()
    for earlier in reversed(v.attempts):
        if earlier.step != attempt.step:
            break
        tried.add(earlier.provider)
    return tuple(p for p in v.steps[attempt.step].providers if p not in tried)


def _fresh_provider(v: Verification, index: int) -> str:
    providers = v.steps[index].providers
    last = next((a.provider for a in reversed(v.attempts) if a.step == index), None)
    return providers[(providers.index(last) + 1) % len(providers)] if last in providers else providers[0]


def _closed(v: Verification) -> frozenset[str]:
    """The channels that failed in a way that no provider can mend."""
    closed: set[str] = set()
    for attempt in v.attempts:
        remedy = _remedy(v, ErrorClass(attempt.reason)) if attempt.status is FAILED and attempt.reason else None
        if remedy is Remedy.NEXT_CHANNEL:
            closed.add(attempt.channel)
        elif remedy is Remedy.NEXT_ADDRESS:
            closed.update(_same_address(attempt.channel))
        elif remedy is Remedy.STOP:
            closed.update(Channel)
    return frozenset(closed)


def _same_address(channel: str) -> frozenset[str]:
    email = frozenset({Channel.EMAIL})
    return email if channel in email else frozenset(Channel) - email


def _arrived(v: Verification) -> bool:
    """Whether any message is known to be delivered."""
    return any(attempt.status is DELIVERED for attempt in v.attempts)


def _attempt(v: Verification, number: int) -> Attempt | None:
    return v.attempts[number - 1] if 1 <= number <= len(v.attempts) else None


def _with(v: Verification, attempt: Attempt) -> Verification:
    index = attempt.number - 1
    return v.but(attempts=(*v.attempts[:index], attempt, *v.attempts[index + 1 :]))


def _move(
    v: Verification, number: int, to: AttemptStatus, now: int, *, reason: str | None = None, vendor_code: str = ""
) -> tuple[Verification, Attempt | None]:
    attempt = _attempt(v, number)
    if attempt is None or to not in _MOVES[attempt.status]:
        return v, None
    moved = attempt._replace(status=to, at=now, reason=reason, vendor_code=vendor_code)
    return _with(v, moved), moved
