"""What verifications of one plan have in common: packed once, and kept apart from them under a name of its content.

A verification's body (see store/body.py) holds what is its own, and names these. Nothing here is about a person.
"""

from __future__ import annotations

import binascii
from hashlib import blake2b
from itertools import groupby
from typing import Any, NamedTuple

import msgpack

from gateway.core.model import Purse, SendLimit, Verification
from policies.model import Step

_NAME = 9
"""Bytes of a name. Nobody but the operator has a say in what is named."""


class Terms(NamedTuple):
    """How messages may follow each other, and what limits them and pays for them, less whose that is."""

    name: str  # 12 characters
    packed: bytes
    prefix: str  # of the store's keys
    revision: str
    steps: tuple[Step, ...]  # their providers in the order of the alphabet
    resend_new: bool
    stops: bool  # see OptOuts
    limits: tuple[tuple[SendLimit, ...], ...]  # those of one counter together, without its key
    purses: tuple[Purse, ...]  # without key and end


def terms_of(v: Verification) -> Terms:
    """What a verification has in common with others. Read back from what is packed, so that whoever starts one has
    just what others will read."""
    counters = [list(limits) for _, limits in groupby(v.limits, lambda limit: limit.key)]
    said = [
        _prefix(v),
        v.revision,
        [_pack_step(step) for step in v.steps],
        v.resend_new,
        v.opt_outs.stops,
        [[limit[1:] for limit in limits] for limits in counters],
        [[purse.name, purse.cap, purse.free] for purse in v.purses],
    ]
    packed: bytes = msgpack.packb(said)
    name = blake2b(packed, digest_size=_NAME).digest()
    return unpack_terms(binascii.b2a_base64(name, newline=False).decode("ascii"), packed)


def unpack_terms(name: str, packed: bytes) -> Terms:
    prefix, revision, steps, resend_new, stops, counters, purses = msgpack.unpackb(packed)
    return Terms(
        name,
        packed,
        prefix,
        revision,
        tuple(map(_unpack_step, steps)),
        resend_new,
        stops,
        tuple([tuple([_unpack_limit(*limit) for limit in limits]) for limits in counters]),
        tuple([Purse("", said, cap, 0, free) for said, cap, free in purses]),
    )


def _prefix(v: Verification) -> str:
    keys = (*(x.key for x in v.limits[:1]), *(p.key for p in v.purses[:1]), v.opt_outs.phone, v.opt_outs.email)
    return next(filter(None, keys), "").rpartition(":{")[0]


def _pack_step(s: Step) -> list[object]:
    """Most steps are never silent, and say nothing of it."""
    return [s.channel, sorted(s.providers), s.wait, s.sender, s.prices, *([s.quiet, s.strict] if s.quiet else [])]


def _unpack_step(packed: list[Any]) -> Step:
    channel, providers, wait, sender, prices, *night = packed
    quiet, strict = night or ((), False)
    priced, silent = tuple(map(tuple, prices)), tuple(map(tuple, quiet))
    return Step(channel, tuple(providers), wait, sender, prices=priced, quiet=silent, strict=strict)


def _unpack_limit(*said: Any) -> SendLimit:
    limit = SendLimit("", *said)
    return limit._replace(waits=tuple(limit.waits))
