"""The steps of a store whose keys lie on several servers: what lies elsewhere is reserved before the verification."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from gateway.core.keys import SHARDS
from gateway.store import merging
from gateway.store.layout import Layout, shard_or_unknown
from gateway.store.link import Calls
from gateway.store.pledges import Pledges
from gateway.store.portions import Portion, of_change, own_change, portions, shard_in
from gateway.store.replies import named
from gateway.store.reservations import HOLD, TOKEN, Asking, Refused, Reservations, Reserved
from gateway.store.steps import Change, Creation, Paid, Swept, Try, Unavailable
from gateway.store.wants import Spend, Wants, common
from gateway.store.whole import Run, Timed, with_timers

_DOUBT = 0.1
"""Seconds between two looks at a shard that did not answer."""


class Servers(Calls, Protocol):
    """The way to all of them. `timeout` in seconds bounds every call, and every step that takes several."""

    @property
    def timeout(self) -> float: ...

    async def scan(self, cursor: int, pattern: str, count: int) -> tuple[int, list[bytes]]:
        """Keys of one server after the other's, about `count`: where to go on, 0 at the end."""


class Spread:
    """Each step is one script in every slot that it touches; that of the verification's own slot decides."""

    def __init__(self, layout: Layout, calls: Servers, run: Run, timed: Timed, *, hold: int = HOLD) -> None:
        """`hold` in ms: see reservations.HOLD."""
        self._layout = layout
        self._calls = calls
        self._run = run
        self._timed = timed
        self._hold = hold
        self._pledges = Pledges(layout, calls, run, timed, hold)
        self._reservations = Reservations(layout, calls, run, timed, hold)
        self._timers_from = 0
        self._doubted: set[str] = set()

    async def create(self, creation: Creation) -> list[Any]:
        return await self._in_time("create", self._started(creation))

    async def commit(self, change: Change) -> list[Any]:
        return await self._in_time("commit", self._changed(change))

    async def check(self, attempt: Try) -> list[Any]:
        return await self._in_time("check", self._checked(attempt))

    async def _in_time(self, step: str, work: Coroutine[Any, Any, list[Any]]) -> list[Any]:
        """However many calls it is, nobody waits for longer than for one."""
        try:
            async with asyncio.timeout(self._calls.timeout):
                return await work
        except TimeoutError:
            raise Unavailable(f"{step}: no answer in time") from None

    async def _started(self, creation: Creation) -> list[Any]:
        idempotency, before = creation.idempotency, 0
        if idempotency:
            pledged = await self._pledges.take(idempotency, creation.id)
            if pledged[0] != b"taken":
                return pledged
            before = pledged[1] + self._hold // 2
        reply = await self._create(creation, before)
        if idempotency and reply[0] != b"created":
            await self._pledges.free(idempotency, creation.id)
        return reply

    async def _create(self, creation: Creation, before: int) -> list[Any]:
        wants = creation.wants
        parts = portions(wants, creation.shard)
        mine = parts.pop(creation.shard)
        asked = Asking(secrets.token_bytes(TOKEN), creation.id, creation.keep, self._known(creation))
        taken, refused = await self._reservations.reserve(asked, parts.values())
        keys, args = self._layout.creation(replace(creation, wants=mine.wants, idempotency=None))
        args |= {"known": asked.known, **self._elsewhere(asked, taken, before)}
        own, others = await self._decided("create", b"created", (keys, args), mine, asked, taken, refused)
        if others:
            return await self._refusal(others, _seen(own, mine, taken), wants)
        if any(each.portion.held for each in taken):
            self._reservations.later(self._reservations.confirm(asked, _paying(taken)))
        return _created(own, mine, taken, wants.spend)

    def _known(self, creation: Creation) -> tuple[str, ...]:
        record = self._layout.record(creation.idempotency) if creation.idempotency else None
        return (self._layout.verification(creation.id), *([record] if record else []))

    async def _decided(
        self,
        script: str,
        done: bytes,
        asked_own: tuple[list[str], dict[str, object]],
        mine: Portion,
        asked: Asking,
        taken: list[Reserved],
        refused: list[Refused],
    ) -> tuple[list[Any], list[Refused]]:
        """What the verification's own slot says: it takes the step, or all the refusals there are. If another slot has
        refused, it is looked at for what one server would have said first."""
        keys, args = asked_own
        if refused:
            look = self._run(script, keys, {**args, "look": 1})
            seen, _ = await asyncio.gather(look, self._reservations.undo(asked, taken), return_exceptions=True)
            if isinstance(seen, list) and seen[0] not in (b"clear", b"late"):
                refused = [*refused, Refused(mine, seen)]
            return seen if isinstance(seen, list) else [], refused
        try:
            own = await self._run(script, keys, args)
        except (Unavailable, asyncio.CancelledError):
            if taken:
                self._reservations.later(self._reservations.doubtful(asked, taken))
            raise
        if own[0] == done:
            return own, []
        await self._reservations.undo(asked, taken)
        if own[0] == b"late":
            raise Unavailable(f"{script}: too late")
        return [], [Refused(mine, own)]

    def _elsewhere(self, asked: Asking, taken: Sequence[Reserved], before: int) -> dict[str, object]:
        """What the verification's own slot is told of the others."""
        known = [each.at + self._hold // 2 for each in taken] + ([before] if before else [])
        return {
            "apart": 1,
            "token": asked.token if taken else None,
            "again": max((each.again for each in taken), default=0) or None,
            "before": min(known, default=None),
        }

    async def _refusal(self, refused: Sequence[Refused], seen: Sequence[merging.Seen], wants: Wants) -> list[Any]:
        told = merging.refusal(refused, seen, wants.lists)
        if told.reply[0] != b"capped":
            return told.reply
        word, now, purse, _ = told.reply
        return [word, now, purse, await self._reservations.refused(told.portion, told.portion.purses.index(purse))]

    async def _changed(self, change: Change) -> list[Any]:
        shard = shard_or_unknown(change.id)
        spend = change.spend
        wants = of_change(change)
        parts = portions(wants, shard)
        mine = parts.pop(shard)
        asked = Asking(secrets.token_bytes(TOKEN), change.id, change.tombstone)
        await self._mark(change, shard)
        taken, refused = await self._reservations.reserve(asked, _taking(parts.values()))
        keys, args = self._layout.change(own_change(change, shard, mine))
        args |= self._elsewhere(asked, taken, 0)
        own, others = await self._decided("commit", b"committed", (keys, args), mine, asked, taken, refused)
        if others:
            return await self._refusal(others, _seen(own, mine, taken), wants)
        settling = [part for part in parts.values() if part.held]
        told = [(each.portion, each.paid) for each in taken]
        if spend and spend.change < 0:
            told += await self._reservations.settle(asked, settling)
        elif settling:
            self._reservations.later(self._reservations.confirm(asked, settling))
        return _committed(own, mine, taken, spend, told, await self._standing(change, shard))

    async def _mark(self, change: Change, shard: int) -> None:
        """What a vendor says holds whoever writes it down."""
        for mark in change.marks:
            if shard_in(mark.key) != shard:
                args: dict[str, object] = {"channels": list(mark.channels), "reason": mark.reason, "life": mark.life}
                await self._run("suppress", [mark.key], args)

    async def _standing(self, change: Change, shard: int) -> list[bytes]:
        """Which channels stand in records elsewhere: looked at after the message was queued, so that no opt-out that
        came before is overlooked, and before it is sent."""
        parts = portions(Wants(common(), looks=change.looks), shard)
        del parts[shard]
        _, found = await self._reservations.reserve(Asking(b"", change.id, 0), parts.values())
        return [channel for each in found for channel in each.reply[2]]

    async def _checked(self, attempt: Try) -> list[Any]:
        watch = attempt.watch
        keys, args = self._layout.attempt(attempt._replace(watch=None))
        if watch is None:
            return await self._run("check", keys, args)
        begun = None
        if watch.block:  # counted before a code is compared: what has a say in checks fails closed
            _, wait, twelfth, _ = await self._run("vigil", [watch.key], {"watch": watch.packed()})
            begun = None if wait else twelfth
            args["held"] = wait or None
        reply = await self._run("check", keys, args)
        verdict = _compared(reply)
        if begun is not None or verdict:
            told = {"watch": watch.packed(), "begun": begun, "verdict": verdict}
            failing = await self._counted(watch.key, told)
            if verdict:
                reply[5] = failing
        return reply

    async def _counted(self, key: str, told: dict[str, object]) -> list[int]:
        """The verdict stands, whatever becomes of this: what was counted before stays counted."""
        try:
            *_, failing = await self._run("vigil", [key], told)
        except Unavailable:
            return []
        return list(failing)

    async def claim(self, lease: int, batch: int, since: int) -> list[list[Any]]:
        """Look at all shards, and take from those that have something: of each in turn, so that none waits for ever."""
        self._timers_from = (self._timers_from + 1) % SHARDS
        timers = self._layout.timers[self._timers_from :] + self._layout.timers[: self._timers_from]
        seen = await self._asked(dict.fromkeys(timers, 0), lease, since)
        if not seen:
            raise Unavailable("claim: no shard answers")
        shares = _shares({key: reply[2] for key, reply in seen.items()}, batch)
        taken = await self._asked(shares, lease, since) if shares else {}
        return [*({**seen, **taken}).values()]

    async def _asked(self, shares: Mapping[str, int], lease: int, since: int) -> dict[str, list[Any]]:
        """The answers of the shards that answer. Nobody waits for one that did not the last time."""
        asked = [key for key in shares if key not in self._doubted]
        calls = (self._run("claim", [key], {"lease": lease, "batch": shares[key], "since": since}) for key in asked)
        found = await asyncio.gather(*calls, return_exceptions=True)
        for key, reply in zip(asked, found, strict=True):
            if isinstance(reply, Unavailable):
                self._doubted.add(key)
                self._reservations.later(self._probe(key, lease))
            elif isinstance(reply, BaseException):
                raise reply
        return {key: reply for key, reply in zip(asked, found, strict=True) if isinstance(reply, list)}

    async def _probe(self, key: str, lease: int) -> None:
        while key in self._doubted:
            try:
                await self._run("claim", [key], {"lease": lease, "batch": 0, "since": 0})
                self._doubted.discard(key)
            except Unavailable:
                await asyncio.sleep(_DOUBT)

    async def sweep(self, cursor: int, count: int, lease: int) -> Swept:
        pattern = f"{self._layout.prefix}:*:v:*"
        after, keys = await self._timed("scan", self._calls.scan(cursor, pattern, count))
        by_shard: dict[int, list[str]] = {}
        for key in named(keys):
            by_shard.setdefault(shard_in(key), []).append(key)
        calls = (self._run("sweep", with_timers(keys), {"lease": lease}) for keys in by_shard.values())
        armed = [id_ for _, those in await asyncio.gather(*calls) for id_ in named(those)]
        return Swept(after, tuple(armed))

    async def close(self) -> None:
        await self._reservations.close()


def _seen(own: Sequence[Any], mine: Portion, taken: Iterable[Reserved]) -> list[merging.Seen]:
    """The shadow limits of the slots that don't refuse."""
    clear = [(mine, own[2])] if own and own[0] == b"clear" else []
    return [*((each.portion, each.shadows) for each in taken), *clear]


def _taking(parts: Iterable[Portion]) -> list[Portion]:
    """The portions without purses that only get something back, which they do afterwards."""
    found = []
    for part in parts:
        spend = part.wants.spend
        taking = spend and (spend.reserve > 0 or spend.change > 0)
        if taking or part.wants.counters:
            found.append(part if taking else replace(part, wants=part.wants._replace(spend=None), purses=()))
    return found


def _paying(taken: Iterable[Reserved]) -> list[Portion]:
    return [each.portion for each in taken if each.portion.held]


def _created(own: list[Any], mine: Portion, taken: Sequence[Reserved], spend: Spend | None) -> list[Any]:
    word, now, seen, again, held, noted, fired, spent, near = own
    shadows = merging.shadows([(mine, seen), *((each.portion, each.shadows) for each in taken)])
    told = [(mine, Paid(tuple(spent), tuple(near))), *((each.portion, each.paid) for each in taken)]
    return [
        word,
        now,
        shadows,
        again,
        max(held, *(each.held for each in taken)) if taken else held,
        [*noted, *(watch for each in taken for watch in each.noted)],
        [*fired, *(fact for each in taken for fact in each.fired)],
        *merging.paid(spend, told),
    ]


def _committed(
    own: list[Any],
    mine: Portion,
    taken: Sequence[Reserved],
    spend: Spend | None,
    told: Sequence[tuple[Portion, Paid]],
    standing: Sequence[bytes],
) -> list[Any]:
    word, now, seen, suppressed, again, spent, near = own
    shadows = merging.shadows([(mine, seen), *((each.portion, each.shadows) for each in taken)])
    held = merging.paid(spend, [(mine, Paid(tuple(spent), tuple(near))), *told])
    return [word, now, shadows, [*suppressed, *standing], again, *held]


def _compared(reply: list[Any]) -> str | None:
    """Whether a check compared a code, and how that ended."""
    if len(reply) < 7 or reply[6]:
        return None
    if reply[0] == b"approved":
        return "approved"
    return "failed" if reply[0] == b"wrong" or (reply[0] == b"locked" and reply[4]) else None


def _shares(depths: Mapping[str, int], batch: int) -> dict[str, int]:
    """How many to take of each shard: as even as can be, and `batch` in all."""
    shares, left = {}, batch
    waiting = sorted([(depth, key) for key, depth in depths.items() if depth][:batch])
    for number, (depth, key) in enumerate(waiting):
        shares[key] = min(depth, left // (len(waiting) - number))
        left -= shares[key]
    return shares
