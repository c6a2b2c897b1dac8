"""The watches of the store beside those of a start: what is credited to them, and the blocks that they have begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.keys import shard_of
from gateway.store.document import unpack
from gateway.store.steps import Unknown

Run = Callable[[str, Sequence[str], dict[str, object]], Awaitable[list[Any]]]
Key = Callable[[int, str], str]


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


@dataclass(frozen=True, slots=True)
class Credit:
    """The watches that a verification was counted under, by name and item, and when it began. `unsent` takes it out of
    the count, instead of saying that its code was typed."""

    at: int
    watched: tuple[tuple[str, str | int], ...]
    unsent: bool = False


class Watches:
    """What a start looks at and counts is in its own script; all else is here. Methods raise Unavailable."""

    def __init__(self, run: Run, key: Key) -> None:
        self._run = run
        self._key = key

    async def credit(self, shard: int, credit: Credit) -> None:
        """Tell the watches, which lie in that shard, what became of a verification."""
        keys = [self._key(shard, "w:" + name) for name, _ in credit.watched]
        items = [item for _, item in credit.watched]
        await self._run("credit", keys, {"at": credit.at, "items": items, "unsent": credit.unsent})

    async def feedback(self, verification: str, app: str) -> Credit:
        """What there is to credit when an app says that a code was typed: once. Raises Unknown."""
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
