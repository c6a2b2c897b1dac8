"""The way to one server of the store: a wire that is made anew when it breaks, and the scripts that run over it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.store.address import Address, Tls, address, hopeless, open_wire
from gateway.store.wire import Away, Fault, Full, Late, Refused, Wire, Words

TIMEOUT = 1.5
"""Seconds for one call. A start makes one, and is answered within two seconds whatever the store does."""
MOST = 10_000
"""Calls under way at once."""
_PAUSES = (0.02, 0.5)
"""Seconds between two attempts to connect: the first and the longest."""
_ELSEWHERE = frozenset({"READONLY", "LOADING", "MASTERDOWN"})
"""What a server says that can't serve us now; another may, or the same in a while."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the hash by which the server knows it."""

    source: str
    sha: str

    @classmethod
    def of(cls, source: str) -> Script:
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    def words(self, keys: Sequence[str], argument: bytes) -> Words:
        """The command that runs it."""
        return "EVALSHA", self.sha, len(keys), *keys, argument


class Calls(Protocol):
    """Whatever carries commands to a store. Every method raises wire.Fault, and nothing is repeated that may have
    run."""

    async def ask(self, *words: str | bytes | int) -> Any:
        """The reply to a command, whose first argument is its key."""

    def run(self, script: Script, keys: Sequence[str], argument: bytes) -> Awaitable[Any]:
        """The reply of a script."""

    async def ask_all(self, *commands: Words) -> list[Any]:
        """The replies to commands that follow each other on one connection: one round trip."""

    async def close(self) -> None:
        """Wait for what is owed, and hang up."""


class Link:
    """One server. `reach` says where it is, and is asked anew for every connection. `primary`: anything that is not
    one is left alone."""

    def __init__(
        self,
        reach: Callable[[], Awaitable[Address]],
        *,
        timeout: float = TIMEOUT,
        most: int = MOST,
        primary: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._reach = reach
        self._timeout = timeout
        self._most = most
        self._primary = primary
        self._jitter = jitter
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting = 0
        self._pause = 0.0
        self._fault = ""
        self._closed = False

    async def ask(self, *words: str | bytes | int) -> Any:
        wire = self._wire
        try:
            return await (wire.ask(words) if wire else self._first(words))
        except Refused as refused:
            if wire:
                self._judge(refused, wire)
            raise

    async def _first(self, words: Words) -> Any:
        """The reply to a command for which there is no connection yet."""
        return (await self.ask_all(words))[0]

    async def run(self, script: Script, keys: Sequence[str], argument: bytes) -> Any:
        words, wire = script.words(keys, argument), self._wire
        try:
            return await (wire.ask(words) if wire else self._first(words))
        except Refused as refused:
            if refused.word != "NOSCRIPT":
                if wire:
                    self._judge(refused, wire)
                raise
        return (await self.ask_all(("SCRIPT", "LOAD", script.source), words))[-1]

    async def ask_all(self, *commands: Words) -> list[Any]:
        """The replies to commands that follow each other on one connection, with nothing between: one round trip. The
        wait for a connection counts as a part of the call."""
        try:
            async with asyncio.timeout(self._timeout):
                wire = self._wire or await self._connected()
                replies = await asyncio.gather(*wire.ask_all(commands), return_exceptions=True)
        except TimeoutError:
            raise (Late("no answer in time") if self._wire else self._away()) from None
        for reply in replies:
            if isinstance(reply, BaseException):
                self._judge(reply, wire)
                raise reply
        return replies

    async def close(self) -> None:
        self._closed = True
        if self._connecting:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])  # so that no half-open connection is left behind
        if self._wire:
            await self._wire.close()

    def renew(self) -> None:
        """Leave this connection and make another: the server is not the right one any more."""
        if self._wire:
            self._wire.cut()

    def _judge(self, fault: BaseException, wire: Wire) -> None:
        if isinstance(fault, Refused) and fault.word in _ELSEWHERE:
            self._fault = fault.word
            wire.cut()

    def _away(self) -> Away:
        return Away(f"not connected ({self._fault})" if self._fault else "not connected")

    async def _connected(self) -> Wire:
        """The wire, once there is one: all who need it wait for the same attempt."""
        if self._waiting >= self._most:
            raise Full("too many calls under way")
        self._waiting += 1
        try:
            while self._wire is None:
                if self._closed:
                    raise Away("closed")
                if self._connecting is None:
                    self._connecting = asyncio.create_task(self._connect())
                    self._connecting.add_done_callback(self._settled)
                await self._attempted(self._connecting)
            return self._wire
        finally:
            self._waiting -= 1

    async def _attempted(self, task: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise Away("closed") from None

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # told to those who wait, if anybody does

    async def _connect(self) -> None:
        """Try until it is done or nobody waits any more. Raises Away for what no repetition mends."""
        while self._waiting and self._wire is None:
            if self._pause:
                await asyncio.sleep(self._pause * (0.5 + self._jitter() / 2))
            try:
                place = await self._reach()
                async with asyncio.timeout(self._timeout / 2):  # one that is frozen must not take all the time there is
                    self._wire = await open_wire(place, self._made, primary=self._primary)
                self._pause, self._fault = 0.0, ""
            except (Fault, OSError, TimeoutError) as fault:
                self._failed(fault)

    def _made(self) -> Wire:
        return Wire(self._timeout, self._most, self._lost)

    def _failed(self, fault: Exception) -> None:
        self._fault = str(fault) if isinstance(fault, Fault) else type(fault).__name__
        self._pause = min(max(self._pause * 2, _PAUSES[0]), _PAUSES[1])
        if hopeless(fault):
            raise self._away() from None

    def _lost(self, wire: Wire) -> None:
        if self._wire is wire:
            self._wire = None


def connect(url: str, *, timeout: float = TIMEOUT, most: int = MOST, tls: Tls | None = None) -> Link:
    """The way to the single server of a redis://, rediss:// or unix:// URL. `timeout` in seconds bounds every call, the
    wait for a connection included; `most` is how many calls may be under way. It connects when it is first used."""
    place = address(url, tls)

    async def reach() -> Address:
        return place

    return Link(reach, timeout=timeout, most=most)
