"""The providers that an operator has switched off, kept in the store for all processes and for after a restart."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from gateway.store.document import pack, unpack

Timed = Callable[[str, Awaitable[Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Off:
    """Since when a provider is off, in ms, and why, in the operator's words."""

    since: int
    reason: str = ""


class OffRecord:
    """One hash: provider -> [since, reason]. Not a part of any decision's slot, because it is read beforehand. Methods
    raise Unavailable."""

    def __init__(self, client: Redis, prefix: str, timed: Timed) -> None:
        self._client = client
        self._key = f"{prefix}:off"
        self._timed = timed

    async def read(self) -> Mapping[str, Off]:
        """All of them."""
        found = await self._timed("switches", cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(self._key)))
        return {provider.decode(): Off(*unpack(entry)) for provider, entry in found.items()}

    async def add(self, provider: str, reason: str = "") -> None:
        """Switch a provider off; one that is off already keeps its time."""
        entry = pack([int(time.time() * 1000), reason])
        await self._timed("switches", self._client.hsetnx(self._key, provider, entry))

    async def remove(self, provider: str) -> bool:
        """Switch it on again. Whether it was off."""
        return bool(await self._timed("switches", self._client.hdel(self._key, provider)))
