"""Opt-outs: how they come to be known, what they keep from being sent, and that none is overlooked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from channels.contract import (
    INBOUND,
    Answer,
    Callback,
    Channel,
    ErrorClass,
    Forged,
    InboundText,
    Message,
    Outcome,
    Receipt,
    SendError,
)
from gateway.guard import Guarded
from gateway.service.reports import Unsigned
from gateway.service.requests import Denied, Destinations, InvalidField, NotFound, understood
from gateway.store.steps import (
    Change,
    Committed,
    Conflict,
    Created,
    Creation,
    Guessed,
    Limited,
    Look,
    Replayed,
    Suppressed,
    Suppression,
)
from gateway.store.valkey import Store
from tests.service.conftest import Worlds
from tests.support.canary import Canary, found
from tests.support.world import EMAIL, PHONE, POLICY, FakeCarrier, World

TO = understood(PHONE, None)
OPTED_OUT = SendError(ErrorClass.OPTED_OUT, "21610")
DAY = 86_400_000


class Listening(FakeCarrier):
    """A vendor that hands over what people write: `number text` in a signed body."""

    def inbound(self, callback: Callback) -> Outcome:
        if callback.headers.get("x-signature") != "signed":
            raise Forged
        sender, _, text = callback.body.decode().partition(" ")
        facts = dict(callback.query)
        said_at = int(facts["said_at"]) if "said_at" in facts else None
        heard = InboundText(Channel.SMS, sender, text, said_at, facts.get("id", ""))
        return Outcome(texts=(heard,), answer=Answer(b"<Response/>", "text/xml"))


@pytest.fixture
def listening(worlds: Worlds) -> World:
    return ears(worlds())


def ears(world: World) -> World:
    world.one = Listening("one")
    world.wire(replace(world.setup, carriers={"one": world.one, "two": world.two}))
    return world


async def write(
    world: World, text: str, *, sender: str = PHONE, to: str = "one", signature: str = "signed", **facts: object
) -> Answer:
    """A person writes to a number of a provider's. `facts`: when, and the message's id, as the vendor tells them."""
    callback = Callback("POST", f"https://otp.example/callbacks/{to}/inbound", {"x-signature": signature}, b"")
    query = tuple((name, str(fact)) for name, fact in facts.items())
    return await world.reports.take(to, INBOUND, replace(callback, body=f"{sender} {text}".encode(), query=query))


async def standing(world: World, app: str = "shop", to: Destinations = TO) -> dict[str, str]:
    """Channel -> reason."""
    return {entry.channel: entry.reason for entry in (await world.suppressions.search(app, to)).entries}


def events(world: World, name: str) -> list[dict[str, Any]]:
    return [line for line in world.logged if line["event"] == name]


def policies(**changes: Any) -> dict[str, Any]:
    return {"default": {**POLICY, **changes}}


def sent(world: World) -> list[str]:
    return [str(message.channel) for message in world.sent]


# --- how an opt-out comes to be known ---


async def test_a_vendors_refusal_is_remembered_and_the_next_start_takes_another_channel(world: World) -> None:
    world.one.scripts = [OPTED_OUT]
    first = await world.start()
    assert [(a.channel, a.status) for a in first.attempts] == [("sms", "failed"), ("voice", "sent")]
    assert await standing(world) == {"sms": "vendor"}
    second = await world.start()
    assert [a.channel for a in second.attempts] == ["voice"]
    assert sent(world) == ["sms", "voice", "voice"]
    assert world.metric("otp_suppressions_total", channel="sms", action="added") == 1
    assert world.metric("otp_suppressions_total", channel="sms", action="applied") == 1
    (line,) = events(world, "suppression.added")
    assert (line["channels"], line["reason"], line["provider"]) == (["sms"], "vendor", "one")


async def test_a_report_that_says_so_is_remembered_too_even_after_the_end(world: World) -> None:
    v = await world.start()
    await world.check(v, world.code(v))
    for _ in range(2):
        await world.report(v, 1, "failed:opted_out")
    assert await standing(world) == {"sms": "vendor"}
    assert world.metric("otp_suppressions_total", channel="sms", action="added") == 1


@pytest.mark.parametrize("error", sorted(set(ErrorClass) - {ErrorClass.OPTED_OUT}))
async def test_no_other_failure_is_taken_for_an_opt_out(world: World, error: ErrorClass) -> None:
    world.one.scripts = [SendError(error, "x")]
    await world.start()
    assert await standing(world) == {}


async def test_stop_holds_for_every_app_that_sends_by_that_provider_and_start_lifts_it(listening: World) -> None:
    world = listening
    answer = await write(world, "Stop.")
    assert answer == Answer(b"<Response/>", "text/xml")
    assert (await standing(world), await standing(world, "bank")) == ({"sms": "reply"}, {"sms": "reply"})
    assert (await world.start()).current.channel == "voice"
    await write(world, "start")
    assert (await standing(world), await standing(world, "bank")) == ({}, {})
    assert (await world.start()).current.channel == "sms"
    assert world.metric("otp_suppressions_total", channel="sms", action="added") == 1
    assert world.metric("otp_suppressions_total", channel="sms", action="lifted") == 1
    (line,) = events(world, "suppression.lifted")
    assert (line["apps"], line["reason"], line["provider"]) == (["shop", "bank"], "reply", "one")


async def test_an_app_that_sends_by_another_provider_hears_nothing_of_it(worlds: Worlds) -> None:
    by_two = [{"channel": "sms", "wait": "30s", "providers": ["two"]}, {"channel": "voice", "wait": "30s"}]
    world = ears(worlds(policies={"default": {**POLICY, "fallback": by_two}, "own": POLICY}))
    apps = {"shop": world.setup.apps["shop"], "bank": replace(world.setup.apps["bank"], policies={"*": "default"})}
    world.wire(replace(world.setup, apps=apps))
    await write(world, "STOP")
    assert (await standing(world), await standing(world, "bank")) == ({"sms": "reply"}, {})


async def test_a_provider_that_only_some_country_uses_counts(worlds: Worlds) -> None:
    fallback = [{"channel": "sms", "wait": "30s", "providers": ["two"]}, {"channel": "voice", "wait": "30s"}]
    countries = {"allow": ["US", "GB"], "rules": {"GB": {"providers": {"sms": ["one"]}}}}
    world = ears(worlds(policies=policies(fallback=fallback, countries=countries)))
    await write(world, "STOP")
    assert await standing(world) == {"sms": "reply"}


@pytest.mark.parametrize("text", ["482913", "", "HELP", "yes, got it"])
async def test_what_is_no_wish_changes_nothing_and_is_kept_nowhere(listening: World, text: str) -> None:
    await write(listening, text)
    assert await standing(listening) == {}
    assert listening.logged == []
    assert listening.metric("otp_callbacks_total", provider="one", result="accepted") == 1


@pytest.mark.parametrize("sender", ["72345", "ACME", "+", "", "+1415555012x"])
async def test_a_sender_that_nothing_is_ever_sent_to_is_passed_over(listening: World, sender: str) -> None:
    assert (await write(listening, "STOP", sender=sender)).status == 200
    assert events(listening, "suppression.added") == []


async def test_a_stop_without_the_vendors_signature_is_refused_and_changes_nothing(listening: World) -> None:
    with pytest.raises(Unsigned):
        await write(listening, "STOP", signature="mine")
    assert await standing(listening) == {}
    assert listening.metric("otp_callbacks_total", provider="one", result="forged") == 1
    assert listening.logged == [{"event": "callback.forged", "provider": "one"}]


@pytest.mark.parametrize("provider", ["two", "nobody"])
async def test_a_provider_that_reads_no_texts_has_no_such_address(listening: World, provider: str) -> None:
    with pytest.raises(NotFound):
        await write(listening, "STOP", to=provider)


async def test_a_guard_passes_texts_on(world: World) -> None:
    guard = Guarded(Listening("one"), "one", concurrency=1, timeout=1, metrics=world.setup.metrics)
    deaf = Guarded(FakeCarrier("two"), "two", concurrency=1, timeout=1, metrics=world.setup.metrics)
    world.wire(replace(world.setup, carriers={"one": guard, "two": deaf}))
    await write(world, "STOP")
    assert await standing(world) == {"sms": "reply"}
    with pytest.raises(NotFound):
        await write(world, "STOP", to="two")


# --- what a vendor delivers late, or again ---

Fact = str | int
Delivered = tuple[tuple[str, dict[str, Fact]], ...]
"""What arrives, in this order: a word, when it was written (minutes before the end) and the message's id."""

DELIVERIES: dict[str, tuple[Delivered, bool]] = {
    "a START that comes again after the STOP": (
        (("START", {"said_at": 9}), ("STOP", {"said_at": 5}), ("START", {"said_at": 9})),
        True,
    ),
    "a START that comes late, after the STOP": ((("STOP", {"said_at": 5}), ("START", {"said_at": 9})), True),
    "a STOP that comes again after the START": (
        (("STOP", {"said_at": 9}), ("START", {"said_at": 5}), ("STOP", {"said_at": 9})),
        False,
    ),
    "a STOP that comes late, after the START": ((("START", {"said_at": 5}), ("STOP", {"said_at": 9})), False),
    "a late STOP, and the START after it": ((("STOP", {"said_at": 9}), ("START", {"said_at": 5})), False),
    "both of one second": ((("STOP", {"said_at": 5}), ("START", {"said_at": 5})), True),
    "both of one second, the other way": ((("START", {"said_at": 5}), ("STOP", {"said_at": 5})), True),
    "a START of no time that comes again": (
        (("START", {"id": "a"}), ("STOP", {"id": "b"}), ("START", {"id": "a"})),
        True,
    ),
    "a STOP of no time that comes again": (
        (("STOP", {"id": "a"}), ("START", {"id": "b"}), ("STOP", {"id": "a"})),
        False,
    ),
    "a START of no time and no id": ((("STOP", {"said_at": 5}), ("START", {})), False),
    "a clock ahead of ours, and a START of no time": ((("STOP", {"said_at": -9}), ("START", {})), False),
}


async def against_the_will(world: World, told: frozenset[str] = frozenset({"said_at", "id"})) -> list[str]:
    """The deliveries that end otherwise than the person wanted. `told`: what of a message is heard."""
    wrong, origin = [], world.setup.store.now()
    for number, (name, (texts, opted_out)) in enumerate(DELIVERIES.items()):
        sender = f"+141555501{number:02}"
        for text, facts in texts:
            heard = {key: _moment(origin, fact) for key, fact in facts.items() if key in told}
            await write(world, text, sender=sender, **heard)
            world.clock.forward(1)
        if bool(await standing(world, to=understood(sender, None))) is not opted_out:
            wrong.append(name)
    return wrong


def _moment(origin: int, fact: Fact) -> Fact:
    return fact if isinstance(fact, str) else origin - fact * 60_000


async def test_what_a_person_wrote_last_counts_however_late_and_often_it_comes(listening: World) -> None:
    assert await against_the_will(listening) == []


@pytest.mark.parametrize(("told", "wrong"), [("id", 5), ("said_at", 2)])
async def test_a_gateway_that_goes_by_the_order_of_arrival_is_noticed(listening: World, told: str, wrong: int) -> None:
    assert len(await against_the_will(listening, frozenset({told}))) == wrong


async def test_a_start_from_before_the_apps_own_word_does_not_lift_it(listening: World) -> None:
    before = listening.setup.store.now()
    listening.clock.forward(60)
    await listening.suppressions.add("shop", TO, ["sms"], "complaint")
    await write(listening, "STOP", said_at=before - 1)
    await write(listening, "START", said_at=before)
    assert await standing(listening) == {"sms": "reply"}
    assert await standing(listening, "bank") == {}, "this app had only the STOP before it"


async def test_what_was_said_to_one_provider_is_not_outdated_by_what_was_said_to_another(listening: World) -> None:
    world = listening
    world.two = Listening("two")
    world.wire(replace(world.setup, carriers={"one": world.one, "two": world.two}))
    now = world.setup.store.now()
    await write(world, "START", to="two", said_at=now)
    await write(world, "STOP", to="one", said_at=now - 60_000)
    assert await standing(world) == {"sms": "reply"}


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


# --- that none is overlooked ---


class LooksFirst(Store):
    """The mistake: look, and then write."""

    async def create(self, creation: Creation) -> Created | Limited | Guessed | Replayed | Suppressed:
        if standing := await self._standing(creation.looks):
            return Suppressed(self.now(), standing)
        return await super().create(replace(creation, looks=()))

    async def commit(self, change: Change) -> Committed | Conflict | Limited:
        standing = await self._standing(change.looks)
        found = await super().commit(change._replace(looks=()))
        return found._replace(suppressed=standing) if isinstance(found, Committed) else found

    async def _standing(self, looks: tuple[Look, ...]) -> tuple[str, ...]:
        entries: list[Suppression] = []
        for look in looks:
            entries += [entry for entry in await self.suppressions(look.key) if entry.channel in look.channels]
        return tuple(entry.channel for entry in entries)


def with_store(world: World, kind: type[Store]) -> World:
    world.store = kind(world.calls, prefix=world.prefix, clock=world.clock)
    world.wire(replace(world.setup, store=world.store))
    return world


def just_before(world: World, script: str, act: Callable[[], Awaitable[object]]) -> None:
    """Have something happen at the last moment before a script runs, once."""
    run = world.store._run

    async def interposed(name: str, keys: Any, args: Any) -> Any:
        if name == script:
            world.store._run = run  # type: ignore[method-assign]
            await act()
        return await run(name, keys, args)

    world.store._run = interposed  # type: ignore[method-assign]


async def stop_before_the_start(world: World) -> list[str]:
    """What is sent when a STOP is recorded at the last moment before the step that starts a verification."""
    just_before(world, "create", lambda: world.suppressions.add("shop", TO, ["sms"]))
    await world.start()
    return sent(world)


async def stop_before_the_fallback(world: World) -> list[str]:
    """The same for the step that queues a later message."""
    world.one.scripts = [SendError(ErrorClass.NO_CHANNEL)]
    just_before(world, "commit", lambda: world.suppressions.add("shop", TO, ["sms"]))
    await world.start(channels=("voice", "sms"))
    return sent(world)


STORIES = [stop_before_the_start, stop_before_the_fallback]


@pytest.mark.parametrize("story", STORIES)
async def test_a_stop_at_the_last_moment_is_not_overlooked(
    world: World, story: Callable[[World], Awaitable[list[str]]]
) -> None:
    assert await story(world) == ["voice"]


@pytest.mark.parametrize("story", STORIES)
async def test_a_gateway_that_looks_and_then_writes_overlooks_it(
    world: World, story: Callable[[World], Awaitable[list[str]]]
) -> None:
    assert "sms" in await story(with_store(world, LooksFirst))


async def test_the_twin_is_right_but_for_the_moment_between(world: World) -> None:
    with_store(world, LooksFirst)
    await world.suppressions.add("shop", TO, ["sms"])
    assert (await world.start()).current.channel == "voice"


async def test_a_stop_after_that_step_comes_too_late_for_the_one_message_under_way(world: World) -> None:
    begun = await world.begin()
    await world.suppressions.add("shop", TO, ["sms"])
    await world.settle()
    assert sent(world) == ["sms"]
    await world.report(begun.verification, 1, "failed:temporary")  # another provider of the same channel would be next
    assert sent(world) == ["sms", "voice"]


async def test_channels_that_are_left_one_after_the_other_during_a_start_are_all_left_out(world: World) -> None:
    async def one_more() -> None:
        await world.suppressions.add("shop", TO, ["sms"])
        just_before(world, "create", lambda: world.suppressions.add("shop", TO, ["voice"]))

    just_before(world, "create", one_more)
    v = await world.start(phone=PHONE, email=EMAIL)
    assert sent(world) == ["email"]
    assert [step.channel for step in v.steps] == ["email"]


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
