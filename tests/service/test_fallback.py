"""Fallback from end to end, in virtual time: refusals, reports, silence, resends, limits and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from channels.contract import Cost, ErrorClass, Message, Receipt, SendError
from gateway.core.model import Status, Verification
from gateway.service.requests import Denied, Limited, NotPending
from tests.service.inventory import strays
from tests.support.world import EMAIL, PHONE, POLICY, World

BOTH = {"phone": PHONE, "email": EMAIL}
Worlds = Callable[..., World]


def ways(v: Verification) -> list[tuple[str, str, str]]:
    return [(a.channel, a.provider, str(a.status)) for a in v.attempts]


async def now_of(world: World, v: Verification) -> Verification:
    return await world.verifications.read("shop", v.id)


def logged(world: World, event: str) -> list[dict[str, Any]]:
    return [line for line in world.logged if line["event"] == event]


async def test_a_person_gets_the_code_types_it_and_is_approved(world: World) -> None:
    v = await world.start()
    world.clock.forward(12)
    checked = await world.check(v, world.code(v))
    assert (checked.verdict, checked.checks_left) == ("approved", 0)
    assert [m.channel for m in world.sent] == ["sms"]
    assert world.sent[0].to == PHONE
    assert world.metric("otp_verifications_total", outcome="started", app="shop") == 1
    assert world.metric("otp_verifications_total", outcome="approved", app="shop") == 1
    assert world.metric("otp_country_verifications_total", outcome="approved", country="US") == 1
    assert world.metric("otp_verify_seconds_sum", channel="sms") == 12
    assert [line["event"] for line in world.logged] == [
        "verification.started",
        "attempt.sent",
        "verification.approved",
    ]


async def test_a_fault_of_the_provider_goes_to_the_next_provider_of_the_channel(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.PROVIDER_DOWN, "503")]
    v = await world.start()
    assert ways(v) == [("sms", "one", "failed"), ("sms", "two", "sent")]
    assert world.metric("otp_fallbacks_total", from_channel="sms", to_channel="sms", reason="failed") == 1
    assert world.metric("otp_attempt_errors_total", provider="one", error_class="provider_down") == 1
    failed = logged(world, "attempt.failed")[0]
    assert (failed["error_class"], failed["vendor_code"]) == ("provider_down", "503")


async def test_when_all_providers_of_a_channel_fail_the_next_channel_follows(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.THROTTLED)]
    world.two.scripts = [SendError(ErrorClass.PROVIDER_ACCOUNT)]
    v = await world.start()
    assert ways(v) == [("sms", "one", "failed"), ("sms", "two", "failed"), ("voice", "one", "sent")]


async def test_a_channel_that_can_not_reach_the_number_is_left_at_once(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.NO_CHANNEL)]
    assert ways(await world.start()) == [("sms", "one", "failed"), ("voice", "one", "sent")]


async def test_a_number_that_does_not_exist_leads_to_the_email_address(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.BAD_DESTINATION)]
    v = await world.start(**BOTH)
    assert ways(v) == [("sms", "one", "failed"), ("email", "one", "sent")]
    assert world.sent[-1].to == EMAIL


async def test_fraud_ends_the_fallback_and_no_resend_revives_it(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.FRAUD, "30453")]
    v = await world.start(**BOTH)
    assert v.exhausted
    assert v.pending
    with pytest.raises(Denied, match="fallback: no_channel"):
        await world.verifications.resend("shop", v.id, None)
    await world.after(300)
    assert len(world.sent) == 1
    assert logged(world, "fallback.exhausted")[0]["reason"] == "fraud"


async def test_silence_leads_on_and_the_code_stays_the_same(world: World) -> None:
    v = await world.start(**BOTH)
    await world.after(29.9)
    assert len(world.sent) == 1
    await world.after(0.2)
    await world.after(46)
    assert [m.channel for m in world.sent] == ["sms", "voice", "email"]
    assert len({m.code for m in world.sent}) == 1
    assert [m.reference for m in world.sent] == [f"{v.id}.{n}" for n in (1, 2, 3)]
    await world.after(61)
    v = await now_of(world, v)
    assert (v.exhausted, v.pending) == (True, True)
    assert (await world.check(v, world.code(v))).verdict == "approved"
    assert world.metric("otp_fallbacks_total", reason="silent") == 2


async def test_a_failed_report_leads_on_at_once(world: World) -> None:
    v = await world.start()
    await world.report(v, 1, "failed:no_channel")
    assert ways(await now_of(world, v)) == [("sms", "one", "failed"), ("voice", "one", "sent")]
    assert world.metric("otp_callbacks_total", result="accepted") == 1


async def test_a_delivered_message_is_waited_for_until_it_expires(world: World) -> None:
    v = await world.start()
    world.clock.forward(3)
    await world.report(v, 1, "delivered")
    await world.after(400)
    assert len(world.sent) == 1
    assert world.metric("otp_delivery_seconds_sum", provider="one", channel="sms") == 3
    await world.after(200)
    assert (await now_of(world, v)).status is Status.EXPIRED


async def test_progress_is_no_news(world: World) -> None:
    v = await world.start()
    await world.report(v, 1, "progress")
    await world.after(31)
    assert len(world.sent) == 2


async def test_a_resend_sends_the_next_step_at_once_with_the_same_code(world: World) -> None:
    v = await world.start()
    v = await world.verifications.resend("shop", v.id, None)
    await world.settle()
    assert ways(await now_of(world, v)) == [("sms", "one", "silent"), ("voice", "one", "sent")]
    assert len({m.code for m in world.sent}) == 1
    assert world.metric("otp_fallbacks_total", reason="resend") == 1
    v = await world.verifications.resend("shop", v.id, "sms")
    await world.settle()
    assert ways(await now_of(world, v))[-1] == ("sms", "two", "sent")


async def test_a_resend_may_name_only_a_channel_of_the_policy(world: World) -> None:
    v = await world.start()
    for channel in ("whatsapp", "email", "pigeon"):
        with pytest.raises(Denied, match="channels: no_channel"):
            await world.verifications.resend("shop", v.id, channel)


async def test_a_resend_with_a_new_code_makes_the_old_one_worthless(worlds: Worlds) -> None:
    code = {"cooldown": "0s", "resend": "new", "length": 10}  # long, so that two are never the same by chance
    world = worlds(policies={"default": {**POLICY, "code": code}})
    v = await world.start()
    old = world.code(v)
    await world.verifications.resend("shop", v.id, None)
    await world.settle()
    new = world.sent[-1].code
    assert old != new
    assert (await world.check(v, old)).verdict == "wrong"
    assert (await world.check(v, new)).verdict == "approved"


async def test_a_new_code_is_what_the_fallback_of_an_older_send_carries(worlds: Worlds) -> None:
    """A resend makes a new code while the first message is still under way; that one fails later on."""
    code = {"cooldown": "0s", "resend": "new", "length": 10}
    world = worlds(policies={"default": {**POLICY, "code": code}})
    gate = asyncio.Event()
    world.one.scripts = [_after(gate, SendError(ErrorClass.TEMPORARY)), SendError(ErrorClass.NO_CHANNEL)]
    begun = await world.begin(**BOTH)
    await asyncio.sleep(0.005)
    await world.verifications.resend("shop", begun.verification.id, None)
    gate.set()
    await world.settle()
    assert [m.channel for m in world.sent] == ["sms", "voice", "email"]
    assert world.sent[0].code != world.sent[1].code == world.sent[2].code


async def test_a_resend_waits_out_its_cooldown(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "code": {"cooldown": "30s"}}})
    v = await world.start()
    world.clock.forward(10)
    with pytest.raises(Limited) as caught:
        await world.verifications.resend("shop", v.id, None)
    assert (caught.value.limit, caught.value.wait) == ("cooldown", 20_000)
    with pytest.raises(Limited) as caught:
        await world.begin()
    assert (caught.value.limit, caught.value.wait) == ("cooldown", 20_000)
    world.clock.forward(20)
    await world.verifications.resend("shop", v.id, None)
    assert world.metric("otp_limit_decisions_total", decision="refused") == 2


async def test_a_limit_that_refuses_a_fallback_ends_it_and_is_named(worlds: Worlds) -> None:
    limits = {**POLICY["limits"], "destination-10m": {"amount": 1}}
    world = worlds(policies={"default": {**POLICY, "limits": limits}})
    v = await world.start()
    await world.after(31)
    v = await now_of(world, v)
    assert (ways(v), v.exhausted, v.pending) == ([("sms", "one", "silent")], True, True)
    assert logged(world, "fallback.exhausted")[0]["reason"] == "limit:destination-10m"
    assert logged(world, "limit.refused")[0]["limit"] == "destination-10m"
    assert world.metric("otp_limit_decisions_total", decision="refused") == 1
    journal = await world.verifications.events("shop", v.id)
    assert journal[-1] == {"at": v.attempts[0].at, "event": "exhausted", "reason": "limit:destination-10m"}
    with pytest.raises(Limited) as caught:
        await world.verifications.resend("shop", v.id, None)
    assert caught.value.limit == "destination-10m"


async def test_fallback_messages_use_up_the_limit_on_sends_and_not_that_on_starts(worlds: Worlds) -> None:
    limits = {**POLICY["limits"], "destination-10m": {"amount": 3}}
    limits["destination-anyone-hour"] = {"amount": 2, "counts": "starts"}
    world = worlds(policies={"default": {**POLICY, "limits": limits}})
    await world.start()
    await world.after(31)
    assert len(world.sent) == 2
    await world.start()
    with pytest.raises(Limited) as caught:
        await world.begin()
    assert caught.value.limit in ("destination-10m", "destination-anyone-hour")
    assert len(world.sent) == 3


async def test_the_caller_narrows_and_orders_the_channels(world: World) -> None:
    v = await world.start(**BOTH, channels=("email", "sms"))
    await world.after(61)
    assert [s.channel for s in v.steps] == ["email", "sms"]
    assert [m.channel for m in world.sent] == ["email", "sms"]


async def test_no_message_goes_out_in_the_last_minute(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "code": {"cooldown": "0s", "expiry": "85s"}}})
    v = await world.start()
    await world.after(31)
    assert len(world.sent) == 1
    assert logged(world, "fallback.exhausted")[0]["reason"] == "too_late"
    assert (await world.check(v, world.code(v))).verdict == "approved"


def _after(gate: asyncio.Event, result: Receipt | SendError) -> Any:
    async def script(_message: Message) -> Receipt:
        await gate.wait()
        if isinstance(result, SendError):
            raise result
        return result

    return script


@pytest.mark.parametrize("result", [Receipt("late"), SendError(ErrorClass.PROVIDER_DOWN)])
async def test_nothing_is_sent_after_success_when_a_send_is_still_under_way(
    world: World, result: Receipt | SendError
) -> None:
    gate = asyncio.Event()
    world.one.scripts = [_after(gate, result)]
    v = (await world.begin(**BOTH)).verification
    await asyncio.sleep(0.005)
    assert (await world.check(v, world.code(v))).verdict == "approved"
    gate.set()
    await world.settle()
    await world.after(400)
    assert len(world.sent) == 1
    assert (await now_of(world, v)).status is Status.APPROVED


async def test_nothing_is_sent_after_success_when_the_timer_was_claimed_already(world: World) -> None:
    v = await world.start(**BOTH)
    world.clock.forward(31)
    claimed = await world.store.claim(15_000, 10)
    assert (await world.check(v, world.code(v))).verdict == "approved"
    await world.engine.due(claimed.due[0].stored)
    await world.settle()
    assert len(world.sent) == 1
    assert world.metric("otp_lease_lost_total") == 1
    assert logged(world, "lease.lost")[0]["verification"] == v.id


async def test_a_failed_report_that_comes_with_the_timer_sends_one_message(world: World) -> None:
    """The timer is claimed, then the report is first to commit and is sending: the timer must not send as well."""
    gate = asyncio.Event()
    v = await world.start(**BOTH)
    world.one.scripts = [_after(gate, Receipt("second"))]
    world.clock.forward(31)
    claimed = await world.store.claim(15_000, 10)
    report = asyncio.create_task(world.report(v, 1, "failed:no_channel"))
    while len(world.sent) < 2:  # noqa: ASYNC110 - the carrier remembers it before it waits at the gate
        await asyncio.sleep(0)
    await world.engine.due(claimed.due[0].stored)
    gate.set()
    await report
    await world.settle()
    assert [m.reference[-1] for m in world.sent] == ["1", "2"]


@pytest.mark.parametrize("end", ["approved", "locked", "canceled", "expired"])
async def test_every_end_sends_nothing_more_and_tells_why(world: World, end: str) -> None:
    v = await world.start(**BOTH)
    await _bring_to(world, v, end)
    sent = len(world.sent)
    await world.report(v, 1, "failed:temporary")
    await world.after(500)
    assert len(world.sent) == sent
    assert (await now_of(world, v)).status == end
    with pytest.raises(NotPending):
        await world.verifications.resend("shop", v.id, None)
    with pytest.raises(NotPending):
        await world.verifications.cancel("shop", v.id)
    verdict = "spent" if end == "approved" else end
    assert (await world.check(v, world.code(v))).verdict == verdict
    assert world.metric("otp_verifications_total", outcome=end) == 1
    assert len(logged(world, f"verification.{end}")) == 1


async def _bring_to(world: World, v: Verification, end: str) -> None:
    code, wrong = world.code(v), world.wrong(v)
    match end:
        case "approved":
            await world.check(v, code)
        case "locked":
            assert [(await world.check(v, wrong)).verdict for _ in range(5)] == ["wrong"] * 4 + ["locked"]
        case "canceled":
            assert (await world.verifications.cancel("shop", v.id)).status is Status.CANCELED
        case _:
            await world.after(601)


async def test_a_price_is_counted_once_the_provider_tells_it(world: World) -> None:
    world.one.scripts = [Receipt("SM1", Cost(7_500, "USD"))]
    await world.start()
    assert world.metric("otp_cost_micros_total", provider="one", currency="USD") == 7_500


async def test_a_provider_that_raises_what_it_should_not_strands_nobody(world: World) -> None:
    world.one.scripts = [KeyError("+14155550123")]
    v = await world.start()
    assert ways(v) == [("sms", "one", "failed"), ("sms", "two", "sent")]
    assert logged(world, "provider.fault") == [{"provider": "one", "fault": "KeyError", "event": "provider.fault"}]


async def test_the_journal_tells_why_each_thing_happened(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.NO_CHANNEL, "21614")]
    v = await world.start()
    await world.check(v, world.wrong(v))
    await world.check(v, world.code(v))
    told = await world.verifications.events("shop", v.id)
    assert [e["event"] for e in told] == [
        "created",
        "queued",
        "failed",
        "fell_back",
        "queued",
        "sent",
        "wrong",
        "approved",
    ]
    assert told[2] | {"at": 0} == {
        "at": 0,
        "event": "failed",
        "attempt": 1,
        "reason": "no_channel",
        "vendor_code": "21614",
    }
    assert told[3]["reason"] == "no_channel"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([{"event": "check.wrong", "app": "shop", "checks_left": 4}], []),
        ([{"event": "check.odd"}], ["check.odd: not in the inventory"]),
        ([{"event": "check.wrong", "code": "482913"}], ["check.wrong: has no field code"]),
    ],
)
def test_a_line_outside_the_inventory_is_noticed(lines: Sequence[dict[str, Any]], found: list[str]) -> None:
    assert strays(lines) == found
