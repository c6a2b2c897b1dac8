"""A group of servers that Sentinels watch: finds its primary, and follows it when another takes over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.store.address import Address
from gateway.store.link import Link, Script
from gateway.store.plain import client_at
from gateway.store.wire import Away, Words

_PATIENCE = 0.5
"""Seconds for a Sentinel to answer. Another one is asked at the same time."""
_PAUSE = 1.0
"""Seconds before a Sentinel that was lost is listened to again."""


class Sentinels:
    """Those who watch. All are asked at once, and what most of them say holds: one that was cut off from the others may
    name a primary that is none any more."""

    def __init__(self, places: Sequence[Address], group: str) -> None:
        self._clients = [client_at(place, timeout=_PATIENCE) for place in places]
        self._group = group

    async def primary(self) -> tuple[str, int]:
        """Host and port. Raises Away when no Sentinel knows."""
        votes: Counter[tuple[str, int]] = Counter()
        asked = {asyncio.create_task(self._told(client)) for client in self._clients}
        pending = asked
        while pending and not any(count * 2 > len(asked) for count in votes.values()):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            votes.update(place for task in done if (place := task.result()))
        for task in pending:
            task.cancel()
        if not votes:
            raise Away("no Sentinel names a primary")
        return votes.most_common(1)[0][0]

    async def switches(self, switched: asyncio.Event) -> None:
        """Set the event whenever a Sentinel says that the primary has changed, and whenever one is listened to anew.
        Runs until it is cancelled."""
        await asyncio.gather(*(self._listen(client, switched) for client in self._clients))

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def _told(self, client: Redis) -> tuple[str, int] | None:
        try:
            found = await client.execute_command(  # type: ignore[no-untyped-call]
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._group
            )
        except (RedisError, OSError, TimeoutError):
            return None
        return (_text(found[0]), int(found[1])) if found else None

    async def _listen(self, client: Redis, switched: asyncio.Event) -> None:
        while True:
            try:
                async with client.pubsub() as channel:
                    await channel.subscribe("+switch-master")
                    switched.set()
                    while True:
                        if await channel.get_message(ignore_subscribe_messages=True, timeout=60):
                            switched.set()
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(_PAUSE)


class Followed:
    """Calls to whoever is the primary of the group. `server` is how one gets in there, wherever it is."""

    def __init__(self, sentinels: Sentinels, server: Address, *, timeout: float, most: int) -> None:
        self._sentinels = sentinels
        self._server = server
        self._link = Link(self._reach, timeout=timeout, most=most, primary=True)
        self._place: tuple[str, int] | None = None
        self._following: asyncio.Task[None] | None = None

    async def ask(self, *words: str | bytes | int) -> Any:
        return await self._link.ask(*words)

    def run(self, script: Script, keys: Sequence[str], argument: bytes) -> Awaitable[Any]:
        return self._link.run(script, keys, argument)

    async def ask_all(self, *commands: Words) -> list[Any]:
        return await self._link.ask_all(*commands)

    async def close(self) -> None:
        if self._following:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._link.close()
        await self._sentinels.close()

    async def _reach(self) -> Address:
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
        self._place = await self._sentinels.primary()
        return self._server.at(*self._place)

    async def _follow(self) -> None:
        """Leave a primary that was replaced, which may not know it yet and would take writes that are then lost."""
        switched = asyncio.Event()
        listening = asyncio.create_task(self._sentinels.switches(switched))
        try:
            while True:
                await switched.wait()
                switched.clear()
                await self._compare()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _compare(self) -> None:
        try:
            if await self._sentinels.primary() != self._place:
                self._link.renew()
        except Away:
            return


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
