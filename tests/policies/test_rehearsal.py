"""A rehearsal says what the gateway itself does, start by start, with the store behind it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.service.requests import Denied, Limited
from policies.destination import email, phone
from policies.model import Question
from policies.money import Tariff
from policies.rehearsal import LIMITED, later, start
from policies.windows import Windows
from tests.support.world import CHANNELS, World, compile_policies

POLICY: dict[str, Any] = {
    "extends": "default",
    "code": {"cooldown": "5s"},
    "limits": {
        "destination-10m": {"amount": 3},
        "ip-hour": {"amount": 6},
        "prefix-hour": {"amount": 9, "shadow": True},
        "app-hour": {"amount": 14},
    },
    "countries": {"allow": ["US"]},
    "fallback": [{"channel": channel, "wait": "30s"} for channel in ("sms", "whatsapp", "voice", "telegram")],
}
PEOPLE = ["+14155550123", "+14155550124", "+14155550125", "+919812345678"]


async def real(world: World, **fields: str) -> str:
    """What the gateway says of a start: "" or the rule, and of limits the name."""
    try:
        await world.begin(**fields)
    except Denied as no:
        return no.rule
    except Limited as no:
        return f"limits:{no.limit}"
    return ""


@pytest.mark.parametrize("seed", range(4))
async def test_a_rehearsal_decides_every_start_as_the_gateway_does(valkey: str, seed: int) -> None:
    dice, windows = random.Random(seed), Windows()  # noqa: S311 - which test runs is no secret
    async with World(valkey, policies={"default": POLICY}) as world:
        policy, told, rehearsed = world.setup.policies["default"], [], []
        for _ in range(40):
            world.clock.forward(dice.choice([0, 1, 4.999, 5, 60, 300]))
            to, ip = dice.choice(PEOPLE), dice.choice(["203.0.113.7", "203.0.113.8", ""])
            told.append(await real(world, phone=to, ip=ip))
            await world.settle()
            outcome = start(policy, Question("shop", "default", phone(to), ip=ip), windows, world.clock.now)
            rehearsed.append(f"limits:{outcome.by}" if outcome.by else outcome.rule)
        assert rehearsed == told
        assert {"", "country"} < set(told)  # and limits


async def test_a_later_message_reserves_as_it_does_in_the_gateway(valkey: str) -> None:
    async with World(valkey, policies={"default": POLICY}) as world:
        policy, windows = world.setup.policies["default"], Windows()
        outcome = start(policy, Question("shop", "default", phone(PEOPLE[0])), windows, world.clock.now)
        v = await world.start(phone=PEOPLE[0])
        for expected in ("sent", "sent", "limits:destination-10m"):
            world.clock.forward(5)
            try:
                await world.verifications.resend("shop", v.id, None)
                told = "sent"
            except Limited as no:
                told = f"limits:{no.limit}"
            await world.settle()
            reserved = later(outcome, windows, world.clock.now, by_person=True)
            assert told == expected
            assert (f"limits:{reserved.by.name}" if reserved.by else "sent") == expected


def test_the_automatic_fallback_counts_as_a_message_and_not_as_a_start() -> None:
    policy = compile_policies({"default": POLICY}, dict.fromkeys(CHANNELS, ("one",)))["default"]
    windows = Windows()
    outcome = start(policy, Question("shop", "default", phone(PEOPLE[0])), windows, 1)
    assert later(outcome, windows, 2, by_person=True).by is outcome.limits[-1]  # the cooldown
    assert later(outcome, windows, 3, by_person=False).by is None
    assert later(outcome, windows, 4, by_person=False).by is None
    refused = later(outcome, windows, 5, by_person=False)
    assert refused.by is not None
    assert refused.by.name == "destination-10m"


def test_a_refused_start_says_its_rule_and_its_problem() -> None:
    policy = compile_policies({"default": POLICY}, dict.fromkeys(CHANNELS, ("one",)))["default"]
    windows, asked = Windows(), Question("shop", "default", phone(PEOPLE[0]))
    abroad = start(policy, Question("shop", "default", phone(PEOPLE[3])), windows, 1)
    assert (abroad.allowed, abroad.problem, abroad.rule, abroad.by) == (False, "country_denied", "country", "")
    first, second = start(policy, asked, windows, 1), start(policy, asked, windows, 2)
    assert (first.allowed, first.problem, first.rule, first.by) == (True, "", "", "")
    assert (second.allowed, second.problem, second.rule, second.by) == (False, LIMITED, "limits", "cooldown")
    assert second.reserved.wait == 4_999


@pytest.mark.parametrize("then", ["refuse", "free"])
async def test_a_rehearsal_spends_as_the_gateway_does(valkey: str, then: str) -> None:
    cap = {"per": "app", "amount": "0.37 USD", "window": "hour", "then": then}
    spend = {"caps": {"app-hour": cap, "country-day": None, "app-day": None, "whole-month": None}}
    steps = [{"channel": channel, "wait": "30s"} for channel in ("sms", "voice", "email")]
    limits = dict.fromkeys(("prefix-hour", "app-hour", "ip-hour", "device-hour"))
    roomy = {**POLICY, "limits": limits, "fallback": steps, "spend": spend}
    tariff = Tariff(prices={("one", "sms"): {"": 50_000}, ("one", "voice"): {"": 90_000}})
    orders = dict.fromkeys(CHANNELS, ("one",))
    windows, told, rehearsed = Windows(), [], []
    async with World(valkey, policies={"default": roomy}, orders=orders, tariff=tariff) as world:
        policy = world.setup.policies["default"]
        world.clock.forward(1 + 3_600 - world.clock.now // 1000 % 3_600)  # so that the hour has just begun
        for n in range(24):
            world.clock.forward(200)
            to = f"+1415555{n:04d}"
            address = f"ana{n}@example.org"
            told.append(await real(world, phone=to, email=address))
            await world.settle()
            question = Question("shop", "default", phone(to), email(address))
            outcome = start(policy, question, windows, world.clock.now)
            rehearsed.append(outcome.rule)
            await world.after(31)
            if outcome.allowed and len(outcome.decision.steps) > 1:
                later(outcome, windows, world.clock.now, by_person=False, step=1)
        assert rehearsed == told
        assert set(told) == ({"", "spend"} if then == "refuse" else {""})
        by_email = [m for m in world.sent if m.channel == "email" and m.reference.endswith(".1")]
        assert bool(by_email) is (then == "free")
