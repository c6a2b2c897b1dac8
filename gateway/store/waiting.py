"""Waits until replicas have what a caller is about to be told, so that a failover can't take it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.store.link import Calls
from gateway.store.wire import Fault, Refused


class Short(Fault):
    """Too few replicas have it, as far as is known."""


_BATCH = 1_000
"""Documents that one wait is for, at the most."""
_MARK = 60_000
"""ms that the mark stays."""

Kept = Callable[[bytes | None], bool]
"""Whether a key's value is what the caller is about to be told."""
_Asked = tuple[str, Kept, asyncio.Future[None]]


class Replicas:
    """Confirms writes. `calls` must be a connection of its own, because WAIT holds up all that comes after it.

    WAIT speaks of the writes of its own connection only. So this one writes a mark, and waits for that: whatever this
    server took in before the mark goes to the replicas before it. And it reads the value first, because the connection
    may lead to another server than the one that took the write, and one that took over without it must not vouch for
    it. One wait serves everybody who asked while the last one lasted.
    """

    def __init__(
        self, calls: Calls, number: int, timeout: int, home: Callable[[str], object] = lambda _key: None
    ) -> None:
        """`number` of replicas, `timeout` in ms; `home` is the server that has a key, where there are several."""
        self._calls = calls
        self._number = number
        self._timeout = timeout
        self._home = home
        self._asked: dict[object, list[_Asked]] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}

    async def have(self, key: str, kept: Kept) -> None:
        """Return when enough replicas have it. Raises wire.Fault, after `timeout` at the latest, which is no proof of
        the contrary."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ask(key, kept, answer)
        try:
            async with asyncio.timeout(self._timeout / 1000):
                await answer
        except TimeoutError:
            raise Short("too few replicas have it") from None

    async def close(self) -> None:
        await asyncio.gather(*self._tasks.values())
        await self._calls.close()

    def _ask(self, key: str, kept: Kept, answer: asyncio.Future[None]) -> None:
        home = self._home(key)
        self._asked.setdefault(home, []).append((key, kept, answer))
        if home not in self._tasks:
            self._tasks[home] = asyncio.create_task(self._work(home))

    async def _work(self, home: object) -> None:
        while asked := self._asked.pop(home, []):
            batch, rest = asked[:_BATCH], asked[_BATCH:]
            if rest:
                self._asked[home] = rest
            try:
                self._tell(batch, await self._confirmed([key for key, _, _ in batch]))
            except Fault as fault:
                self._failed(batch, fault)
        del self._tasks[home]

    def _failed(self, batch: list[_Asked], fault: Fault) -> None:
        moved = isinstance(fault, Refused) and fault.word == "MOVED"  # some of these are at home elsewhere now
        for key, kept, answer in batch:
            if answer.done():
                continue
            if moved:
                self._ask(key, kept, answer)
            else:
                answer.set_exception(fault)

    async def _confirmed(self, keys: list[str]) -> list[Any]:
        """The values, and how many replicas have them."""
        reads = [("GET", key) for key in keys]
        mark = keys[0].rpartition(":v:")[0] + ":w"
        return await self._calls.ask_all(*reads, ("SET", mark, 1, "PX", _MARK), ("WAIT", self._number, self._timeout))

    def _tell(self, batch: list[_Asked], replies: list[Any]) -> None:
        enough = replies[-1] >= self._number
        for (_, kept, answer), value in zip(batch, replies, strict=False):
            if answer.done():
                continue
            if enough and kept(value):
                answer.set_result(None)
            else:
                answer.set_exception(Short("too few replicas have it"))
