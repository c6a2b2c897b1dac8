"""What the store knows of one destination: the list of its keys, by which it is erased."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.core.keys import shard_of
from gateway.store.link import Calls

Timed = Callable[[str, Awaitable[Any]], Awaitable[Any]]

_ID = ":v:"


class Known:
    """Lists that each start writes: of the newest thousand keys, for as long as any of them is kept. Methods raise
    Unavailable."""

    def __init__(self, calls: Calls, timed: Timed) -> None:
        self._calls = calls
        self._timed = timed

    async def read(self, lists: tuple[str, ...]) -> list[str]:
        """The keys in all of these lists, each once."""
        found: list[bytes] = []
        for key in lists:
            found += await self._timed("known", self._calls.ask("LRANGE", key, 0, -1))
        return list(dict.fromkeys(key.decode() for key in found))

    async def forget(self, key: str, lists: tuple[str, ...]) -> bool:
        """Remove what this key holds, and then the key from the lists. Whether there was anything."""
        gone = await self._timed("known", self._calls.ask("DEL", key))
        for one in lists:
            await self._timed("known", self._calls.ask("LREM", one, 0, key))
        return bool(gone)


def verification_of(key: str) -> str | None:
    """The verification that a key holds, or None for another kind of key."""
    id_ = key.rpartition(_ID)[2]
    return id_ if _ID in key and shard_of(id_) is not None else None
