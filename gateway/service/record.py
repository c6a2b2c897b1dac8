"""What happened, written down three times: in the verification's journal, in the metrics and in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.machine import Changed, Effect, Ended, Exhausted, FellBack, Paid, Send, Unsent
from gateway.core.model import Attempt, AttemptStatus, End, Verification
from gateway.service import learning, traffic
from gateway.service.setup import Setup
from gateway.store.document import EVENTS, Stored, pack, unpack_journal

_NUMBERS = {name: number for number, name in enumerate(EVENTS)}
_CREATED = pack([0, _NUMBERS["created"]])
_QUEUED = pack([0, _NUMBERS["queued"], 1])
_STARTED = _CREATED + _QUEUED


def entry(v: Verification, now: int, name: str, *facts: object) -> bytes:
    """One event of a journal. What the verification says itself, such as who a message was queued for, is not written
    once more; see `_known`."""
    while facts and not facts[-1]:
        facts = facts[:-1]
    return pack([max(0, now - v.created_at), _NUMBERS.get(name, name), *facts])


def started(ordered: Sequence[str] = ()) -> bytes:
    """The first events of a journal. `ordered` is why the providers stand as they do."""
    if not ordered:
        return _STARTED
    return b"".join([_CREATED, *(pack([0, _NUMBERS["ordered"], why]) for why in ordered), _QUEUED])


def journal(v: Verification, effects: tuple[Effect, ...], now: int) -> bytes:
    """The events of one turn."""
    return b"".join([entry(v, now, *facts) for effect in effects for facts in _facts(effect)])


def _facts(effect: Effect) -> tuple[tuple[Any, ...], ...]:
    match effect:
        case Changed(attempt):
            return ((str(attempt.status), attempt.number, attempt.reason, attempt.vendor_code),)
        case FellBack(left, taken, reason):
            name = "resent" if reason == "resend" else "fell_back"
            return (name, left.number, taken.number, reason), ("queued", taken.number)
        case Exhausted(reason):
            return (("exhausted", reason),)
        case Ended(status):
            return ((str(status),),)
        case _:
            return ()


_FACTS: dict[str, tuple[str, ...]] = {
    "created": ("policy", "revision"),
    "ordered": ("reason",),
    "queued": ("attempt", "channel", "provider"),
    "sent": ("attempt", "reason", "vendor_code", "message_id"),
    "delivered": ("attempt", "reason", "vendor_code", "message_id"),
    "silent": ("attempt", "reason", "vendor_code", "message_id"),
    "failed": ("attempt", "reason", "vendor_code", "message_id"),
    "fell_back": ("from_attempt", "to_attempt", "reason"),
    "resent": ("from_attempt", "to_attempt", "reason"),
    "exhausted": ("reason",),
}


def events(stored: Stored) -> list[dict[str, Any]]:
    """The journal in words: `at` in ms, `event`, and the facts that belong to it."""
    v = stored.verification
    return [
        {"at": v.created_at + at, "event": name, **_told(v, name, facts)}
        for at, name, *facts in unpack_journal(stored.journal)
    ]


def _told(v: Verification, name: str, facts: list[Any]) -> dict[str, Any]:
    said = dict(zip(_FACTS.get(name, ()), facts, strict=False))
    return {fact: value for fact, value in {**said, **_known(v, name, said)}.items() if value}


def _known(v: Verification, name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of an event that are told from the verification."""
    if name == "created":
        return {"policy": v.policy, "revision": v.revision}
    if "attempt" not in said:
        return {}
    attempt = v.attempts[said["attempt"] - 1]
    if name == "queued":
        return {"channel": attempt.channel, "provider": attempt.provider}
    return {"message_id": attempt.message_id}


def tell(setup: Setup, v: Verification, effects: tuple[Effect, ...], now: int) -> None:
    """Count and log the effects of one turn that was committed."""
    for effect in effects:
        match effect:
            case Changed(attempt):
                _tell_attempt(setup, v, attempt, now)
            case FellBack(left, taken, reason):
                setup.metrics.fell_back(left.channel, taken.channel, reason)
                traffic.message(setup, v, taken, reason)
                setup.log.info(
                    "fallback.taken",
                    verification=v.id,
                    reason=reason,
                    from_channel=left.channel,
                    from_provider=left.provider,
                    to_channel=taken.channel,
                    to_provider=taken.provider,
                )
            case Exhausted(reason):
                setup.log.warning("fallback.exhausted", verification=v.id, reason=reason, attempts=len(v.attempts))
            case Paid(attempt, cost):
                setup.metrics.cost(attempt.channel, attempt.provider, cost.micros, cost.currency)
                learning.paid(setup, v, attempt, cost, now)
            case Ended():
                ended(setup, v)
            case Send() | Unsent():
                pass


def shadowed(setup: Setup, v: Verification, effects: tuple[Effect, ...]) -> None:
    """Record the effects of a turn in shadow: nothing has happened that is worth a number, but its messages count under
    limits as ever, and a replay has to know of them."""
    for effect in effects:
        match effect:
            case FellBack(_, taken, reason):
                traffic.message(setup, v, taken, reason)
            case Ended():
                traffic.ended(setup, v)


def _tell_attempt(setup: Setup, v: Verification, attempt: Attempt, now: int) -> None:
    setup.metrics.attempt(attempt.channel, attempt.provider, v.country, str(attempt.status), attempt.reason)
    if attempt.status is not AttemptStatus.SENT:
        learning.heard(setup, v, attempt, now)
    if attempt.status is AttemptStatus.DELIVERED:
        setup.metrics.delivered(attempt.channel, attempt.provider, (now - attempt.queued_at) / 1000)
    say = setup.log.warning if attempt.status is AttemptStatus.FAILED else setup.log.info
    say(
        f"attempt.{attempt.status}",
        verification=v.id,
        attempt=attempt.number,
        channel=attempt.channel,
        provider=attempt.provider,
        country=v.country,
        error_class=attempt.reason,
        vendor_code=attempt.vendor_code or None,
        message_id=attempt.message_id or None,
    )


def ended(setup: Setup, v: Verification | End) -> None:
    """Record, count and log an end; in shadow there was nothing to count that could end."""
    traffic.ended(setup, v)
    if v.shadow:
        return
    setup.metrics.ended(str(v.status), v.app, v.purpose, v.country)
    learning.ended(setup, v)
    if v.status == "approved" and v.ended_at is not None:
        setup.metrics.verified(v.attempts[-1].channel, (v.ended_at - v.created_at) / 1000)
    setup.log.info(
        f"verification.{v.status}", verification=v.id, app=v.app, purpose=v.purpose, attempts=len(v.attempts)
    )
