"""All workers were away for five minutes: what is overdue is taken up at a pace, one message for each verification, and
what falls due meanwhile is in time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.service.requests import Start
from gateway.worker import Recovery, Worker
from policies.engine import Policy
from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import CARRIERS, plan, policy
from tests.simulation.process import Process
from tests.simulation.run import lab
from tests.simulation.vendor import Vendor
from tests.simulation.world import Lab, World
from tests.support.world import compile_policies

OLD, NEW, RATE, WAIT = 400, 30, 50, 3_000
"""Verifications from before the outage and after it, overdue timers a second, and ms that a step waits."""


def patient() -> Policy:
    said = {
        **policy(0),
        "code": {"expiry": "10m", "cooldown": "0s"},
        "limits": {},
        "spend": {"caps": {}},
        "fallback": [{"channel": channel, "wait": f"{WAIT}ms"} for channel in ("sms", "voice", "sms")],
    }
    return compile_policies({"default": said}, dict.fromkeys(("sms", "voice"), CARRIERS))["default"]


class Outage(World):
    """The only process stops working and another comes five minutes later, in which people start at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.policy = patient()
        self.back = 0  # when, in ms
        self.old: set[str] = set()
        self.new: set[str] = set()
        self._phones = itertools.count(1_000)

    async def _story(self) -> None:
        first = self._working()
        self.old = {await self._begin(first) for _ in range(OLD)}
        await asyncio.sleep(1)
        first.worker.stop()
        await asyncio.sleep(300)
        self.back = self._ms()
        second = self._working()
        for _ in range(NEW):
            self.new.add(await self._begin(second))
            await asyncio.sleep(0.1)
        await asyncio.sleep(2 * OLD / RATE)
        self.keep()

    def _working(self) -> Process:
        self._start()
        self.processes[-1].worker._recovery = Recovery(RATE)
        return self.processes[-1]

    async def _begin(self, process: Process) -> str:
        return (await process.verifications.start(Start("shop", f"+1415555{next(self._phones)}"))).verification.id

    def sends(self, those: set[str]) -> dict[str, list[int]]:
        """When each of them was sent a message since, in ms."""
        found: dict[str, list[int]] = {id_: [] for id_ in those}
        for event in self.history.of("send"):
            id_ = event.ref.rpartition(".")[0]
            if id_ in those and event.at >= self.back:
                found[id_].append(event.at)
        return found

    def busiest(self) -> int:
        """The most of the old that were taken up in one second."""
        taken = sorted(times[0] for times in self.sends(self.old).values())
        return max(sum(at <= other < at + 1_000 for other in taken) for at in taken)

    def latest(self) -> int:
        """The most, in ms, by which a fallback of the new began late."""
        return max(times[1] - times[0] - WAIT for times in self.sends(self.new).values())


@pytest.fixture(scope="module")
def own() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def _answered(_vendor: Vendor, _message: object) -> None:
        """At once."""

    async def _reported(*_: object) -> None:
        """Never."""

    monkeypatch.setattr(Vendor, "_answered", _answered)
    monkeypatch.setattr("tests.simulation.vendor.report_all", _reported)


def outage(own: Lab) -> Outage:
    world = Outage(replace(plan(0, only=()), poll=0.2), own, MUTANTS["none"])
    assert world.run().faults == []
    return world


def test_each_gets_one_message_at_a_pace_and_who_came_since_waits_for_none_of_them(own: Lab) -> None:
    world = outage(own)
    assert RATE * 0.8 < world.busiest() <= RATE * 1.2
    assert world.latest() <= 100
    times = world.sends(world.old).values()
    assert all(len(sent) in (1, 2) for sent in times), "of three steps one has had its time, and two are left at most"
    assert all(after - before >= WAIT for sent in times for before, after in itertools.pairwise(sent))


def test_without_a_pace_all_of_them_come_at_once(own: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovery, "allowed", lambda self, now, most: most)
    assert outage(own).busiest() > RATE * 1.2


def test_with_the_oldest_first_who_came_since_waits_for_all_of_them(own: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def _oldest_first(self: Worker, room: int) -> float:
        allowed = self._recovery.allowed(asyncio.get_running_loop().time(), room)
        if allowed:
            await self._claim(allowed, 0)
        return 0.05

    monkeypatch.setattr(Worker, "_take", _oldest_first)
    assert outage(own).latest() > 1_000


def test_a_worker_alone_looks_a_little_sooner_than_the_poll_says(own: Lab) -> None:
    """Never later, and no two at the same time for ever."""
    looks: list[float] = []

    class Idle(World):
        async def _story(self) -> None:
            self._start()
            self.processes[0].worker._jitter = lambda: next(drawn)
            claim: Any = self.processes[0].store.claim

            async def claimed(*args: Any) -> Any:
                looks.append(self.loop.time())
                return await claim(*args)

            self.processes[0].store.claim = claimed  # type: ignore[method-assign]
            await asyncio.sleep(1)

    drawn = itertools.cycle((0.0, 0.5, 1.0))
    Idle(replace(plan(0, only=()), poll=0.2), own, MUTANTS["none"]).run()
    assert [round(b - a, 3) for a, b in itertools.pairwise(looks)][:3] == [0.2, 0.175, 0.15]
