"""People who start and check without pause while the store fails over, and what became of what they were told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from gateway.core.model import Status
from gateway.store.link import Calls
from gateway.store.steps import Creation, Unavailable, Unknown
from gateway.store.valkey import Store
from tests.store.drafts import creation, guess

WITHIN = 2.0
"""Seconds in which everybody is answered."""


class Traffic:
    """Starts and right checks without pause, and what was acknowledged of them."""

    def __init__(self, store: Store, begun: Callable[[Store], Creation] = lambda _store: creation()) -> None:
        self.store = store
        self.begun = begun
        self.answers: Counter[str] = Counter()
        self.slowest = 0.0
        self.started: dict[str, float] = {}
        self.approved: dict[str, float] = {}

    async def person(self, until: Callable[[], bool]) -> None:
        while not until():
            made = self.begun(self.store)
            if await self._timed(self.store.create(made)):
                self.started[made.id] = time.monotonic()
                tried = await self._timed(self.store.check(guess(made)))
                if tried and tried.confirmed and tried.verdict == "approved":  # type: ignore[attr-defined]
                    self.approved[made.id] = time.monotonic()
            await asyncio.sleep(0.002)

    async def _timed(self, call: object) -> object:
        began = time.monotonic()
        try:
            answer = await call  # type: ignore[misc]
            self.answers["done"] += 1
        except Unavailable:
            answer = None
            self.answers["unavailable"] += 1
        except Unknown:  # started on a primary that was replaced before it handed it on
            answer = None
            self.answers["lost start"] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        return answer

    async def run(self, fault: Callable[[], object], calls: Calls) -> None:
        """Until a second after the fault is over."""
        done = asyncio.Event()
        people = [asyncio.create_task(self.person(done.is_set)) for _ in range(16)]
        await asyncio.sleep(0.2)
        before = (await calls.ask("INFO", "server")).split(b"run_id:")[1][:40]
        await asyncio.to_thread(fault)
        await self._over(calls, before)
        await asyncio.sleep(0.3)
        done.set()
        await asyncio.gather(*people)

    async def _over(self, calls: Calls, before: bytes) -> None:
        async with asyncio.timeout(30):
            while True:
                try:
                    if before not in await calls.ask("INFO", "server"):
                        return
                except Exception:  # noqa: BLE001, S110 - not yet
                    pass
                await asyncio.sleep(0.05)

    async def lost(self) -> tuple[int, int]:
        """Of what was acknowledged, the starts that are unknown now, and the approvals that do not stand."""
        states = {}
        for id_ in self.started:
            try:
                states[id_] = (await self.store.read(id_))[0].verification.status
            except Unknown:
                states[id_] = None  # type: ignore[assignment]
        starts = sum(states[id_] is None for id_ in self.started)
        return starts, sum(states[id_] is not Status.APPROVED for id_ in self.approved)

    async def told(self) -> tuple[str, int]:
        """The classification in words, and how many approvals that were told do not stand."""
        starts, approvals = await self.lost()
        answers = f"{dict(self.answers)}, slowest {self.slowest:.2f} s"
        return f"{answers}, {starts} of {len(self.started)} starts lost, {approvals} approvals", approvals
