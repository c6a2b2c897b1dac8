"""A guard around one provider: a bounded number of requests at once, and a deadline that no code can outlast."""

from __future__ import annotations

import asyncio

from channels.contract import Answer, Callback, ErrorClass, Message, Outcome, Provider, Receipt, SendError
from gateway.telemetry.metrics import Metrics

_MARGIN = 0.5
"""Seconds that the guard leaves a provider beyond its own timeout, to say itself what went wrong."""


class Guarded:
    """A provider under guard. A send that finds no room within the deadline fails as throttled, unsent."""

    def __init__(self, provider: Provider, name: str, *, concurrency: int, timeout: float, metrics: Metrics) -> None:
        self._provider = provider
        self._name = name
        self._room = asyncio.Semaphore(concurrency)
        self._timeout = timeout
        self._metrics = metrics
        self._under_way = 0

    async def send(self, message: Message) -> Receipt:
        """Raises SendError."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._room.acquire()
        except TimeoutError:
            raise SendError(ErrorClass.THROTTLED, "no-room") from None
        self._count(1)
        try:
            async with asyncio.timeout(self._timeout + _MARGIN):
                return await self._provider.send(message)
        except TimeoutError:
            raise SendError(ErrorClass.PROVIDER_DOWN, "deadline", ambiguous=True) from None
        finally:
            self._count(-1)
            self._room.release()

    def read(self, callback: Callback) -> Outcome:
        return self._provider.read(callback)

    def answer(self, message: Message | None) -> Answer:
        return self._provider.answer(message)

    async def close(self) -> None:
        await self._provider.close()

    def _count(self, change: int) -> None:
        self._under_way += change
        self._metrics.in_flight(self._name, self._under_way)
