"""Opt-outs: how they come to be known, from vendors and from what people write, however late and often that comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from channels.contract import Answer, ErrorClass, SendError
from gateway.guard import Guarded
from gateway.service.reports import Unsigned
from gateway.service.requests import NotFound, understood
from tests.service.conftest import Worlds
from tests.service.optouts import OPTED_OUT, TO, Listening, ears, events, policies, sent, standing, write
from tests.support.world import POLICY, FakeCarrier, World

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
