"""A cluster, of which one slot is ours: finds the server that holds it, and follows it when it moves or fails over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot

from gateway.store.address import Address
from gateway.store.link import Link, Script
from gateway.store.wire import Away, Cut, Fault, Late, Refused, Words

_PAUSE = 0.05
"""Seconds before what was not taken in is asked again, or the cluster is asked again who holds the slot."""
_NOT_NOW = frozenset({"TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "READONLY"})
"""Refusals of what was not run: by a slot on its way, or a server that is none of ours now."""

Place = tuple[str, int]


class Cluster:
    """Calls to whoever holds the slot of `tag`. `server` is how one gets in everywhere; `seeds` are asked first."""

    def __init__(self, seeds: Sequence[Place], server: Address, tag: str, *, timeout: float, most: int) -> None:
        self._seeds = tuple(seeds)
        self._server = server
        self._slot = key_slot(tag.encode())
        self._timeout = timeout
        self._most = most
        self._links: dict[Place, Link] = {}
        self._members: tuple[Place, ...] = self._seeds
        self._home: Place | None = None
        self._finding: asyncio.Task[None] | None = None
        self._closed = False

    async def ask(self, *words: str | bytes | int) -> Any:
        return (await self.ask_all(words))[0]

    async def run(self, script: Script, keys: Sequence[str], argument: bytes) -> Any:
        command: Words = ("EVALSHA", script.sha, len(keys), *keys, argument)
        try:
            return (await self.ask_all(command))[0]
        except Refused as refused:
            if refused.word != "NOSCRIPT":
                raise
        return (await self.ask_all(("SCRIPT", "LOAD", script.source), command))[-1]

    async def ask_all(self, *commands: Words) -> list[Any]:
        """What was refused because the slot is elsewhere, or on its way, was not run, and is asked again in the time
        that the call has. What may have run is not."""
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    try:
                        return await self._once(commands)
                    except (Away, Refused) as fault:
                        await self._follow(fault)
        except TimeoutError:
            self._look()
            raise Late("no answer in time") from None

    async def close(self) -> None:
        self._closed = True
        if self._finding:
            await asyncio.gather(self._finding, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._links.values()))

    async def _once(self, commands: Sequence[Words]) -> list[Any]:
        if self._home is None:
            await asyncio.shield(self._look())
        home = self._home
        if home is None:
            raise Away("no server of the cluster answers")
        try:
            return await self._link(home).ask_all(*commands)
        except Refused as refused:
            if refused.word != "ASK":
                raise
            return await self._asking(_place(refused, home), commands)
        except (Late, Cut):
            self._look()
            raise

    async def _asking(self, place: Place, commands: Sequence[Words]) -> list[Any]:
        """At the server that the slot is on its way to, which takes each command on that word only."""
        announced = [words for command in commands for words in (("ASKING",), command)]
        return (await self._link(place).ask_all(*announced))[1::2]

    async def _follow(self, fault: Away | Refused) -> None:
        """Find out who holds the slot now. Raises the fault when that is not what it is about."""
        if self._closed:
            raise Away("closed")
        if isinstance(fault, Refused):
            if fault.word == "MOVED":
                self._home = _place(fault, self._home or self._seeds[0])
                return
            if fault.word not in _NOT_NOW:
                raise fault
        await asyncio.sleep(_PAUSE)
        await asyncio.shield(self._look())

    def _link(self, place: Place) -> Link:
        if place not in self._links:
            at = self._server.at(*place)

            async def reach() -> Address:
                return at

            self._links[place] = Link(reach, timeout=self._timeout, most=self._most)
        return self._links[place]

    def _look(self) -> asyncio.Task[None]:
        """Ask the servers who holds the slot: once for all who want to know."""
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self._find())
        return self._finding

    async def _find(self) -> None:
        """All are asked at once, and what most of them say holds: one that was cut off may not know yet."""
        members = dict.fromkeys((*self._members, *self._seeds))
        told = await asyncio.gather(*(self._told(place) for place in members))
        votes = Counter(home for home, _ in filter(None, told) if home)
        if votes:
            self._home = votes.most_common(1)[0][0]
            self._members = tuple(dict.fromkeys(place for _, all_ in filter(None, told) for place in all_))

    async def _told(self, place: Place) -> tuple[Place | None, list[Place]] | None:
        """The holder of our slot and all servers, as this one sees it."""
        try:
            async with asyncio.timeout(self._timeout / 3):
                rows = await self._link(place).ask("CLUSTER", "SLOTS")
        except (Fault, TimeoutError):
            return None
        holders = [_server(row[2], place) for row in rows if row[0] <= self._slot <= row[1]]
        return (holders[0] if holders else None), [_server(one, place) for row in rows for one in row[2:]]


def _server(row: Sequence[Any], asked: Place) -> Place:
    """Host and port; a server that does not know its own host leaves it out."""
    return (row[0] or b"").decode() or asked[0], int(row[1])


def _place(refused: Refused, asked: Place) -> Place:
    """Where "MOVED 3999 host:port" leads; without a host, to the one that was asked."""
    host, _, port = refused.text.split()[2].rpartition(":")
    return host or asked[0], int(port)
