"""What verifications teach of the providers that carried their messages: what arrived, what was verified, the price."""

from __future__ import annotations

from channels.contract import PROVIDER_FAULTS, REMEDIES, Channel, Cost, ErrorClass, Remedy
from gateway.core.model import Attempt, AttemptStatus, End, Status, Verification
from gateway.guard.judge import Way
from gateway.service.setup import Setup

# Each look at a member through its class is a call in Python 3.11, and these are looked at for each end.
_EMAIL = Channel.EMAIL
_QUEUED, _SENT, _FAILED = AttemptStatus.QUEUED, AttemptStatus.SENT, AttemptStatus.FAILED
_APPROVED, _CANCELED = Status.APPROVED, Status.CANCELED


def heard(setup: Setup, v: Verification, attempt: Attempt, now: int) -> None:
    """What became of a message that was sent, or that it was not. In time or not is all that counts: a code that comes
    after the next message went out has helped nobody. Where a vendor's reports don't come through, silence says
    nothing."""
    way = _way(v, attempt)
    late = attempt.at - attempt.queued_at > v.steps[attempt.step].wait  # it was silent first, and counted as that
    match attempt.status:
        case AttemptStatus.SILENT if setup.judge.reports(way):
            setup.judge.delivered(way, now, False)
        case AttemptStatus.FAILED if not late and _by_provider(attempt):
            setup.judge.delivered(way, now, False)
        case AttemptStatus.DELIVERED:
            setup.judge.reported(way)
            counted = v.status is Status.APPROVED  # by `ended`
            if not late and not counted and attempt.number == v.current.number:
                setup.judge.delivered(way, now, True)


def paid(setup: Setup, v: Verification, attempt: Attempt, cost: Cost, now: int) -> None:
    """The vendor named a price."""
    setup.judge.paid(_way(v, attempt), now, cost, _country(v, attempt))


def ended(setup: Setup, v: Verification | End) -> None:
    """A verification ended: of all its messages, one can have led to its approval. What an app cancels says nothing.

    Which message a person read is unknown, since they all hold the same code. The newest that did not fail is given the
    credit: somebody who asked again had not got the earlier ones, and silence is why the fallback moved on.
    """
    now = v.ended_at
    if now is None or v.status is _CANCELED:
        return
    carried = [attempt for attempt in v.attempts if _carried(attempt)]
    credited = _credited(carried) if v.status is _APPROVED else None
    for attempt in carried:
        way = _way(v, attempt)
        setup.judge.ended(way, attempt.queued_at, now, attempt is credited, _country(v, attempt))
        if attempt is credited and attempt.status is _SENT and setup.judge.reports(way):
            setup.judge.delivered(way, now, True)  # no report is as good as the code itself


def _credited(carried: list[Attempt]) -> Attempt | None:
    return next((attempt for attempt in reversed(carried) if attempt.status is not _FAILED), None)


def _way(v: Verification | End, attempt: Attempt) -> Way:
    return Way(attempt.provider, attempt.channel, "" if attempt.channel == _EMAIL else v.zone)


def _country(v: Verification | End, attempt: Attempt) -> str:
    return "" if attempt.channel == _EMAIL else v.country


def _carried(attempt: Attempt) -> bool:
    """Whether the provider had the message and could have brought it."""
    if attempt.status is _FAILED:
        accepted = bool(attempt.message_id or attempt.cost)
        return accepted and _remedy(attempt) is Remedy.NEXT_PROVIDER
    return attempt.status is not _QUEUED


def _by_provider(attempt: Attempt) -> bool:
    """Whether another provider might have brought it. Faults of the provider's own are the breaker's business, and what
    the guard did not send at all is among them."""
    return _remedy(attempt) is Remedy.NEXT_PROVIDER and attempt.reason not in PROVIDER_FAULTS


def _remedy(attempt: Attempt) -> Remedy:
    return REMEDIES[ErrorClass(attempt.reason or ErrorClass.UNKNOWN)]
