"""Prices that a vendor tells only when it is asked: asked some time after the message's end, and a few times at most.

A price is worth less than a message: it is asked for beside the sends and never before one, kept in memory only, and
lost with the process or after the last try. What is found goes the way of a price in a report.
"""

from __future__ import annotations

import asyncio

from channels.contract import Cost, ErrorClass, SendError
from gateway.core.machine import Priced
from gateway.service.engine import Contended, Engine
from gateway.service.setup import Carrier, Setup
from gateway.service.unpriced import Unpriced
from gateway.store.steps import Unavailable, Unknown

_POLL = 1.0
_ROOM = 16
"""Prices asked for at once, by the whole process."""

_HOPELESS = frozenset({ErrorClass.PROVIDER_ACCOUNT, ErrorClass.REQUEST_BUG})
"""A key that may not look, or a message that the vendor does not know: the next time is no better."""


class Prices:
    """Asks for what is on the engine's agenda."""

    def __init__(self, setup: Setup, engine: Engine) -> None:
        self._setup = setup
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def adopt(self, setup: Setup) -> None:
        """Go on under another setup. What is being asked ends with the carrier that it has."""
        self._setup = setup

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            self._begin()
            await asyncio.sleep(_POLL)

    async def tick(self) -> None:
        """One round: ask for what is due, to the end."""
        self._begin()
        await self.ended()

    async def ended(self) -> None:
        """Wait until what is being asked now has ended."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        """Ask no more, and let go of what is being asked: a price is no reason to stay."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await self.ended()

    def _begin(self) -> None:
        if self._closed:
            return
        for item in self._engine.unpriced.due(self._setup.store.now(), _ROOM - len(self._tasks)):
            task = asyncio.create_task(self._settle(item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _settle(self, item: Unpriced) -> None:
        carrier = self._setup.carriers.get(item.provider)
        if carrier is None or not carrier.prices:  # taken out of the configuration since
            self._engine.unpriced.done(item)
            return
        item = Unpriced(item.verification, item.attempt, item.provider, item.message_id, item.asked + 1)
        result = await self._result(item, carrier)
        hopeful = result in ("unknown", "failed")
        if hopeful and self._engine.unpriced.later(item, self._setup.store.now()):
            return
        self._engine.unpriced.done(item)
        self._setup.metrics.price_lookup(item.provider, result)

    async def _result(self, item: Unpriced, carrier: Carrier) -> str:
        """found, unknown to the vendor, failed, or refused: for good."""
        try:
            cost = await carrier.price(item.message_id)
            return await self._write(item, cost) if cost else "unknown"
        except SendError as error:
            return "refused" if error.error in _HOPELESS else "failed"
        except (Unavailable, Contended):
            return "failed"
        except Exception as error:  # noqa: BLE001 - a fault in one provider's code must not end the others' prices
            self._setup.log.error("provider.fault", provider=item.provider, fault=type(error).__name__)
            return "refused"

    async def _write(self, item: Unpriced, cost: Cost) -> str:
        try:
            stored, _ = await self._setup.store.read(item.verification)
            await self._engine.turn(stored, Priced(item.attempt, cost))
        except Unknown:
            return "refused"  # its tombstone is gone: nobody is left to tell
        return "found"
