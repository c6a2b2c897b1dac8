"""A loopback proxy before a store that makes weather: cuts at a byte, delays, trickles, swallows, refuses."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Self

from gateway.store.address import address


@dataclass
class Weather:
    """What happens to the replies of the store, on every connection from now on. Settings may change at any time."""

    url: str
    cut_after: int = -1  # bytes of replies on a connection after which it is reset; -1: never
    swallow: bool = False  # nothing comes back any more
    pause: float = 0.0  # seconds before each piece of a reply
    piece: int = 65_536  # bytes of a piece
    refuse: bool = False  # connections are closed at once
    tls: ssl.SSLContext | None = None
    connections: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await _rounds()  # whoever was let in last must have begun, to be ended
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await _rounds()  # what was aborted is closed in the loop's next rounds

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if not self.refuse:
                await self._between(reader, writer)
        writer.transport.abort()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._upstream() as (answers, questions):
            forward = asyncio.create_task(self._forward(reader, questions))
            try:
                await self._back(answers, writer)
            finally:
                forward.cancel()
                await asyncio.gather(forward, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _upstream(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        place = address(self.url)
        opened = (
            asyncio.open_unix_connection(place.path) if place.path else asyncio.open_connection("127.0.0.1", place.port)
        )
        reader, writer = await opened
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, questions: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            questions.write(data)
        questions.transport.abort()

    async def _back(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = 0
        while data := await answers.read(self.piece):
            if self.pause:
                await asyncio.sleep(self.pause)
            if self.swallow:
                continue
            if self.cut_after >= 0:
                data = data[: max(0, self.cut_after - told)]  # a connection may have had more than that already
            told += len(data)
            writer.write(data)
            await writer.drain()
            if 0 <= self.cut_after <= told:
                return


async def _rounds() -> None:
    """Let the loop go round: a time says little of that where the machine is busy, and each step takes one round."""
    for _ in range(20):
        await asyncio.sleep(0.0005)
