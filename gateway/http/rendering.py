"""A verification in the API's words: masked destinations, and times that are safe to act on.

The two answers that carry the load are made without the models that document them; tests hold them to the schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from gateway.core import machine, model
from gateway.core.model import AttemptStatus
from gateway.http import models
from gateway.service import lists, requests
from gateway.service.erasure import Erased
from gateway.service.suppressions import Standing
from gateway.store.watches import Block


def past(ms: int) -> str:
    """RFC 3339 in UTC, with whole seconds; the started one counts."""
    return _second(ms // 1000)


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def not_before(ms: int) -> str:
    """The same, rounded up: whoever acts at that time is not too early."""
    return _second(-(-ms // 1000))


def moment(ms: int) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return f"{past(ms)[:-1]}.{ms % 1000:03d}Z"


def encoded(body: BaseModel) -> bytes:
    return body.model_dump_json().encode()


def verification(v: model.Verification, min_useful: int) -> bytes:
    """The verification as JSON: the same bytes for the same state. What is one of several words is told as text, since
    the encoder looks for all else that it might be first, which costs as much as everything else here."""
    return to_json(
        {
            "id": v.id,
            "status": str(v.status),
            "purpose": v.purpose,
            "to": {"phone": v.phone or None, "email": v.email or None},
            "channel": v.current.channel,
            "exhausted": v.exhausted,
            "attempts": [_attempt(attempt) for attempt in v.attempts],
            "next": _next(v, min_useful),
            "checks_left": v.checks_left,
            "resend_at": not_before(v.resend_at) if v.pending else None,
            "created_at": past(v.created_at),
            "expires_at": past(v.expires_at),
            "metadata": dict(v.metadata),
        }
    )


def checked(found: requests.Checked) -> bytes:
    """A verdict as JSON."""
    return to_json(
        {
            "id": found.id,
            "verdict": str(found.verdict),
            "approved": found.verdict == model.Verdict.APPROVED,
            "checks_left": found.checks_left,
            "retry_at": not_before(found.retry_at) if found.retry_at else None,
        }
    )


def standing(found: Standing) -> bytes:
    """What a destination has opted out of."""
    return encoded(
        models.Suppressions(
            to=models.Masked(phone=found.phone or None, email=found.email or None),
            suppressions=[
                models.Suppression(
                    channel=_channel(entry.channel),
                    reason=entry.reason,
                    since=past(entry.since),
                    expires_at=not_before(entry.until) if entry.until else None,
                )
                for entry in found.entries
            ],
        )
    )


def listed(found: lists.Standing) -> bytes:
    """What an app's list says of an entry."""
    return encoded(
        models.Listed(
            entry=found.entry.masked,
            list=found.word or None,
            entries=tuple(
                models.ListEntry(
                    entry=entry.masked,
                    list=_word(said.word),
                    reason=said.reason,
                    since=past(said.since),
                    expires_at=not_before(said.until) if said.until else None,
                )
                for entry, said in found.found
            ),
        )
    )


def _word(word: str) -> Any:
    return word  # deny or allow: nothing else is ever written


def erased(found: Erased) -> bytes:
    """What was erased."""
    to = models.Masked(phone=found.phone or None, email=found.email or None)
    return encoded(models.Erased(to=to, verifications=found.verifications, ended=found.ended))


def blocks(standing: Iterable[Block]) -> bytes:
    """What is held back, and until when."""
    return encoded(
        models.Blocks(
            blocks=[
                models.Block(
                    id=block.name,
                    rule=block.rule,
                    per=block.per,
                    subject=block.shown,
                    repeated=block.level,
                    since=past(block.since),
                    expires_at=not_before(block.until),
                )
                for block in standing
            ]
        )
    )


def events(verification_id: str, journal: list[dict[str, Any]]) -> bytes:
    """The journal; facts that an event doesn't have are left out."""
    told = [models.Happening.model_validate({**entry, "at": moment(entry["at"])}) for entry in journal]
    return models.Events(id=verification_id, events=told).model_dump_json(exclude_none=True).encode()


def _channel(name: str) -> Any:
    return name  # one of the channels: the policy's order was checked when it was loaded


def _attempt(attempt: model.Attempt) -> dict[str, object]:
    return {
        "number": attempt.number,
        "channel": attempt.channel,
        "provider": attempt.provider,
        "status": str(attempt.status),
        "reason": attempt.reason or None,
        "at": past(attempt.at),
    }


def _next(v: model.Verification, min_useful: int) -> dict[str, object] | None:
    """Where silence leads, and when: a promise, so none is made of a step that would not be taken any more."""
    at = v.current.at + v.steps[v.current.step].wait
    way = machine.next_way(v, at)
    if way is None:
        return None
    channel = v.steps[way[0]].channel
    if v.current.status is AttemptStatus.QUEUED:
        return {"channel": channel, "at": None}
    return {"channel": channel, "at": not_before(at)} if at + min_useful <= v.expires_at else None
