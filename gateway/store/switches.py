"""The providers that an operator has switched off, kept in the store for all processes and for after a restart."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.store.document import pack, unpack
from gateway.store.link import Calls

Timed = Callable[[str, Awaitable[Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Off:
    """Since when a provider is off, in ms, and why, in the operator's words."""

    since: int
    reason: str = ""


class OffRecord:
    """One hash: provider -> [since, reason]. Not a part of any decision's slot, because it is read beforehand. Methods
    raise Unavailable."""

    def __init__(self, calls: Calls, prefix: str, timed: Timed) -> None:
        self._calls = calls
        self._key = f"{prefix}:off"
        self._timed = timed

    async def read(self) -> Mapping[str, Off]:
        """All of them."""
        flat = await self._timed("switches", self._calls.ask("HGETALL", self._key))
        return {flat[i].decode(): Off(*unpack(flat[i + 1])) for i in range(0, len(flat), 2)}

    async def add(self, provider: str, reason: str = "") -> None:
        """Switch a provider off; one that is off already keeps its time."""
        entry = pack([int(time.time() * 1000), reason])
        await self._timed("switches", self._calls.ask("HSETNX", self._key, provider, entry))

    async def remove(self, provider: str) -> bool:
        """Switch it on again. Whether it was off."""
        return bool(await self._timed("switches", self._calls.ask("HDEL", self._key, provider)))
