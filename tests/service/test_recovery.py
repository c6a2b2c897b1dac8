"""What is not lost: sends of a process that died, outcomes while the store is away, leases at a shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from channels.contract import ErrorClass, Message, Receipt, SendError
from gateway.core.machine import Pace
from gateway.core.model import AttemptStatus, Verification
from gateway.service.requests import Denied, Overloaded
from gateway.store.steps import Unavailable
from gateway.store.valkey import Store
from tests.support.world import EMAIL, PHONE, World

Worlds = Callable[..., World]
Twin = Callable[[World], World]


class Away(Store):
    """A store that does not answer commits for a while: it never got them, or it did and its answer was lost."""

    def __init__(self, world: World, times: int, *, lost_answer: bool) -> None:
        super().__init__(world.calls, prefix=world.prefix, clock=world.clock)
        self.times = times
        self.lost_answer = lost_answer

    async def _run(self, name: str, keys: Any, args: dict[str, object]) -> list[Any]:
        away = name == "commit" and self.times > 0
        if away:
            self.times -= 1
        if not away or self.lost_answer:
            reply = await super()._run(name, keys, args)
        if away:
            raise Unavailable("commit: TimeoutError")
        return reply


def _never() -> Any:
    async def hang(_message: Message) -> Receipt:
        await asyncio.Event().wait()
        return Receipt()

    return hang


def _statuses(v: Verification) -> list[tuple[str, str]]:
    return [(a.provider, str(a.status)) for a in v.attempts]


async def test_another_process_sends_what_a_lost_one_did_not(world: World, twin: Twin) -> None:
    world.one.scripts = [_never()]
    v = (await world.begin()).verification
    other = twin(world)
    await other.after(14.9)
    assert other.sent == []
    await other.after(0.2)
    assert [m.reference for m in other.sent] == [f"{v.id}.1"]
    assert other.sent[0].code == world.code(v)
    assert _statuses(await other.verifications.read("shop", v.id)) == [("one", "sent")]
    await other.after(31)
    assert [m.channel for m in other.sent] == ["sms", "voice"]
    assert (await other.check(v, world.code(v))).verdict == "approved"


async def test_a_process_that_wakes_up_late_changes_nothing_that_was_decided_meanwhile(
    world: World, twin: Twin
) -> None:
    gate = asyncio.Event()

    async def slow(_message: Message) -> Receipt:
        await gate.wait()
        return Receipt("late")

    world.one.scripts = [slow]
    v = (await world.begin()).verification
    other = twin(world)
    await other.after(15.1)
    await other.after(31)
    gate.set()
    await world.settle()
    assert _statuses(await world.verifications.read("shop", v.id)) == [("one", "silent"), ("one", "sent")]
    assert [m.channel for m in other.sent] == ["sms", "voice"]


async def test_two_processes_that_look_at_once_send_one_message(world: World, twin: Twin) -> None:
    await world.start()
    other = twin(world)
    world.clock.forward(31)
    await asyncio.gather(world.worker.tick(), other.worker.tick())
    await world.settle()
    await other.settle()
    assert len(world.sent) + len(other.sent) == 2


async def test_a_backlog_sends_one_message_for_each_verification(world: World, twin: Twin) -> None:
    """All workers were away for five minutes: every wait of the policy has passed, and one step follows, not three."""
    for number in range(20):
        await world.start(phone=f"+141555501{number:02d}", email=EMAIL)
    other = twin(world)
    await other.after(300)
    assert len(other.sent) == 20
    await other.worker.tick()
    await other.settle()
    assert len(other.sent) == 20


async def test_a_drain_gives_leases_back_and_the_next_process_sends_at_once(world: World, twin: Twin) -> None:
    world.one.scripts = [_never()]
    v = (await world.begin()).verification
    await asyncio.sleep(0.005)
    assert await world.engine.drain(0.005) == 1
    other = twin(world)
    await other.after(0)
    assert [m.reference for m in other.sent] == [f"{v.id}.1"]


async def test_a_drain_waits_for_what_ends_in_time(world: World) -> None:
    async def quick(_message: Message) -> Receipt:
        await asyncio.sleep(0.002)
        return Receipt("done")

    world.one.scripts = [quick]
    v = (await world.begin()).verification
    assert await world.engine.drain(5) == 0
    assert (await world.verifications.read("shop", v.id)).current.message_id == "done"


async def test_a_drain_while_the_store_is_away_ends_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_verifications: object) -> None:
        raise Unavailable("release: ConnectionError")

    world.one.scripts = [_never()]
    await world.begin()
    await asyncio.sleep(0.005)
    monkeypatch.setattr(world.store, "release", away)
    assert await world.engine.drain(0.005) == 1
    assert world.logged[-1]["event"] == "store.failed"


@pytest.mark.parametrize("lost_answer", [False, True])
async def test_an_outcome_is_written_when_the_store_is_back_and_nothing_is_sent_twice(
    world: World, monkeypatch: pytest.MonkeyPatch, lost_answer: bool
) -> None:
    monkeypatch.setattr("gateway.service.engine._STORE_PAUSE", 0.001)
    world.wire(replace(world.setup, store=Away(world, 7, lost_answer=lost_answer)))
    v = await world.start()
    assert _statuses(v) == [("one", "sent")]
    assert len(world.sent) == 1
    assert world.metric("otp_verifications_total", outcome="started") == 1


@pytest.mark.parametrize("lost_answer", [False, True])
async def test_a_failure_is_written_when_the_store_is_back_and_the_fallback_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, lost_answer: bool
) -> None:
    monkeypatch.setattr("gateway.service.engine._STORE_PAUSE", 0.001)
    world.one.scripts = [SendError(ErrorClass.NO_CHANNEL)]
    world.wire(replace(world.setup, store=Away(world, 3, lost_answer=lost_answer)))
    v = await world.start()
    await world.after(15.1)  # when only the answer was lost, the second message is sent when its lease ends
    assert _statuses(await world.verifications.read("shop", v.id)) == [("one", "failed"), ("one", "sent")]
    assert [m.channel for m in world.sent] == ["sms", "voice"]


async def test_a_store_that_stays_away_loses_the_outcome_and_says_so(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.service.engine._STORE_PAUSE", 0.1)
    world = worlds(pace=Pace(lease=1000))  # half of which is left for a slow machine to begin the send in
    world.wire(replace(world.setup, store=Away(world, 10_000, lost_answer=False)))
    v = await world.start()
    assert v.current.status is AttemptStatus.QUEUED
    assert world.logged[-1]["event"] == "send.unwritten"
    world.wire(replace(world.setup, store=world.store))
    await world.after(1)
    assert _statuses(await world.verifications.read("shop", v.id)) == [("one", "sent")]


async def test_a_store_that_is_away_refuses_a_start_and_no_provider_is_called(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("create: ConnectionError")

    monkeypatch.setattr(world.store, "create", away)
    with pytest.raises(Unavailable):
        await world.begin()
    assert world.sent == []
    assert world.engine.in_flight == 0


async def test_one_verification_that_can_not_be_worked_on_does_not_hold_up_the_others(world: World) -> None:
    bad, good = await world.start(phone=PHONE), await world.start(phone="+14155550124")
    due = world.engine.due

    async def faulty(stored: Any) -> None:
        if stored.verification.id == bad.id:
            raise RuntimeError
        await due(stored)

    world.engine.due = faulty  # type: ignore[method-assign]
    await world.after(31)
    assert [m.reference for m in world.sent][2:] == [f"{good.id}.2"]
    assert [line for line in world.logged if line["event"] == "timer.failed"] == [
        {"verification": bad.id, "fault": "RuntimeError", "event": "timer.failed"}
    ]


async def test_a_timer_without_its_verification_is_counted_and_removed(world: World) -> None:
    v = await world.start()
    await world.client.delete(f"{world.prefix}:{{{world.keys.shard(PHONE)}}}:v:{v.id}")
    await world.after(31)
    assert world.metric("otp_orphans_total") == 1
    assert world.logged[-1] == {"number": 1, "event": "orphan.found"}


async def test_a_timer_that_is_late_is_measured(world: World) -> None:
    await world.start()
    await world.after(32)
    assert world.metric("otp_timer_lateness_seconds_sum") == 2


async def test_the_worker_runs_what_is_due_without_being_told_and_stops_when_told(worlds: Worlds) -> None:
    world = worlds()
    await world.start()
    running = asyncio.create_task(world.worker.run())
    world.clock.forward(31)
    async with asyncio.timeout(5):
        while len(world.sent) < 2:  # noqa: ASYNC110 - another task sends it
            await asyncio.sleep(0.001)
    world.worker.stop()
    async with asyncio.timeout(5):
        await running
    await world.worker.drain(1)


async def test_the_worker_outlives_a_store_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, calls = world.store.claim, []

    async def flaky(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise Unavailable("claim: ConnectionError")
        if len(calls) == 2:
            raise ValueError("a document of another make")
        return await claim(*args)

    monkeypatch.setattr(world.store, "claim", flaky)
    world.worker._poll = 0.001
    running = asyncio.create_task(world.worker.run())
    async with asyncio.timeout(5):
        while len(calls) < 4:  # noqa: ASYNC110 - another task makes them
            await asyncio.sleep(0.001)
    world.worker.stop()
    await running
    assert [line["event"] for line in world.logged] == ["store.failed", "timer.failed"]


async def test_a_process_that_is_full_claims_nothing_more(worlds: Worlds, twin: Twin) -> None:
    world = worlds(most_sends=1)
    world.one.scripts = [_never()]
    await world.begin()
    await world.worker._round()
    assert world.metric("otp_timer_lateness_seconds_count") == 0
    world.clock.forward(16)
    await world.worker._round()
    assert world.metric("otp_timer_lateness_seconds_count") == 0


async def test_while_an_outcome_can_not_be_written_the_same_process_does_not_send_again(world: World) -> None:
    world.wire(replace(world.setup, store=Away(world, 3, lost_answer=False)))
    v = (await world.begin()).verification
    await asyncio.sleep(0)  # the send is out, and its outcome waits for the store
    world.clock.forward(16)
    for _ in range(3):
        await world.worker.tick()
    await world.settle()
    assert [m.reference for m in world.sent] == [f"{v.id}.1"]
    assert _statuses(await world.verifications.read("shop", v.id)) == [("one", "sent")]


async def test_a_process_that_was_stopped_after_its_claim_sends_nothing_after_an_approval(
    world: World, twin: Twin
) -> None:
    world.one.scripts = [_never()]
    v = (await world.begin()).verification
    await asyncio.sleep(0.01)
    code = world.code(v)
    zombie = twin(world)
    zombie.clock.forward(16)
    claimed = await zombie.store.claim(15_000, 10)
    assert (await world.check(v, code)).verdict == "approved"
    await zombie.engine.due(claimed.due[0].stored)
    await zombie.settle()
    assert zombie.sent == []
    assert "lease.lost" in {line["event"] for line in zombie.logged}


async def test_a_lease_that_was_given_back_too_early_starts_no_fallback(world: World) -> None:
    v = await world.start()
    await world.store.release([v.id])
    await world.after(1)
    assert _statuses(await world.verifications.read("shop", v.id)) == [("one", "sent")]
    await world.after(30)
    assert _statuses(await world.verifications.read("shop", v.id)) == [("one", "silent"), ("one", "sent")]


async def test_a_document_that_can_not_be_read_holds_up_nobody_else(world: World) -> None:
    good, bad = await world.start(), await world.start(phone="+14155550124")
    keys = [key async for key in world.client.scan_iter(f"{world.prefix}:*:v:{bad.id}")]
    await world.client.set(keys[0], b"\xc1 of another make", keepttl=True)
    await world.after(31)
    assert _statuses(await world.verifications.read("shop", good.id)) == [("one", "silent"), ("one", "sent")]
    said = [line["verification"] for line in world.logged if line["event"] == "timer.failed"]
    assert said == [bad.id]


async def test_a_full_process_refuses_a_resend_as_it_refuses_a_start(worlds: Worlds) -> None:
    world = worlds(most_sends=1)
    v = await world.start()
    world.one.scripts = [_never()]
    await world.begin(phone="+14155550124")
    await asyncio.sleep(0.01)
    with pytest.raises(Overloaded):
        await world.verifications.resend("shop", v.id, None)


async def test_nothing_is_resent_that_would_come_too_late(world: World) -> None:
    v = await world.start()
    world.clock.forward(541)  # of the ten minutes that the code lives
    with pytest.raises(Denied):
        await world.verifications.resend("shop", v.id, None)


async def test_a_timer_that_the_store_lost_is_found_and_the_fallback_goes_on(world: World) -> None:
    v = await world.start()
    await world.client.zrem(f"{world.prefix}:{{{world.keys.shard(PHONE)}}}:due", v.id)
    await world.after(31)
    assert len(world.sent) == 1, "nothing would ever have happened to it"
    world.worker._sweep = 0
    for _ in range(2_000):  # the server has the keys of other tests too
        await world.worker._sweep_some()
        if world.metric("otp_orphans_total"):
            break
    assert world.metric("otp_orphans_total") == 1
    assert world.logged[-1] == {"verification": v.id, "event": "timer.missing"}
    await world.after(15)
    assert [m.channel for m in world.sent] == ["sms", "voice"]


async def test_a_sweep_outlives_a_store_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("sweep: ConnectionError")

    monkeypatch.setattr(world.store, "sweep", away)
    await world.worker._sweep_some()
    assert world.logged[-1] == {"operation": "sweep", "fault": "sweep: ConnectionError", "event": "store.failed"}


async def test_a_sweep_that_fails_in_any_other_way_does_not_end_the_timers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = []

    async def strange(*_: object) -> None:
        swept.append(world.clock.now)
        if len(swept) == 2:
            world.worker.stop()
        raise ValueError("what no store answers")

    monkeypatch.setattr(world.store, "sweep", strange)
    monkeypatch.setattr(world.worker, "_poll", 0.001)
    monkeypatch.setattr(world.worker, "_sweep", 0)
    await world.worker.run()
    assert len(swept) == 2
    assert {"fault": "ValueError", "event": "timer.failed"} in world.logged


class Stalled(Store):
    """A store whose answers to a commit are read long after they came: the process stood still meanwhile."""

    def __init__(self, world: World) -> None:
        self.passed = 0.0
        super().__init__(world.calls, prefix=world.prefix, clock=world.clock, own=lambda: self.passed)

    async def _run(self, name: str, keys: Any, args: dict[str, object]) -> list[Any]:
        reply = await super()._run(name, keys, args)
        self.passed += 8 if name == "commit" else 0
        return reply


async def test_a_process_that_stood_still_for_half_its_lease_leaves_the_message_to_others(
    world: World, twin: Twin
) -> None:
    v = await world.start()
    world.wire(replace(world.setup, store=Stalled(world)))
    await world.report(v, 1, "failed:no_channel")
    assert [m.channel for m in world.sent] == ["sms"]
    assert "lease.lost" in {line["event"] for line in world.logged}
    other = twin(world)
    await other.after(15.1)
    assert [m.channel for m in other.sent] == ["voice"]
