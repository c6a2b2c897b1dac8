"""A provider under guard: it is not asked when it is down, too much, or for longer than its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from channels.contract import (
    PROVIDER_FAULTS,
    Answer,
    Callback,
    Cost,
    ErrorClass,
    Hearing,
    Message,
    Outcome,
    Pricing,
    Provider,
    Receipt,
    Receiving,
    SendError,
    Shared,
    Unread,
)
from gateway.guard.breaker import Terms
from gateway.guard.circuits import Circuits
from gateway.guard.rate import Rate
from gateway.telemetry.metrics import Metrics

_MARGIN = 0.5
"""Seconds that the guard leaves a provider beyond its own timeout, to say itself what went wrong."""


class Guarded:
    """A provider under guard. What the guard refuses was not sent: `breaker-open` as the provider being down, `rate`
    and `no-room`, after at most `patience` seconds, as throttled. None of these three counts against the provider.

    `patience` and `timeout` together must stay under the engine's lease: else another process sends the code as well.
    `clock` is in seconds and `sleep` goes by it.
    """

    def __init__(
        self,
        provider: Provider,
        name: str,
        *,
        concurrency: int,
        timeout: float,
        metrics: Metrics,
        patience: float = 1.0,
        rate: float | None = None,
        terms: Terms | None = None,
        log: Any = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._provider = provider
        self._receiving = provider if isinstance(provider, Receiving) else None
        self._hearing = provider if isinstance(provider, Hearing) else None
        self._pricing = provider if isinstance(provider, Pricing) else None
        self._name = name
        self._room = asyncio.Semaphore(concurrency)
        self._timeout = timeout
        self._patience = patience
        self._rate = Rate(rate)
        self._questions = Rate(rate)  # of their own, so that no message ever waits behind one
        self._circuits = Circuits(name, terms or Terms(), clock, metrics, log or structlog.get_logger())
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._under_way = 0

    def refuses(self, message: Message) -> bool:
        """Whether the breaker would refuse this message now."""
        return self._circuits.refuses(message)

    async def send(self, message: Message, *, insist: bool = False) -> Receipt:
        """Raises SendError. `insist` sends through an open breaker: when a step's providers are all down, refusing them
        all would only make an outage of theirs one of ours, so the order stays and each is tried as ever."""
        if not insist and self.refuses(message):
            raise _open()  # before any waiting, and without a place taken from a message that may go
        await self._place()
        self._count(1)
        try:
            return await self._through(message, insist)
        finally:
            self._count(-1)
            self._room.release()

    async def _place(self) -> None:
        """Take a turn and a place among the requests under way, both within `patience`."""
        waited = self._rate.turn(self._clock(), self._patience)
        if waited:
            await self._sleep(waited)
        try:
            if self._room.locked():
                async with asyncio.timeout(self._patience - waited):
                    await self._room.acquire()
            else:
                await self._room.acquire()  # at once: nobody waits
        except TimeoutError:
            raise SendError(ErrorClass.THROTTLED, "no-room") from None

    async def _through(self, message: Message, insist: bool) -> Receipt:
        """Past the breaker, which learns what comes of it."""
        entry, sound = self._circuits.enter(message, insist=insist), None
        if entry is None:  # it opened, or another message probes, since this one began to wait
            raise _open()
        try:
            receipt = await self._in_time(message)
            sound = True
        except SendError as error:
            sound = False if error.error in PROVIDER_FAULTS else None
            raise
        finally:  # a cancellation or a fault in our own code says nothing of the provider
            self._circuits.settle(message, entry, sound)
        return receipt

    async def _in_time(self, message: Message) -> Receipt:
        try:
            async with asyncio.timeout(self._timeout + _MARGIN):
                return await self._provider.send(message)
        except TimeoutError:
            raise SendError(ErrorClass.PROVIDER_DOWN, "deadline", ambiguous=True) from None

    @property
    def shared(self) -> bool:
        """Whether reports come to one address for all messages, and bring their tokens."""
        return isinstance(self._provider, Shared) and self._provider.shared

    async def receive(self, callback: Callback) -> Outcome:
        """Read a callback. Raises Forged, and Unread when the vendor has to be asked first and does not answer."""
        if self._receiving is None:
            return self._provider.read(callback)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._receiving.receive(callback)
        except TimeoutError:
            raise Unread from None

    def inbound(self, callback: Callback) -> Outcome | None:
        """Read what people write back. Raises Forged; None when the provider has no address for that."""
        return self._hearing.inbound(callback) if self._hearing else None

    @property
    def prices(self) -> bool:
        """Whether the vendor tells prices when it is asked."""
        return self._pricing is not None and self._pricing.prices

    async def price(self, message_id: str) -> Cost | None:
        """What a message cost; None while the vendor doesn't know. Raises SendError. Neither takes a place or a turn
        from a message, nor says anything to the breaker: a vendor that keeps a price to itself may still send."""
        if self._pricing is None:
            return None
        wait = self._questions.turn(self._clock(), self._timeout)
        if wait:
            await self._sleep(wait)
        try:
            async with asyncio.timeout(self._timeout + _MARGIN):
                return await self._pricing.price(message_id)
        except TimeoutError:
            raise SendError(ErrorClass.PROVIDER_DOWN, "deadline") from None

    def answer(self, message: Message | None) -> Answer:
        return self._provider.answer(message)

    async def close(self) -> None:
        self._circuits.close()
        await self._provider.close()

    def _count(self, change: int) -> None:
        self._under_way += change
        self._metrics.in_flight(self._name, self._under_way)


def _open() -> SendError:
    return SendError(ErrorClass.PROVIDER_DOWN, "breaker-open")
