"""A cluster: finds the server that holds each slot, and follows the slots when they move or fail over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from redis.crc import key_slot

from gateway.store.address import Address
from gateway.store.link import Link, Script
from gateway.store.wire import Away, Cut, Fault, Late, Refused, Words

_PAUSE = 0.05
"""Seconds before what was not taken in is asked again, or the cluster is asked again who holds the slots."""
_NOT_NOW = frozenset({"TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "READONLY"})
"""Refusals of what was not run: by a slot on its way, or a server that is none of ours now."""
_KEYLESS = frozenset({"PING", "INFO", "SCRIPT", "CLUSTER", "WAIT", "SCAN"})

_MOST_SERVERS = 1024

Place = tuple[str, int]
Span = tuple[int, int, Place]
"""The first and the last of some slots, and who holds them."""


class Cluster:
    """Calls to whoever holds the slot of their keys; all that are sent together must be for keys of one server.
    `server` is how one gets in everywhere; `seeds` are asked first. What has no key goes to the holder of the slot of
    `tag`."""

    def __init__(self, seeds: Sequence[Place], server: Address, tag: str, *, timeout: float, most: int) -> None:
        self._seeds = tuple(seeds)
        self._server = server
        self._slot = slot_of(tag)
        self.timeout = timeout
        self._most = most
        self._links: dict[Place, Link] = {}
        self._members: tuple[Place, ...] = self._seeds
        self._spans: tuple[Span, ...] = ()
        self._homes: dict[int, Place] = {}
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
        slot = next((slot_of(key) for key in map(_key, commands) if key is not None), self._slot)
        try:
            async with asyncio.timeout(self.timeout):
                while True:
                    try:
                        return await self._once(slot, commands)
                    except (Away, Refused) as fault:
                        await self._follow(slot, fault)
        except TimeoutError:
            self._look()
            raise Late("no answer in time") from None

    async def scan(self, cursor: int, pattern: str, count: int) -> tuple[int, list[bytes]]:
        """One server's keys after the other's, as SCAN has them: the cursor says whose as well."""
        if not self._spans:
            await asyncio.shield(self._look())
        holders = self._holders()
        which, within = cursor % _MOST_SERVERS, cursor // _MOST_SERVERS
        if which >= len(holders):
            return 0, []
        after, keys = await self._link(holders[which]).ask("SCAN", within, "MATCH", pattern, "COUNT", count)
        if int(after):
            return int(after) * _MOST_SERVERS + which, keys
        return (which + 1) % len(holders), keys

    async def everywhere(self, *words: str | bytes | int) -> list[Any]:
        """The reply of every server that holds slots."""
        if not self._spans:
            await asyncio.shield(self._look())
        if not self._spans:
            raise Away("no server of the cluster answers")
        return await asyncio.gather(*(self._link(place).ask(*words) for place in self._holders()))

    def _holders(self) -> list[Place]:
        return sorted({place for _, _, place in self._spans})

    def home(self, key: str) -> Place | None:
        """Who holds this key, as far as is known: what goes there can go together."""
        return self._home(slot_of(key))

    async def close(self) -> None:
        self._closed = True
        if self._finding:
            await asyncio.gather(self._finding, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._links.values()))

    def _home(self, slot: int) -> Place | None:
        if slot not in self._homes:
            found = next((place for first, last, place in self._spans if first <= slot <= last), None)
            if found is None:
                return None
            self._homes[slot] = found
        return self._homes[slot]

    async def _once(self, slot: int, commands: Sequence[Words]) -> list[Any]:
        home = self._home(slot)
        if home is None:
            await asyncio.shield(self._look())
            home = self._home(slot)
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

    async def _follow(self, slot: int, fault: Away | Refused) -> None:
        """Find out who holds the slot now. Raises the fault when that is not what it is about."""
        if self._closed:
            raise Away("closed")
        if isinstance(fault, Refused):
            if fault.word == "MOVED":
                moved = int(fault.text.split()[1])
                self._homes[moved] = _place(fault, self._home(slot) or self._seeds[0])
                if moved != slot:
                    raise fault  # these can't go together any more
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

            self._links[place] = Link(reach, timeout=self.timeout, most=self._most)
        return self._links[place]

    def _look(self) -> asyncio.Task[None]:
        """Ask the servers who holds what: once for all who want to know."""
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self._find())
        return self._finding

    async def _find(self) -> None:
        """All are asked at once, and what most of them say of a slot holds: one that was cut off may not know yet."""
        members = dict.fromkeys((*self._members, *self._seeds))
        told = [rows for rows in await asyncio.gather(*map(self._told, members)) if rows]
        if told:
            self._spans = _agreed([[(row[0], row[1], row[2]) for row in rows] for rows in told])
            self._homes = {}
            self._members = tuple(dict.fromkeys(place for rows in told for row in rows for place in row[2:]))

    async def _told(self, place: Place) -> list[tuple[Any, ...]]:
        """Slots with their holder and its replicas, as this server sees them; nothing when it does not answer."""
        try:
            async with asyncio.timeout(self.timeout / 3):
                rows = await self._link(place).ask("CLUSTER", "SLOTS")
        except (Fault, TimeoutError):
            return []
        return [(row[0], row[1], *(_server(one, place) for one in row[2:])) for row in rows]


def _agreed(told: Sequence[Sequence[Span]]) -> tuple[Span, ...]:
    """Who holds what in the eyes of most. Between two slots where anybody sees another holder begin, all see one."""
    starts = sorted({edge for spans in told for first, last, _ in spans for edge in (first, last + 1)})
    found: list[Span] = []
    for first, after in pairwise(starts):
        votes = Counter(place for spans in told for begins, ends, place in spans if begins <= first <= ends)
        if votes:
            found.append((first, after - 1, votes.most_common(1)[0][0]))
    return tuple(found)


@lru_cache(maxsize=4096)
def _slot_of(tag: str) -> int:
    return int(key_slot(tag.encode()))


def slot_of(key: str) -> int:
    """The slot of a key: of what stands in its braces, if there are any."""
    opened = key.find("{")
    closed = key.find("}", opened + 2) if opened >= 0 else -1
    return _slot_of(key[opened : closed + 1] if closed >= 0 else key)


def _key(words: Words) -> str | None:
    """The first key of a command, if it has one."""
    at = 3 if words[0] == "EVALSHA" else 1
    return None if words[0] in _KEYLESS or len(words) <= at else str(words[at])


def _server(row: Sequence[Any], asked: Place) -> Place:
    """Host and port; a server that does not know its own host leaves it out."""
    return (row[0] or b"").decode() or asked[0], int(row[1])


def _place(refused: Refused, asked: Place) -> Place:
    """Where "MOVED 3999 host:port" leads; without a host, to the one that was asked."""
    host, _, port = refused.text.split()[2].rpartition(":")
    return host or asked[0], int(port)
