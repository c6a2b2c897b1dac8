"""The stored form of a verification: a small map that the scripts read, around a body that only Python reads.

Field   Holds                                              Written by
v       version, the fence of every commit                 create, check, claim, commit
s       status, one letter                                 create, check, commit
a       app                                                create
k d     id of the key, digest of the code                  create, commit (a resend with a new code)
n m     checks used, checks allowed                        create, check
l w     length of the code, 1 when it has letters          create, commit
c x e   created, expires, ended; ms by the store's clock   create; check, commit
A F     a person may ask again: now; if other, at first   create, commit (a resend); commit
g y z   failed guesses: counter's name, amount, window     create
D       and the delays that double with them: how many are create
        none, the first, the most
o u     and how far back that counter remembers, if more  create
P R     1 once a message to the phone, to the email is due create, commit
q       digest of the bound context, absent when none      create
p r     hashes of the phone and the email address          create
S       1 when nothing is sent: the answers look as ever   create
T       tokens of the steps that reserved in other slots   create, commit
W       the watches that it is counted under, with items   create; erased by feedback
E       what its end is told by: see pack_ending           create
h       sealed: code, destinations, context                create, commit; erased at every end
b       body: see store/body.py; its terms stand elsewhere create
t       what became of its messages: see there             create, commit
j       journal: events, one MessagePack value after another   all; the last is dropped when it is full
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import msgpack

from gateway.core.model import End, Status, Verification
from gateway.store.body import Body, open_body, said, unpack_messages
from gateway.store.terms import Terms

STATUS_LETTERS: Mapping[Status, str] = {
    Status.PENDING: "p",
    Status.APPROVED: "a",
    Status.LOCKED: "l",
    Status.EXPIRED: "x",
    Status.CANCELED: "c",
}
EVENTS = ("created", "ordered", "queued", "sent", "delivered", "silent", "failed", "fell_back", "resent", "exhausted")
"""What stands for these in a journal is their number: add at the end. The scripts write the names of others."""
_STATUSES = {letter.encode(): status for status, letter in STATUS_LETTERS.items()}
JOURNAL_LIMIT = 8_192
"""Bytes of a journal. One verification has few steps, so only an attack on it fills this."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is sealed: erased the moment the verification ends."""

    code: str
    phone: str = ""
    email: str = ""
    domain: str = ""
    app_hash: str = ""
    context: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return "Secrets(...)"


class Document(NamedTuple):
    """A document, unpacked."""

    fields: dict[bytes, Any]
    body: Body


class Stored(NamedTuple):
    """A verification as it was read, with its sealed part still sealed."""

    verification: Verification
    key_id: str
    sealed: bytes | None
    locale: str
    journal: bytes
    watched: tuple[tuple[str, str | int], ...] = ()  # what its approval is told to: names of watches, and items


_packed: Callable[[object], bytes] = msgpack.Packer(use_bin_type=False).pack  # which packb makes anew for every call


def pack(value: object) -> bytes:
    """MessagePack without its newer types: the scripting engine's reader does not know them."""
    return _packed(value)


def unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")


def pack_secrets(secret: Secrets) -> bytes:
    context = dict(secret.context) if secret.context else None
    return pack([secret.code, secret.phone, secret.email, secret.domain, secret.app_hash, context])


def unpack_secrets(data: bytes) -> Secrets:
    return Secrets(*unpack(data))


def opened(data: bytes) -> Document:
    """A document as the scripts give it back."""
    fields: dict[bytes, Any] = msgpack.unpackb(data, raw=True)
    return Document(fields, open_body(fields[b"b"]))


def stored(verification_id: str, document: Document, terms: Terms) -> Stored:
    """What a document says with the terms that its body names."""
    fields, body = document
    v = _verification(verification_id, fields, said(body, terms))
    return Stored(
        v, fields[b"k"].decode(), fields.get(b"h"), body.locale, fields.get(b"j", b""), _watched(fields.get(b"W", ()))
    )


@lru_cache(maxsize=1024)
def pack_ending(purpose: str, policy: str, zone: str, country: str) -> bytes:
    """What an end is told by. It stands apart, so that a check that is right reads this and no body; and there are as
    many of these as there are purposes in countries."""
    return pack([purpose, policy, zone, country])


@lru_cache(maxsize=1024)
def _ending(packed: bytes) -> tuple[str, str, str, str]:
    purpose, policy, zone, country = unpack(packed)
    return purpose, policy, zone, country


def unpack_end(verification_id: str, app: str, status: Status, now: int, told: Sequence[Any]) -> End:
    """A verification that a check has ended now, as the script tells of it."""
    created, ending, messages, watched, shadow = told
    purpose, policy, zone, country = _ending(ending)
    _, attempts = unpack_messages(messages, created)
    seen = _watched(watched)
    return End(verification_id, app, status, purpose, policy, zone, country, attempts, created, now, bool(shadow), seen)


def _verification(verification_id: str, fields: Mapping[bytes, Any], own: Mapping[str, Any]) -> Verification:
    created = int(fields[b"c"])
    purpose, policy, _, country = _ending(fields[b"E"])
    exhausted, attempts = unpack_messages(fields[b"t"], created)
    return Verification(
        id=verification_id,
        version=int(fields[b"v"]),
        app=fields[b"a"].decode(),
        purpose=purpose,
        policy=policy,
        country=country,
        status=_STATUSES[fields[b"s"]],
        attempts=attempts,
        exhausted=exhausted,
        created_at=created,
        expires_at=int(fields[b"x"]),
        resend_at=int(fields[b"A"]),
        first_resend_at=int(fields.get(b"F", fields[b"A"])),
        checks_used=int(fields[b"n"]),
        checks_max=int(fields[b"m"]),
        ended_at=int(fields[b"e"]) if b"e" in fields else None,
        shadow=b"S" in fields,
        **own,
    )


def _watched(rows: Iterable[Sequence[Any]]) -> tuple[tuple[str, str | int], ...]:
    return tuple([(name.decode(), _item(item)) for name, item in rows])


def _item(item: bytes | int) -> str | int:
    return item.decode() if isinstance(item, bytes) else item


def stands(document: bytes | None) -> bool:
    """Whether there is a verification."""
    return document is not None


def approved(document: bytes | None) -> bool:
    """Whether the verification was approved."""
    return document is not None and msgpack.unpackb(document, raw=True)[b"s"] == b"a"


def unpack_journal(journal: bytes) -> list[list[Any]]:
    """The events of a journal: [time in ms, name, facts ...], oldest first."""
    reader = msgpack.Unpacker(raw=False)
    reader.feed(journal)
    return [[at, name if isinstance(name, str) else EVENTS[name], *facts] for at, name, *facts in reader]


def settled(document: bytes | None, token: bytes) -> bool:
    """Whether the verification has what the step of this token reserved for it."""
    if document is None:
        return False
    tokens = msgpack.unpackb(document, raw=True).get(b"T", b"")
    return token in (tokens[i : i + len(token)] for i in range(0, len(tokens), len(token)))
