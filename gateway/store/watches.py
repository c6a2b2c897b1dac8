"""The watches of the store beside those of a start: what is credited to them, and the blocks that they have begun."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.core.keys import shard_of
from gateway.store.document import unpack
from gateway.store.steps import Unavailable, Unknown

Run = Callable[[str, Sequence[str], dict[str, object]], Awaitable[list[Any]]]
Key = Callable[[int, str], str]
Lost = Callable[[Unavailable], None]

_MOST_AT_ONCE = 100
"""Verifications that one command tells of."""
_MOST_UNTOLD = 10_000
"""Verifications that wait to be told of, for each shard."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it is listed. Times in ms; `shown` is its subject as an operator may see it."""

    name: str
    rule: str
    per: str
    shown: str
    since: int
    until: int
    level: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """What stands, what has ended since somebody last looked, and how many stand."""

    standing: tuple[Block, ...]
    ended: tuple[Block, ...]
    number: int


class Credit(NamedTuple):
    """The watches that a verification was counted under, by name and item, and when it began; how many messages went
    out beside those that are counted (negative: were counted and did not), and how many had their code typed."""

    at: int
    watched: tuple[tuple[str, str | int], ...]
    sent: int = 0
    typed: int = 0


class Watches:
    """What a start looks at and counts is in its own script; all else is here. Methods raise Unavailable."""

    def __init__(self, run: Run, key: Key, gather: float = 0.0) -> None:
        """`gather` is for how many seconds what is to be told soon is gathered, so that it is one command."""
        self._run = run
        self._key = key
        self._gather = gather
        self._untold: dict[int, list[tuple[Credit, Lost]]] = {}  # by shard
        self._telling: asyncio.Task[None] | None = None

    async def credit(self, shard: int, *those: Credit) -> None:
        """Tell the watches, which lie in that shard, what became of verifications."""
        rows: dict[str, list[tuple[int, str | int, int, int]]] = {}
        for credit in those:
            for name, item in credit.watched:
                rows.setdefault(name, []).append((credit.at, item, credit.sent, credit.typed))
        keys = [self._key(shard, "w:" + name) for name in rows]
        await self._run("credit", keys, {"told": list(rows.values())})

    def credit_soon(self, shard: int, credit: Credit, lost: Lost) -> None:
        """The same, in one command with whatever else there is to tell by then: nobody waits for it, and most of them
        are told to the same few watches. `lost` hears why it was not done."""
        untold = self._untold.setdefault(shard, [])
        if len(untold) >= _MOST_UNTOLD:
            lost(Unavailable("credit: too many wait for it"))
            return
        untold.append((credit, lost))
        if self._telling is None:  # not in the caller's context: what it logs belongs to no request
            self._telling = asyncio.create_task(self._tell(), context=Context())

    async def told(self) -> None:
        """Wait until there is nothing left to tell."""
        if self._telling:
            await asyncio.wait([self._telling])

    async def _tell(self) -> None:
        try:
            while self._untold:
                await asyncio.sleep(self._gather)
                gathered, self._untold = self._untold, {}
                for shard, untold in gathered.items():
                    for first in range(0, len(untold), _MOST_AT_ONCE):
                        await self._try_credit(shard, untold[first : first + _MOST_AT_ONCE])
        finally:
            self._telling = None

    async def _try_credit(self, shard: int, batch: list[tuple[Credit, Lost]]) -> None:
        try:
            await self.credit(shard, *(credit for credit, _ in batch))
        except Unavailable as fault:
            for _, lost in batch:
                lost(fault)

    async def blocked(self, shard: int, names: Sequence[str]) -> tuple[str, ...]:
        """The rules whose block stands now against any of these watches, and is no hold."""
        _, standing = await self._run("blocked", [self._key(shard, "w:" + name) for name in names], {})
        return tuple(rule.decode() for rule, _per, _shown in standing)

    async def feedback(self, verification: str, app: str) -> Credit:
        """What there is to credit, once, when an app says that a code was typed. Raises Unknown."""
        shard = shard_of(verification)
        if shard is None:
            raise Unknown
        key = self._key(shard, "v:" + verification)
        _, found = await self._run("feedback", [key], {"app": app})
        if not found:
            raise Unknown
        at, watched = unpack(found)
        return Credit(at, tuple((name, item) for name, item in watched))

    async def blocks(self, shard: int, index: str, *, listed: bool, batch: int = 100) -> Blocks:
        """The blocks of an app: those that stand if they are to be `listed`, and at most `batch` of those that ended
        and were not told of yet, which are now told."""
        args = {"base": self._key(shard, "w:"), "list": listed, "batch": batch}
        _, ended, standing, number = await self._run("blocks", [self._key(shard, "b:" + index)], args)
        return Blocks(tuple(map(_block, standing)), tuple(map(_block, ended)), number)

    async def unblock(self, shard: int, index: str, name: str) -> Block | None:
        """Lift a block. None when there is no such block."""
        keys = [self._key(shard, "b:" + index), self._key(shard, "w:" + name)]
        _, found = await self._run("unblock", keys, {"name": name})
        if not found:
            return None
        since, until, level, (rule, per, shown) = unpack(found)
        return Block(name, rule, per, shown, since, until, level)


def _block(row: Sequence[Any]) -> Block:
    name, since, until, level, about = row
    rule, per, shown = unpack(about)
    return Block(name.decode(), rule, per, shown, since, int(float(until)), level)
