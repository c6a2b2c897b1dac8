"""Opt-outs: whom they hold for and how long, what they keep from being sent, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from channels.contract import Channel, InboundText, Message, Receipt
from gateway.service.requests import Denied, Destinations, InvalidField, understood
from tests.service.conftest import Worlds
from tests.service.optouts import OPTED_OUT, TO, ears, events, policies, sent, standing, write
from tests.support.canary import Canary, found
from tests.support.world import EMAIL, PHONE, POLICY, World

DAY = 86_400_000


# --- whom it holds for, and how long ---


async def test_an_opt_out_is_of_one_app_and_one_destination(world: World) -> None:
    await world.suppressions.add("shop", TO, ["sms"])
    assert (await world.start(app="bank")).current.channel == "sms"
    assert (await world.start(phone="+14155550124")).current.channel == "sms"
    assert (await world.start()).current.channel == "voice"


async def test_a_number_and_an_address_are_looked_up_each_in_its_own_record(world: World) -> None:
    await world.suppressions.add("shop", understood(PHONE, EMAIL), ["voice", "email"], "complaint")
    both = await world.suppressions.search("shop", understood(PHONE, EMAIL))
    assert [(entry.channel, entry.reason) for entry in both.entries] == [("voice", "complaint"), ("email", "complaint")]
    assert (both.phone, both.email) == ("+1415*****23", "a**@example.org")
    v = await world.start(phone=PHONE, email=EMAIL)
    assert [step.channel for step in v.steps] == ["sms"]
    with pytest.raises(Denied):
        await world.begin(email="Ana+shop@EXAMPLE.org")  # one mailbox, however it is written


async def test_with_no_channel_named_all_that_reach_the_destination_are_meant(world: World) -> None:
    await world.suppressions.add("shop", TO)
    assert await standing(world) == dict.fromkeys(set(Channel) - {Channel.EMAIL}, "app")
    assert [entry.channel for entry in (await world.suppressions.lift("shop", TO, ["sms"])).entries] != []
    assert "sms" not in await standing(world)
    assert (await world.suppressions.lift("shop", TO)).entries == ()
    assert (await world.suppressions.lift("shop", TO)).entries == (), "again, and nothing happens"
    assert world.metric("otp_suppressions_total", action="lifted") == 1 + 4


@pytest.mark.parametrize(("to", "channel"), [(TO, "email"), (understood(None, EMAIL), "sms")])
async def test_a_channel_that_reaches_none_of_the_addresses_is_a_mistake(
    world: World, to: Destinations, channel: str
) -> None:
    for call in (world.suppressions.add, world.suppressions.lift):
        with pytest.raises(InvalidField, match="/channels: "):
            await call("shop", to, [channel])


async def test_an_opt_out_ends_when_the_policies_say_so_and_the_longest_of_an_app_counts(worlds: Worlds) -> None:
    short, long = {**POLICY, "suppression": {"expiry": "1h"}}, {**POLICY, "suppression": {"expiry": "2d"}}
    world = worlds(policies={"default": short, "long": long})
    for app in ("shop", "bank"):
        world.one.scripts = [OPTED_OUT]
        await world.start(app=app)
    assert await _life(world, "shop") == 2 * DAY
    assert await _life(world, "bank") == DAY / 24
    world.clock.forward(3_601)
    assert (await world.start(app="bank")).current.channel == "sms"
    assert (await world.start()).current.channel == "voice"


async def _life(world: World, app: str) -> float | None:
    (entry,) = (await world.suppressions.search(app, TO)).entries
    return entry.until and entry.until - entry.since


# --- what it keeps from being sent ---


async def test_with_no_other_channel_left_a_start_is_refused_and_spends_nothing(worlds: Worlds) -> None:
    limits = {**POLICY["limits"], "destination-day": {"amount": 1}}
    world = worlds(policies=policies(limits=limits))
    await world.suppressions.add("shop", TO)
    for _ in range(3):
        with pytest.raises(Denied) as denied:
            await world.begin(idempotency_key="k", body=b"b")
        assert (denied.value.code, denied.value.rule) == ("opted_out", "suppression")
    assert world.sent == []
    assert world.metric("otp_refusals_total", rule="suppression") == 3
    (refused, *_) = events(world, "verification.refused")
    assert refused["problem"] == "opted_out"
    assert "suppression: opted out of sms, voice" in refused["notes"]
    await world.suppressions.lift("shop", TO)
    assert (await world.start(idempotency_key="k", body=b"b")).current.channel == "sms"


async def test_a_channel_that_the_person_chose_is_not_replaced(world: World) -> None:
    await world.suppressions.add("shop", TO, ["sms"])
    with pytest.raises(Denied) as denied:
        await world.begin(channels=("sms",))
    assert denied.value.code == "opted_out"


async def test_a_policy_that_refuses_ends_the_cascade_at_the_vendors_word_and_refuses_the_next(worlds: Worlds) -> None:
    world = worlds(policies=policies(suppression={"opted_out": "refuse"}))
    world.one.scripts = [OPTED_OUT]
    v = await world.start()
    assert (sent(world), v.exhausted) == (["sms"], True)
    with pytest.raises(Denied):
        await world.verifications.resend("shop", v.id, "voice")
    with pytest.raises(Denied) as denied:
        await world.begin()
    assert denied.value.code == "opted_out"


async def test_a_stop_during_a_verification_keeps_its_later_steps_from_that_channel(worlds: Worlds) -> None:
    order = [{"channel": channel, "wait": "30s"} for channel in ("voice", "sms", "email")]
    world = ears(worlds(policies=policies(fallback=order)))
    v = await world.start(phone=PHONE, email=EMAIL)
    await write(world, "STOP")
    await world.after(31)
    assert sent(world) == ["voice", "email"]
    _, skipped, taken = (await world.verifications.read("shop", v.id)).attempts
    assert (skipped.channel, skipped.reason, skipped.vendor_code) == ("sms", "opted_out", "suppressed")
    assert taken.status == "sent"
    assert await standing(world) == {"sms": "reply"}, "a message that was not sent is no vendor's word"


async def test_a_person_who_asks_again_on_a_channel_that_they_left_is_told_so(world: World) -> None:
    v = await world.start(channels=("sms",))
    await world.suppressions.add("shop", TO, ["sms"])
    with pytest.raises(Denied) as denied:
        await world.verifications.resend("shop", v.id, None)
    assert denied.value.code == "opted_out"
    assert sent(world) == ["sms"]
    await world.check(v, world.code(v))  # what was sent is still good


async def test_a_message_that_another_process_may_have_died_over_is_looked_up_again(worlds: Worlds) -> None:
    world = worlds()
    world.one.scripts = [_never]
    v = (await world.begin()).verification
    await asyncio.sleep(0)
    other = worlds(prefix=world.prefix, keys=world.keys, clock=world.clock)
    await world.suppressions.add("shop", TO, ["sms"])
    await other.after(16)
    assert sent(other) == ["voice"]
    assert [a.vendor_code for a in (await other.verifications.read("shop", v.id)).attempts] == ["suppressed", ""]


async def test_without_an_opt_out_such_a_message_is_sent_again(worlds: Worlds) -> None:
    world = worlds()
    world.one.scripts = [_never]
    await world.begin()
    await asyncio.sleep(0)
    other = worlds(prefix=world.prefix, keys=world.keys, clock=world.clock)
    await other.after(16)
    assert sent(other) == ["sms"]


async def _never(_message: Message) -> Receipt:
    await asyncio.Event().wait()
    raise AssertionError


# --- what it leaves behind ---

SECRETS = (Canary("the phone", "+14155559327"), Canary("the email", "zebrafinch.7@example.org"))


async def traces(world: World, redis_key: Callable[[str], str] = str) -> dict[str, bytes]:
    """Everything that is in the store and in the log after all kinds of opt-outs."""
    number, address = SECRETS[0].secret, SECRETS[1].secret
    to = understood(number, address)
    true = world.store.suppression_key
    world.store.suppression_key = lambda shard, name: redis_key(true(shard, name))  # type: ignore[method-assign]
    world.one.scripts = [OPTED_OUT]
    await world.start(phone=number, email=address)
    await write(world, "STOP", sender=number)
    await world.suppressions.add("shop", to, ["voice"], "complaint")
    await world.start(phone=number, email=address)
    said = repr(await world.suppressions.search("shop", to)) + repr(InboundText(Channel.SMS, number, number)) + repr(to)
    places = {"the log": json.dumps(world.logged, default=repr).encode(), "reprs": said.encode()}
    await world.client.config_set("rdbcompression", "no")  # or a number may lie in two pieces
    async for key in world.client.scan_iter(f"{world.prefix}:*"):
        places["the store"] = places.get("the store", b"") + key + (await world.client.dump(key) or b"")
    return places


async def test_neither_the_store_nor_the_log_says_who_opted_out(listening: World) -> None:
    places = await traces(listening)
    assert found(SECRETS, places) == []
    assert b":o:" in places["the store"]
    assert b"suppression.added" in places["the log"]


async def test_a_record_named_by_the_number_would_be_found(listening: World) -> None:
    planted = await traces(listening, lambda key: f"{key}:{SECRETS[0].secret}")
    assert "the phone in the store" in found(SECRETS, planted)
