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
from gateway.guard.circuits import Circuit, Circuits
from gateway.guard.deadlines import Deadline, Deadlines
from gateway.guard.places import Places
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
        self._places = Places(concurrency)
        self._timeout = timeout
        self._deadlines = Deadlines(timeout + _MARGIN)
        self._patience = patience
        self._rate = Rate(rate)
        self._questions = Rate(rate)  # of their own, so that no message ever waits behind one
        self._circuits = Circuits(name, terms or Terms(), clock, metrics, log or structlog.get_logger())
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep

    def refuses(self, message: Message) -> bool:
        """Whether the breaker would refuse this message now."""
        return self._circuits.of(message).refuses()

    async def send(self, message: Message, *, insist: bool = False) -> Receipt:
        """Raises SendError. `insist` sends through an open breaker: when a step's providers are all down, refusing them
        all would only make an outage of theirs one of ours, so the order stays and each is tried as ever."""
        circuit = self._circuits.of(message)
        if not insist and circuit.refuses():
            raise _open()  # before any waiting, and without a place taken from a message that may go
        waited = await self._turn() if self._rate.capped else 0.0
        if not self._places.take():
            await self._place(self._patience - waited)
        self._metrics.in_flight(self._name, self._places.taken)
        try:
            return await self._through(circuit, message, insist)
        finally:
            self._places.leave()
            self._metrics.in_flight(self._name, self._places.taken)

    async def _turn(self) -> float:
        """Wait for a turn, if there is one within `patience`: the seconds that it took."""
        wait = self._rate.turn(self._clock(), self._patience)
        if wait:
            await self._sleep(wait)
        return wait

    async def _place(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._places.wait()
        except TimeoutError:
            raise SendError(ErrorClass.THROTTLED, "no-room") from None

    async def _through(self, circuit: Circuit, message: Message, insist: bool) -> Receipt:
        """Past the breaker, which learns what comes of it, and in time."""
        entry, sound = circuit.enter(insist=insist), None
        if entry is None:  # it opened, or another message probes, since this one began to wait
            raise _open()
        try:
            with Deadline(self._deadlines):
                receipt = await self._provider.send(message)
            sound = True
        except SendError as error:
            sound = False if error.error in PROVIDER_FAULTS else None
            raise
        except TimeoutError:
            sound = False
            raise SendError(ErrorClass.PROVIDER_DOWN, "deadline", ambiguous=True) from None
        finally:  # a cancellation or a fault in our own code says nothing of the provider
            circuit.settle(entry, sound)
        return receipt

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
        self._deadlines.close()
        await self._provider.close()


def _open() -> SendError:
    return SendError(ErrorClass.PROVIDER_DOWN, "breaker-open")
