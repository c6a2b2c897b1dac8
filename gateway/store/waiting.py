"""Waits until replicas have what a caller is about to be told, so that a failover can't take it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.store.link import Calls
from gateway.store.wire import Fault


class Short(Fault):
    """Too few replicas have it, as far as is known."""


_BATCH = 1_000
"""Documents that one wait is for, at the most."""
_MARK = 60_000
"""ms that the mark stays."""

Kept = Callable[[bytes | None], bool]
"""Whether a key's value is what the caller is about to be told."""


class Replicas:
    """Confirms writes. `calls` must be a connection of its own, because WAIT holds up all that comes after it.

    WAIT speaks of the writes of its own connection only. So this one writes a mark, and waits for that: whatever this
    server took in before the mark goes to the replicas before it. And it reads the value first, because the connection
    may lead to another server than the one that took the write, and one that took over without it must not vouch for
    it. One wait serves everybody who asked while the last one lasted.
    """

    def __init__(self, calls: Calls, number: int, timeout: int) -> None:
        """`number` of replicas, `timeout` in ms."""
        self._calls = calls
        self._number = number
        self._timeout = timeout
        self._asked: list[tuple[str, Kept, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def have(self, key: str, kept: Kept) -> None:
        """Return when enough replicas have it. Raises wire.Fault, after `timeout` at the latest, which is no proof of
        the contrary."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append((key, kept, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        try:
            async with asyncio.timeout(self._timeout / 1000):
                await answer
        except TimeoutError:
            raise Short("too few replicas have it") from None

    async def close(self) -> None:
        if self._task:
            await self._task
        await self._calls.close()

    async def _work(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:_BATCH], self._asked[_BATCH:]
            try:
                self._tell(batch, await self._confirmed([key for key, _, _ in batch]))
            except Fault as fault:
                for _, _, answer in batch:
                    if not answer.done():
                        answer.set_exception(fault)
        self._task = None

    async def _confirmed(self, keys: list[str]) -> list[Any]:
        """The values, and how many replicas have them."""
        reads = [("GET", key) for key in keys]
        mark = keys[0].rpartition(":v:")[0] + ":w"
        return await self._calls.ask_all(*reads, ("SET", mark, 1, "PX", _MARK), ("WAIT", self._number, self._timeout))

    def _tell(self, batch: list[tuple[str, Kept, asyncio.Future[None]]], replies: list[Any]) -> None:
        enough = replies[-1] >= self._number
        for (_, kept, answer), value in zip(batch, replies, strict=False):
            if answer.done():
                continue
            if enough and kept(value):
                answer.set_result(None)
            else:
                answer.set_exception(Short("too few replicas have it"))
