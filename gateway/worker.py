"""The worker: claims the timers that are due, whoever set them, and has the engine act on each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from gateway.service import Engine, Setup
from gateway.store.document import Stored
from gateway.store.steps import Claimed, Unavailable

_OVERDUE = 5_000
"""Milliseconds after which a timer is late because nobody worked, and not because many fell due at once."""
_STEP = 0.05
"""Seconds between two looks while such timers are left."""
_SWEPT = 100
"""Keys that are looked at in one sweep: with one each second, a million in under three hours for every process."""


class Recovery:
    """How many overdue timers may be taken up: so many a second, and no more at once than between a few looks."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._most = max(1.0, 2 * _STEP * rate)
        self._saved = self._most
        self._at = 0.0

    def allowed(self, now: float, most: int) -> int:
        """Of `most`, at `now` in seconds. They count as taken."""
        self._saved = min(self._most, self._saved + (now - self._at) * self._rate)
        self._at = now
        taken = min(most, int(self._saved))
        self._saved -= taken
        return taken


class Worker:
    """Looks for due timers when the next one falls due, and at least every `poll` seconds, because other processes set
    timers too. At most `batch` are taken at once, and no more are claimed while that many are being worked on or this
    process has all the sends under way that it may have.

    After an outage thousands may be due. What has only just fallen due goes first; of the others, `recovery` a second
    are taken up, so that vendors, checks and starts are not buried under them.

    Every `sweep` seconds it also looks at some keys of the store, all of them in turn, for what is pending without a
    timer: no step leaves that behind, so whatever is found was lost by the store, or by a bug of ours.
    """

    def __init__(
        self,
        setup: Setup,
        engine: Engine,
        *,
        poll: float = 0.2,
        batch: int = 64,
        recovery: int = 200,
        sweep: float = 1.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` gives numbers from 0 to 1, by which processes that began together do not look together for ever."""
        self._setup = setup
        self._recovery = Recovery(recovery)
        self._jitter = jitter
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
        claimed = await self._claim(self._batch, 0)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return claimed

    async def _round(self) -> float:
        room = self._batch - len(self._tasks)
        if self._engine.full:
            return self._pause()
        if room <= 0:  # these mostly take a moment: the next are taken when they are done, and not a poll later
            await asyncio.wait(list(self._tasks), timeout=self._poll)
            return 0
        try:
            return await self._take(room)
        except Unavailable as fault:
            self._setup.log.warning("store.failed", operation="claim", fault=str(fault))
            return self._pause()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the other timers must not wait for ever
            self._setup.log.error("timer.failed", fault=type(fault).__name__)
            return self._pause()

    async def _take(self, room: int) -> float:
        """What has just fallen due, and some of what is left then. Gives back the seconds until the next look."""
        store = self._setup.store
        claimed = await self._claim(room, store.now() - _OVERDUE)
        left = room - len(claimed.due)
        if claimed.depth and left:
            allowed = self._recovery.allowed(asyncio.get_running_loop().time(), left)
            claimed = await self._claim(allowed, 0) if allowed else claimed
        if claimed.depth:
            return _STEP if left else 0
        poll = self._pause()
        until_next = (claimed.next_due - store.now()) / 1000 if claimed.next_due else poll
        return min(max(until_next, 0.001), poll)

    def _pause(self) -> float:
        return self._poll * (1 - self._jitter() / 4)

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

    async def _claim(self, batch: int, since: int) -> Claimed:
        setup = self._setup
        claimed = await setup.store.claim(setup.pace.lease, batch, since)
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
