"""The worker: claims the timers that are due, whoever set them, and has the engine act on each."""

from __future__ import annotations

import asyncio

from gateway.service import Engine, Setup
from gateway.store.document import Stored
from gateway.store.steps import Claimed, Unavailable

_SWEPT = 100
"""Keys that are looked at in one sweep: with one each second, a million in under three hours for every process."""


class Worker:
    """Looks for due timers when the next one falls due, and at least every `poll` seconds, because other processes set
    timers too. At most `batch` are taken at once, and no more are claimed while that many are being worked on or this
    process has all the sends under way that it may have.

    Every `sweep` seconds it also looks at some keys of the store, all of them in turn, for what is pending without a
    timer: no step leaves that behind, so whatever is found was lost by the store, or by a bug of ours.
    """

    def __init__(self, setup: Setup, engine: Engine, *, poll: float = 0.2, batch: int = 64, sweep: float = 1.0) -> None:
        self._setup = setup
        self._engine = engine
        self._poll = poll
        self._batch = batch
        self._sweep = sweep
        self._sweep_at = 0.0
        self._cursor = 0
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, setup: Setup) -> None:
        """Go on under another setup."""
        self._setup = setup

    async def run(self) -> None:
        """Work until `stop`. Never raises: a store that is away is tried again."""
        while not self._stopping.is_set():
            pause = await self._round()
            await self._sweep_some()
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()

    async def drain(self, seconds: float) -> None:
        """Wait for what was claimed. What is not done then is taken over by another process when its lease ends."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)
        for task in list(self._tasks):
            task.cancel()

    async def tick(self) -> Claimed:
        """One round: claim what is due and act on it, to the end. Raises Unavailable."""
        claimed = await self._claim(self._batch)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return claimed

    async def _round(self) -> float:
        room = self._batch - len(self._tasks)
        if self._engine.full:
            return self._poll
        if room <= 0:  # these mostly take a moment: the next are taken when they are done, and not a poll later
            await asyncio.wait(list(self._tasks), timeout=self._poll)
            return 0
        try:
            claimed = await self._claim(room)
        except Unavailable as fault:
            self._setup.log.warning("store.failed", operation="claim", fault=str(fault))
            return self._poll
        except Exception as fault:  # noqa: BLE001 - whatever it is, the other timers must not wait for ever
            self._setup.log.error("timer.failed", fault=type(fault).__name__)
            return self._poll
        if claimed.depth:
            return 0
        until_next = (claimed.next_due - self._setup.store.now()) / 1000 if claimed.next_due else self._poll
        return min(max(until_next, 0.001), self._poll)

    async def _sweep_some(self) -> None:
        setup, now = self._setup, asyncio.get_running_loop().time()
        if now < self._sweep_at:
            return
        self._sweep_at = now + self._sweep
        try:
            swept = await setup.store.sweep(self._cursor, _SWEPT, setup.pace.lease)
        except Unavailable as fault:
            setup.log.warning("store.failed", operation="sweep", fault=str(fault))
            return
        except Exception as fault:  # noqa: BLE001 - as in a round: what can't be swept must not end the timers' loop
            setup.log.error("timer.failed", fault=type(fault).__name__)
            return
        self._cursor = swept.cursor
        for verification in swept.armed:
            setup.metrics.orphan()
            setup.log.error("timer.missing", verification=verification)

    async def _claim(self, batch: int) -> Claimed:
        setup = self._setup
        claimed = await setup.store.claim(setup.pace.lease, batch)
        setup.metrics.timers_due(claimed.depth)
        if claimed.orphans:
            setup.metrics.orphan(claimed.orphans)
            setup.log.error("orphan.found", number=claimed.orphans)
        for verification in claimed.unread:
            setup.log.error("timer.failed", verification=verification, fault="unreadable")
        for due in claimed.due:
            setup.metrics.timer_late(max(0, claimed.now - due.score) / 1000)
            task = asyncio.create_task(self._act(due.stored))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return claimed

    async def _act(self, stored: Stored) -> None:
        """Each on its own: one verification that can't be worked on must not hold up the others."""
        try:
            await self._engine.due(stored)
        except Unavailable as fault:
            self._setup.log.warning("store.failed", operation="due", fault=str(fault))
        except Exception as fault:  # noqa: BLE001 - see above; its lease ends and it is tried again
            self._setup.log.error("timer.failed", verification=stored.verification.id, fault=type(fault).__name__)
