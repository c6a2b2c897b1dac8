"""What the store answers to a start, a check and a change, as the steps have it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from gateway.core.model import Status
from gateway.store.document import Stored, unpack_end
from gateway.store.steps import (
    Blocked,
    Capped,
    Claimed,
    Committed,
    Created,
    Due,
    Fired,
    Guessed,
    Limited,
    Lost,
    Mismatch,
    Misshapen,
    Overlooked,
    Paid,
    Replayed,
    Running,
    Started,
    Suppressed,
    Suspected,
    Tried,
    Try,
    Unavailable,
    Unknown,
    Words,
)
from policies.model import Word

Read = Callable[[str, bytes], Awaitable[Stored]]
"""Reads the document of a verification."""


def created(reply: list[Any]) -> Started:
    """What a start has led to. Raises Running, Blocked and Mismatch."""
    match reply:
        case [b"created", now, shadows, again, held, noted, news, spent, near]:
            paid = Paid(tuple(spent), tuple(near))
            return Created(now, pairs(shadows), again, held, paid, tuple(noted), _fired(news))
        case [b"capped", now, purse, first]:
            return Capped(now, purse, bool(first))
        case [b"limited", now, counter, rule, wait, shadows]:
            return Limited(now, counter, rule, wait, pairs(shadows))
        case [b"guessed", now, wait]:
            return Guessed(now, wait)
        case [b"replayed", now, verification, answer]:
            return Replayed(now, verification.decode(), answer)
    return _known(reply)


def _known(reply: list[Any]) -> Suppressed | Words | Overlooked | Suspected:
    """What the store knows that the policy must be asked again with. Raises Running, Blocked and Mismatch."""
    match reply:
        case [b"suppressed", now, channels]:
            return Suppressed(now, named(channels))
        case [b"listed", now, words]:
            return Words(now, cast("tuple[Word, ...]", named(words)))
        case [b"overlooked", now]:
            return Overlooked(now)
        case [b"suspected", now, watch, news]:
            return Suspected(now, watch, _fired(news))
    raise _unstarted(reply)


def _unstarted(reply: list[Any]) -> Exception:
    match reply:
        case [b"running", *_]:
            return Running()
        case [b"blocked", now, wait]:
            return Blocked(now, wait)
    return Mismatch()


_ENDS = {b"approved": Status.APPROVED, b"locked": Status.LOCKED, b"expired": Status.EXPIRED}
"""What a check makes of a verification that it ends, by its verdict."""


def checked(attempt: Try, reply: list[Any]) -> Tried:
    """What a check has found. Raises Unknown, Misshapen, Mismatch and Blocked."""
    match reply:
        case [verdict, now, left, retry_at, told, failing, replayed]:
            ended = unpack_end(attempt.id, attempt.app, _ENDS[verdict], now, told) if told else None
            counts = (failing[0], failing[1]) if failing else None
            return Tried(verdict.decode(), now, left, retry_at, ended, counts, bool(replayed))
        case [b"missing", *_]:
            raise Unknown
        case [b"mismatch", *_]:
            raise Mismatch
        case [b"malformed", _, length, letters]:
            raise Misshapen(length, bool(letters))
        case [b"blocked", now, wait]:
            raise Blocked(now, wait)
    raise Unavailable("check gave back something else")


def committed(reply: list[Any]) -> Committed | Limited | Capped:
    """What a change has led to that was no conflict. Raises Unknown."""
    match reply:
        case [b"committed", now, shadows, channels, again, spent, near]:
            return Committed(now, pairs(shadows), named(channels), again, Paid(tuple(spent), tuple(near)))
        case [b"capped", now, purse, first]:
            return Capped(now, purse, bool(first))
        case [b"limited", now, counter, rule, wait, shadows]:
            return Limited(now, counter, rule, wait, pairs(shadows))
    raise Unknown


async def claimed(replies: Sequence[list[Any]], read: Read) -> Claimed:
    """What was claimed, from all the places where it was. What could not be read since the store did not answer is left
    to whoever claims it when its lease ends, as if this answer had been lost."""
    due, unread = [], []
    rows = [rows[i : i + 3] for *_, rows in replies for i in range(0, len(rows), 3)]
    for id_, score, document in rows:
        verification = id_.decode()
        try:
            due.append(Due(await read(verification, document), int(float(score))))
        except Lost:
            unread.append(verification)
        except Unavailable:
            continue
        except Exception:  # noqa: BLE001 - written by another version, or damaged: it must not hold up its neighbours
            unread.append(verification)
    nows, nexts, depths, orphans, _ = zip(*replies, strict=True)
    next_due = min((at for at in nexts if at), default=0)
    return Claimed(max(nows), next_due, sum(depths), sum(orphans), tuple(due), tuple(unread))


def _fired(flat: Sequence[int]) -> tuple[Fired, ...]:
    return tuple(map(Fired, flat[::3], flat[1::3], flat[2::3]))


def pairs(flat: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """A flat list, two by two."""
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def named(channels: Sequence[bytes]) -> tuple[str, ...]:
    """Names, as text."""
    return tuple([channel.decode() for channel in channels])
