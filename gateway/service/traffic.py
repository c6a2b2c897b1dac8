"""What is recorded of each decision: enough to ask it again of other policies, with hashes for whom it was about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gateway.core.model import Attempt, End, Verification, went_to_both
from policies.model import Question
from policies.rules.subjects import neighbourhood, network
from policies.traffic import VERSION

if TYPE_CHECKING:
    from gateway.service.setup import Setup


class Record(Protocol):
    """Where lines go."""

    def write(self, line: dict[str, Any]) -> None: ...


def started(setup: Setup, question: Question, *, verification: str = "", refused: str = "") -> None:
    """Somebody asked. `refused` is the rule, or limits:NAME, that said no."""
    if setup.record is None:
        return
    line = {
        **_head(setup, "start", verification),
        "app": question.app,
        "purpose": question.purpose,
        "phone": _phone(setup, question),
        "email": _email(setup, question),
        "channels": question.channels,
        "locale": question.locale,
        "ip": _client(setup, question.ip),
        "device": _hashed(setup, "device", question.device),
        "opted_out": question.suppressed,
        "listed": {what: word for what, word in question.listed._asdict().items() if word},
        "mail": question.mail if question.mail != "unknown" else "",
        "own_code": question.own_code,
        "stretch": question.stretch if question.stretch > 1 else 0,
        "refused": refused,
    }
    setup.record.write({name: value for name, value in line.items() if value})


def message(setup: Setup, v: Verification, attempt: Attempt, reason: str) -> None:
    """A verification's later message. `reason` is resend, or why the fallback moved on."""
    if setup.record is not None:
        by = "resend" if reason == "resend" else "fallback"
        setup.record.write(
            {**_head(setup, "message", v.id), "step": attempt.step, "by": by, "channel": attempt.channel}
        )


def ended(setup: Setup, v: Verification | End) -> None:
    """A verification's end."""
    if setup.record is not None:
        line = {**_head(setup, "end", v.id), "status": str(v.status), "channel": v.attempts[-1].channel}
        setup.record.write({**line, "both": True} if went_to_both(v.attempts) else line)


def _head(setup: Setup, event: str, verification: str) -> dict[str, Any]:
    return {"v": VERSION, "at": setup.store.now(), "event": event, "id": _hashed(setup, "id", verification)}


def _phone(setup: Setup, question: Question) -> dict[str, Any] | None:
    phone = question.phone
    if phone is None:
        return None
    return {
        "to": _hashed(setup, "destination", phone.e164),
        "masked": phone.masked,
        "country": phone.country,
        "type": str(phone.type),
        "prefix": _hashed(setup, "prefix", phone.prefix),
        "valid": phone.valid,
        "range": _hashed(setup, "range", phone.range),
        "place": setup.keys.place(phone.prefix, phone.place),
    }


def _client(setup: Setup, ip: str) -> str:
    """One client is one network, which is what the limits count by: 48 bits for its neighbourhood and 16 for itself."""
    if not network(ip):
        return ""
    return _hashed(setup, "neighbourhood", neighbourhood(ip))[:12] + _hashed(setup, "ip", network(ip))[:4]


def _email(setup: Setup, question: Question) -> dict[str, Any] | None:
    email = question.email
    return {"to": _hashed(setup, "destination", email.key), "masked": email.masked} if email else None


def _hashed(setup: Setup, kind: str, value: str) -> str:
    """32 hexadecimal digits under a key that serves only this, so that the record tells nothing of the store's keys;
    "" for nothing."""
    return setup.keys.hashed("traffic", kind, value).hex() if value else ""
