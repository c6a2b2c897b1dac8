"""The body of a stored verification: what only Python reads of it, packed small.

Every live verification has one, so each byte counts: what many have in common is not in it (see store/terms.py), and a
key of the store is 13 bytes, one for its shard and its name, since its prefix is one of the terms and its kind is known
from its place. What changes with each message is packed apart: the rest is packed once, and sent to the store once.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgpack

from channels.contract import Cost
from gateway.core.keys import SHARDS
from gateway.core.model import Attempt, AttemptStatus, OptOuts, Purse, SendLimit, Verification
from gateway.store.terms import Terms
from policies.model import Step

_STATUSES = tuple(AttemptStatus)
_NAME, _BYTES = 16, 12  # characters of a key's name, and what they stand for in base64
_ABSENT, _OTHER = 0xFF, -1  # the shards of no key, and of one that is made otherwise
_LIMIT, _OPT_OUTS, _PURSE = "l", "oo", "p"  # the kinds of keys

_packed: Callable[[object], bytes] = msgpack.Packer().pack  # which packb makes anew for every call


class Body(NamedTuple):
    """A body, unpacked. What is not in it is in the terms of that name."""

    terms: str
    phone: str
    email: str
    locale: str
    orders: Sequence[bytes]
    keys: bytes | list[str]
    purses: bytes
    metadata: Mapping[str, str]


def pack_body(v: Verification, locale: str, terms: Terms) -> bytes:
    """What stays as it is from the start to the end, where `terms` are those of a verification like it."""
    return _packed(
        Body(
            terms.name,
            v.phone,
            v.email,
            locale,
            () if v.steps == terms.steps else [_order(*pair) for pair in zip(v.steps, terms.steps, strict=True)],
            _shortened(terms.prefix, _kinds(terms), [*_counters(v, terms), v.opt_outs.phone, v.opt_outs.email]),
            _pack_purses(terms.prefix, v.purses) if v.purses else b"",
            dict(v.metadata),
        )
    )


def open_body(data: bytes) -> Body:
    return Body(*msgpack.unpackb(data))


def said(body: Body, terms: Terms) -> dict[str, Any]:
    """What a body says with its terms, as a Verification names it."""
    *counters, phone, email = _whole(terms.prefix, _kinds(terms), body.keys)
    limits = [SendLimit(key, *one[1:]) for key, those in zip(counters, terms.limits, strict=True) for one in those]
    return {
        "phone": body.phone,
        "email": body.email,
        "metadata": body.metadata,
        "revision": terms.revision,
        "steps": tuple(map(_ordered, terms.steps, body.orders)) if body.orders else terms.steps,
        "resend_new": terms.resend_new,
        "limits": tuple(limits),
        "opt_outs": OptOuts(phone, email, terms.stops),
        "purses": _unpack_purses(terms, body.purses) if body.purses else (),
    }


def pack_messages(v: Verification) -> bytes:
    """What became of it until now."""
    return _packed([v.exhausted, *[_pack_attempt(a, v.created_at) for a in v.attempts]])


def unpack_messages(data: bytes, created: int) -> tuple[bool, tuple[Attempt, ...]]:
    """Whether nothing is left to try, and the attempts."""
    exhausted, *attempts = msgpack.unpackb(data)
    return exhausted, tuple([_unpack_attempt(n, a, created) for n, a in enumerate(attempts, 1)])


def _counters(v: Verification, terms: Terms) -> list[str]:
    """The key of each counter that its limits have."""
    found, at = [], 0
    for limits in terms.limits:
        found.append(v.limits[at].key)
        at += len(limits)
    return found


def _kinds(terms: Terms) -> str:
    return _LIMIT * len(terms.limits) + _OPT_OUTS


def _order(step: Step, terms: Step) -> bytes:
    return bytes(map(terms.providers.index, step.providers))


def _ordered(step: Step, order: bytes) -> Step:
    return step._replace(providers=tuple([step.providers[place] for place in order]))


@lru_cache(maxsize=256)
def _pack_purses(prefix: str, purses: tuple[Purse, ...]) -> bytes:
    """Everybody whom the same caps hold for has the same for an hour at least."""
    keys = _shortened(prefix, _PURSE * len(purses), [purse.key for purse in purses])
    first = purses[0].ends
    return _packed([keys, first, *[purse.ends - first for purse in purses[1:]]])


def _unpack_purses(terms: Terms, data: bytes) -> tuple[Purse, ...]:
    keys, first, *later = msgpack.unpackb(data)
    ends = [first, *[first + ms for ms in later]]
    own = zip(_whole(terms.prefix, _PURSE * len(ends), keys), terms.purses, ends, strict=True)
    return tuple([Purse(key, purse.name, purse.cap, end, purse.free) for key, purse, end in own])


def _shortened(prefix: str, kinds: str, keys: list[str]) -> bytes | list[str]:
    """The shards of all, and then their names. If one of them is made otherwise, all are kept as they are."""
    shards = [_shard(prefix, kind, key[:-_NAME]) if key else _ABSENT for kind, key in zip(kinds, keys, strict=True)]
    if _OTHER in shards:
        return keys
    names = [key[-_NAME:] for key in keys if key]
    raw = binascii.a2b_base64("".join(names))
    return bytes(shards) + raw if len(raw) == _BYTES * len(names) else keys


@lru_cache(maxsize=1024)
def _shard(prefix: str, kind: str, opening: str) -> int:
    """What a key begins with says this, where it is made as they all are: there are few beginnings."""
    return next((shard for shard in range(SHARDS) if opening == _key(prefix, shard, kind, "")), _OTHER)


def _whole(prefix: str, kinds: str, short: bytes | list[str]) -> list[str]:
    if isinstance(short, list):
        return short
    shards, at = short[: len(kinds)], 0
    names = binascii.b2a_base64(short[len(kinds) :], newline=False).decode("ascii")
    keys = []
    for kind, shard in zip(kinds, shards, strict=True):
        absent = shard == _ABSENT
        keys.append("" if absent else _key(prefix, shard, kind, names[at : at + _NAME]))
        at += 0 if absent else _NAME
    return keys


def _key(prefix: str, shard: int, kind: str, name: str) -> str:
    """As store/layout.py has it."""
    return f"{prefix}:{{{shard}}}:{kind}:{name}"


def _pack_attempt(a: Attempt, since: int) -> list[object]:
    return [
        a.step,
        a.channel,
        a.provider,
        _STATUSES.index(a.status),
        a.at - since,
        a.queued_at - since,
        a.reason,
        a.vendor_code,
        a.message_id,
        [a.cost.micros, a.cost.currency] if a.cost else None,
        a.held,
    ]


def _unpack_attempt(number: int, packed: list[Any], since: int) -> Attempt:
    step, channel, provider, status, at, queued_at, reason, vendor_code, message_id, cost, held = packed
    return Attempt(
        number,
        step,
        channel,
        provider,
        _STATUSES[status],
        at + since,
        queued_at + since,
        reason,
        vendor_code,
        message_id,
        Cost(*cost) if cost else None,
        held,
    )
