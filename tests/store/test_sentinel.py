"""Behind Sentinels: the primary is found and followed, and a failover costs patience, never a told approval."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.model import Status
from gateway.store.link import Calls
from gateway.store.steps import Unavailable, Unknown
from gateway.store.topology import members, reach
from gateway.store.valkey import Store
from gateway.store.waiting import Replicas
from gateway.store.wire import Away
from tests.store.drafts import creation, guess
from tests.support.trio import Trio, trio

WITHIN = 2.0
"""Seconds in which everybody is answered."""


def test_hosts_have_the_usual_port_unless_they_name_another() -> None:
    assert members("one,two:5000,[::1]:6000,[fe80::1]", 26379) == [
        ("one", 26379),
        ("two", 5000),
        ("::1", 6000),
        ("fe80::1", 26379),
    ]


async def test_a_primary_is_found_when_a_sentinel_is_away(watched: Trio) -> None:
    hosts = ",".join(f"127.0.0.1:{port}" for port in (1, watched.sentinels[0].port, watched.sentinels[2].port))
    calls = reach(f"redis+sentinel://{hosts}/otp/0")
    assert (await calls.ask("ROLE"))[0] == b"master"
    await calls.close()


async def test_a_group_that_nobody_watches_is_told(watched: Trio) -> None:
    calls = reach(watched.url.replace("/otp/", "/other/"), timeout=0.3)
    with pytest.raises(Away, match=r"^not connected \(no Sentinel names a primary\)$"):
        await calls.ask("PING")
    await calls.close()


class Traffic:
    """Starts and right checks without pause, and what was acknowledged of them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.answers: Counter[str] = Counter()
        self.slowest = 0.0
        self.started: dict[str, float] = {}
        self.approved: dict[str, float] = {}

    async def person(self, until: Callable[[], bool]) -> None:
        while not until():
            made = creation()
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


FAULTS: dict[str, tuple[Callable[[Trio], None], int]] = {
    # what happens, and how many replicas an approval waits for
    "killed": (lambda group: group.primary().kill(), 1),
    "frozen": (lambda group: group.primary().freeze(), 1),
    "switched in order": (lambda group: group.switch("COORDINATED"), 1),
    "switched by force": (lambda group: group.switch(), 2),  # the old one goes on for a while, with the other replica
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_in_a_failover_everybody_is_answered_in_time_and_no_told_approval_is_lost(
    fault: str, tmp_path: Path
) -> None:
    happens, number = FAULTS[fault]
    with trio(tmp_path / "t") as group:
        calls = reach(group.url)
        store = Store(calls, replicas=Replicas(reach(group.url), number, 500))
        traffic = Traffic(store)
        await traffic.run(lambda: happens(group), calls)
        starts, approvals = await traffic.lost()
        await store.close()
    told = f"{dict(traffic.answers)}, slowest {traffic.slowest:.2f} s, {starts} of {len(traffic.started)} starts lost"
    print(f"{fault}: {told}")  # noqa: T201 - the classification, for whoever runs it with -s
    assert traffic.slowest < WITHIN, told
    assert approvals == 0, told
    assert len(traffic.approved) > 50, told
