"""Planted bugs: what the gateway would be with the usual mistakes. The proof that each belongs to must catch it."""

from __future__ import annotations

from typing import Any

import msgpack

from gateway.core import machine
from gateway.service.engine import Engine, _send_of
from gateway.store import valkey
from gateway.store.document import Stored, pack
from gateway.store.steps import Committed, Created, Creation, Limited, Tried, Try
from gateway.store.valkey import Store

LUA: dict[str, tuple[str, str, str]] = {
    # script, what it says, what the mistake says
    "pops": ("claim", "redis.call('ZADD', due, now + args.lease, id)", "redis.call('ZREM', due, id)"),
    "unarmed": ("create", "redis.call('ZADD', KEYS[2], now + args.lease, args.id)", ""),
    "unfenced": ("commit", "if doc.v ~= args.v then", "if false then"),
}


def plant(name: str) -> None:
    """Put one of the mistakes into the scripts of every store that is made after this."""
    script, right, wrong = LUA[name]
    true = valkey._source
    if true(script).count(right) != 1:
        raise ValueError(f"{script}.lua no longer says: {right}")
    valkey._source = lambda asked: true(asked).replace(right, wrong)


class ReadThenWrite(Store):
    """Checks as many gateways do: read the state, compare, write the state back."""

    async def check(self, attempt: Try) -> Tried:
        key = self._layout.verification(attempt.id)
        doc: dict[bytes, Any] = msgpack.unpackb(await self._calls.ask("GET", key), raw=True)
        if doc[b"s"] != b"p":
            return Tried("spent" if doc[b"s"] == b"a" else "locked", 0, 0, 0, None)
        doc[b"n"] += 1
        right = attempt.digests[doc[b"k"].decode()] == doc[b"d"]
        doc[b"s"] = b"a" if right else b"l" if doc[b"n"] >= doc[b"m"] else b"p"
        await self._calls.ask("SET", key, pack(doc), "KEEPTTL")
        return Tried("approved" if right else "wrong", 0, 0, 0, None)


class CheckThenCount(Store):
    """Limits as many limiters do: look whether there is room, and then count."""

    async def create(self, creation: Creation) -> Created | Limited:
        now = self.now()
        keys, groups = creation.wants.counters, creation.wants.common.groups
        for key, (_, _, rules) in zip(keys, groups, strict=True):
            for amount, window, *_ in rules:
                packed = await self._calls.ask("GETRANGE", key, -6 * amount, -6 * amount + 5)
                oldest = int.from_bytes(packed)
                if len(packed) == 6 and oldest + window > now:
                    return Limited(now, 0, 0, oldest + window - now)
        for key in keys:
            await self._calls.ask("APPEND", key, now.to_bytes(6))
        return Created(now, ())


class TriesAgain(Engine):
    """Applies a timer to whatever the state has become, instead of leaving it to whoever changed it."""

    async def due(self, stored: Stored) -> None:
        result: object = None
        while not isinstance(result, Committed):
            now = self._setup.store.now()
            turn = machine.apply(stored.verification, machine.Due(), now, self._setup.pace)
            send = _send_of(turn)
            if send and send.again:
                return self.carry(stored, send.attempt, self._setup.store.elapsed())
            turn, result = await self._write(stored, machine.Due(), turn, now, False, None)
            if not isinstance(result, Committed):
                stored = result.stored  # type: ignore[attr-defined]
        turned = self._turned(stored, turn, now, result, self._setup.store.elapsed())
        if turned.send:
            self.carry(turned.stored, turned.send, turned.since)
        return None


STORES: dict[str, type[Store]] = {"": Store, "read-then-write": ReadThenWrite, "check-then-count": CheckThenCount}
