"""Vendors' callbacks: bound to their attempt, signed, in any order, any number of times."""

from __future__ import annotations

import asyncio

import pytest

from channels.contract import Message, Receipt
from gateway.core.keys import new_id
from gateway.core.model import AttemptStatus
from gateway.service.reports import Unsigned
from gateway.service.requests import NotFound
from tests.support.world import World


async def test_a_report_that_overtakes_its_own_send_is_kept(world: World) -> None:
    gate = asyncio.Event()

    async def slow(_message: Message) -> Receipt:
        await gate.wait()
        return Receipt("SM1")

    world.one.scripts = [slow]
    v = (await world.begin()).verification
    await asyncio.sleep(0.005)
    report = asyncio.create_task(world.report(v, 1, "delivered"))
    await asyncio.sleep(0.005)
    gate.set()
    await report
    await world.settle()
    attempt = (await world.verifications.read("shop", v.id)).current
    assert (attempt.status, attempt.message_id) == (AttemptStatus.DELIVERED, "SM1")
    await world.after(100)
    assert len(world.sent) == 1


async def test_a_failure_that_overtakes_its_own_send_leads_on_once(world: World) -> None:
    gate = asyncio.Event()

    async def slow(_message: Message) -> Receipt:
        await gate.wait()
        return Receipt("SM1")

    world.one.scripts = [slow]
    v = (await world.begin()).verification
    await asyncio.sleep(0.005)
    report = asyncio.create_task(world.report(v, 1, "failed:no_channel"))
    await asyncio.sleep(0.005)
    gate.set()
    await report
    await world.settle()
    assert [m.channel for m in world.sent] == ["sms", "voice"]
    assert (await world.verifications.read("shop", v.id)).attempts[0].message_id == "SM1"


async def test_a_forged_report_is_refused_and_changes_nothing(world: World) -> None:
    v = await world.start()
    with pytest.raises(Unsigned):
        await world.report(v, 1, "failed:no_channel", signature="mine")
    assert (await world.verifications.read("shop", v.id)) == v
    assert world.metric("otp_callbacks_total", provider="one", result="forged") == 1
    assert [line["event"] for line in world.logged][-1] == "callback.forged"


async def test_a_token_of_another_provider_or_of_nobody_is_not_found(world: World) -> None:
    v = await world.start()
    for how in (
        {"provider": "two"},
        {"provider": "nobody"},
        {"token": world.keys.token(new_id(1), 1, "two")},
        {"token": "A" * 46},
    ):
        with pytest.raises(NotFound):
            await world.report(v, 1, "failed:no_channel", **how)
    assert len(world.sent) == 1
    assert world.metric("otp_callbacks_total", result="unknown") == 4


async def test_a_duplicate_changes_nothing(world: World) -> None:
    v = await world.start()
    for _ in range(3):
        await world.report(v, 1, "failed:no_channel")
    assert len(world.sent) == 2
    assert world.metric("otp_callbacks_total", result="accepted") == 1
    assert world.metric("otp_callbacks_total", result="duplicate") == 2


async def test_fifty_failed_reports_at_once_send_one_message(world: World) -> None:
    v = await world.start()
    await asyncio.gather(*(world.report(v, 1, "failed:no_channel") for _ in range(50)))
    assert [m.channel for m in world.sent] == ["sms", "voice"]


async def test_a_report_on_what_is_long_gone_is_late_and_no_error(world: World) -> None:
    v = await world.start()
    await world.client.delete(f"{world.prefix}:{{{world.keys.shard('+14155550123')}}}:v:{v.id}")
    answer = await world.report(v, 1, "delivered")
    assert answer.status == 204
    assert world.metric("otp_callbacks_total", result="late") == 1


async def test_a_report_on_an_attempt_that_is_not_there_is_late(world: World) -> None:
    v = await world.start()
    await world.report(v, 1, "failed:no_channel", token=world.keys.token(v.id, 9, "one"))
    assert world.metric("otp_callbacks_total", result="late") == 1
    assert len(world.sent) == 1


async def test_a_late_report_after_the_end_is_written_down(world: World) -> None:
    v = await world.start()
    await world.check(v, world.code(v))
    await world.report(v, 1, "delivered")
    assert (await world.verifications.read("shop", v.id)).current.status is AttemptStatus.DELIVERED


async def test_a_call_is_told_its_code_while_it_is_worth_something(world: World) -> None:
    v = await world.start(channels=("voice",))
    answer = await world.report(v, 1, "answer", query=(("answer", "1"),))
    assert " ".join(world.code(v)).encode()[:1] in answer.body
    assert answer.body != b"hang up"
    await world.check(v, world.code(v))
    assert (await world.report(v, 1, "answer", query=(("answer", "1"),))).body == b"hang up"


async def test_a_status_callback_never_hears_the_code(world: World) -> None:
    v = await world.start(channels=("voice",))
    assert (await world.report(v, 1, "answer")).body == b""
