"""The body of a stored verification: what only Python reads of it, packed small.

Every live verification has one, so each byte counts. A key of the store is 13 bytes, one for its shard and its
name: its prefix stands in the body once, and its kind is known from its place. Then the whole is compressed (RFC 1951)
as what goes on from a typical body, so that little is left of names and numbers which most bodies have. What changes
with each message is packed apart: the rest is packed once, and not sent to the store again.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgpack

from channels.contract import Cost
from gateway.core.keys import SHARDS
from gateway.core.model import Attempt, AttemptStatus, OptOuts, Purse, SendLimit, Verification
from policies.model import Step

_STATUSES = tuple(AttemptStatus)
_NAME, _BYTES = 16, 12  # characters of a key's name, and what they stand for in base64
_SHARD = 0x80  # added to a shard it begins no text
_LIMIT, _OPT_OUTS, _PURSE = "}:l:", "}:o:", "}:p:"  # how keys go on after their shard
_WINDOW = -10  # 1 kB to look back at, and no header


class Body(NamedTuple):
    """What a body says, as a Verification names it."""

    fields: Mapping[str, Any]
    locale: str


def pack_body(v: Verification, locale: str) -> bytes:
    """What stays as it is from the start to the end. Times are relative to the creation, which the store's clock
    decides."""
    keys = _Keys(_prefix(v))
    body = [
        v.purpose,
        v.policy,
        v.revision,
        [_pack_step(s) for s in v.steps],
        [v.phone, v.email, v.country, locale],
        v.resend_new,
        [(keys.short(_LIMIT, limit.key), *limit[1:]) for limit in v.limits],
        [keys.short(_OPT_OUTS, v.opt_outs.phone), keys.short(_OPT_OUTS, v.opt_outs.email), v.opt_outs.stops],
        dict(v.metadata),
        [[keys.short(_PURSE, p.key), p.name, p.cap, p.ends - v.created_at, p.free] for p in v.purses],
        keys.prefix,
    ]
    return deflated(_packed(body))


def pack_messages(v: Verification) -> bytes:
    """What became of it until now."""
    return _packed([v.exhausted, *[_pack_attempt(a, v.created_at) for a in v.attempts]])


def unpack_body(data: bytes, created: int) -> Body:
    """`created` in ms: when the verification was."""
    body = _unpacked(inflated(data))
    purpose, policy, revision, steps, masked, resend_new, limits, opt_outs, metadata, purses, prefix = body
    phone, email, country, locale = masked
    keys = _Keys(prefix)
    fields = {
        "purpose": purpose,
        "policy": policy,
        "revision": revision,
        "phone": phone,
        "email": email,
        "country": country,
        "steps": tuple(map(_unpack_step, steps)),
        "resend_new": resend_new,
        "limits": tuple([_unpack_limit(keys, *limit) for limit in limits]),
        "opt_outs": OptOuts(keys.whole(_OPT_OUTS, opt_outs[0]), keys.whole(_OPT_OUTS, opt_outs[1]), opt_outs[2]),
        "metadata": metadata,
        "purses": tuple(
            [Purse(keys.whole(_PURSE, key), x, cap, ends + created, free) for key, x, cap, ends, free in purses]
        ),
    }
    return Body(fields, locale)


def unpack_messages(data: bytes, created: int) -> tuple[bool, tuple[Attempt, ...]]:
    """Whether nothing is left to try, and the attempts."""
    exhausted, *attempts = _unpacked(data)
    return exhausted, tuple([_unpack_attempt(n, a, created) for n, a in enumerate(attempts, 1)])


def deflated(packed: bytes) -> bytes:
    """8 microseconds; half a body is left."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, 4, zlib.Z_DEFAULT_STRATEGY, _TYPICAL)
    return squeeze.compress(packed) + squeeze.flush()


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(_WINDOW, _TYPICAL).decompress(data)


def _packed(value: list[object]) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def _unpacked(data: bytes) -> list[Any]:
    unpacked: list[Any] = msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")
    return unpacked


class _Keys(NamedTuple):
    """Keys of the store that begin alike."""

    prefix: str

    def short(self, kind: str, key: str) -> str | bytes:
        """A key that is made otherwise is kept as it is."""
        head, _, name = key.rpartition(kind)
        opening, _, shard = head.rpartition(":{")
        if len(name) != _NAME or opening != self.prefix or not shard.isdecimal() or int(shard) >= SHARDS:
            return key
        try:
            packed = binascii.a2b_base64(name)
        except ValueError:
            return key
        return bytes([_SHARD + int(shard)]) + packed if len(packed) == _BYTES else key

    def whole(self, kind: str, key: str) -> str:
        raw = key.encode("utf-8", "surrogateescape")
        if not raw or not _SHARD <= raw[0] < _SHARD + SHARDS:
            return key
        name = binascii.b2a_base64(raw[1:], newline=False).decode("ascii")
        return f"{self.prefix}:{{{raw[0] - _SHARD}{kind}{name}"


def _prefix(v: Verification) -> str:
    keys = (*(x.key for x in v.limits[:1]), *(p.key for p in v.purses[:1]), v.opt_outs.phone, v.opt_outs.email)
    return next(filter(None, keys), "").rpartition(":{")[0]


@lru_cache(maxsize=256)
def _pack_step(s: Step) -> list[object]:
    """Most steps are never silent, and say nothing of it. There are few that differ: policies', in a few orders."""
    return [s.channel, s.providers, s.wait, s.sender, s.prices, *([s.quiet, s.strict] if s.quiet else [])]


def _unpack_step(packed: list[Any]) -> Step:
    channel, providers, wait, sender, prices, *night = packed
    quiet, strict = night or ((), False)
    priced, silent = tuple(map(tuple, prices)), tuple(map(tuple, quiet))
    return Step(channel, tuple(providers), wait, sender, prices=priced, quiet=silent, strict=strict)


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


def _unpack_limit(keys: _Keys, key: str, *said: Any) -> SendLimit:
    limit = SendLimit(keys.whole(_LIMIT, key), *said)
    return limit._replace(waits=tuple(limit.waits)) if limit.waits else limit._replace(waits=())


_TYPICAL = _packed(
    [
        *("signup", "payment", "login", "default", "default", "development", "premium_rate", "whatsapp", "telegram"),
        *("email", "voice", "smtp", "aws", "aws_sns", "meta", "msg91", "plivo", "vonage", "twilio", "", []),
        [["whatsapp", ["meta"], 30_000, "", []], ["sms", ["twilio", "vonage"], 20_000, "", [["twilio", 50_000]]]],
        *(["+4477*****20", "", "GB", "pt-BR"], ["+1415*****23", "a**@example.org", "US", "en"], False),
        [
            *(["", "destination-anyone-day", 20, 86_400_000, False, False, 20, 86_400_000, [], "phone"],),
            *(["", "destination-10m", 3, 600_000, False, False, 10, 86_400_000, [], ""],),
            *(["", "destination-day", 10, 86_400_000, False, False, 10, 86_400_000, [], ""],),
            *(["", "destination-anyone-hour", 20, 3_600_000, False, False, 20, 3_600_000, [], ""],),
            *(["", "cooldown", 1, 30_000, False, True, 4, 30_000, [30_000], "email"],),
        ],
        *(["", "", False], {"order": "", "user": ""}),
        [
            ["", "whole-month", 10**9, 10**9, True],
            ["", "country-day", 10**8, 10**8, False],
            ["", "app-day", 10**8, 0, False],
        ],
        "otp",
    ]
)
"""Part of every stored body: never change it."""
