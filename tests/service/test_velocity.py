"""Velocity as a rule of abuse: starts of one client, or to one place, that nobody answers, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway.core.model import Verification
from gateway.service.requests import Denied, Limited
from tests.service.crowds import People, anywhere, preset
from tests.support.world import EMAIL, World

Worlds = Callable[..., World]
CLIENT = {"ip": "203.0.113.7", "device": "d-81"}
RIPE = 181.0
"""Seconds after which a start counts that nobody has answered."""


def rule(mode: str = "enforce", per: str = "ip", **more: Any) -> dict[str, Any]:
    """A block from the sixth start on, of which five were not answered."""
    return {"measure": "velocity", "per": per, "amount": 5, "window": "1h", "mode": mode, **more}


def policies(mode: str = "enforce", per: str = "ip", **more: Any) -> dict[str, Any]:
    steps = [{"channel": channel, "wait": "30s"} for channel in ("sms", "email")]
    plain = {"extends": None, "countries": {"allow": ["US", "GB"]}, "fallback": steps, "code": {"cooldown": "0s"}}
    return {"default": {**plain, "fraud": {"rules": {"hurry": rule(mode, per, **more)}}}}


def number(area: int, line: int = 0) -> str:
    return f"+1{area}555{1000 + line}"


async def hurry(world: World, times: int = 5, **client: Any) -> list[Verification]:
    """So many starts of one client, each to another prefix; then so long that somebody could have answered."""
    areas = (205, 212, 303, 312, 415, 503, 617, 702)
    made = [await world.start(phone=number(area), **(client or CLIENT)) for area in areas[:times]]
    world.clock.forward(RIPE)
    return made


def modes(world: World) -> list[str]:
    """How the starts were treated that look like abuse."""
    return [line["mode"] for line in world.logged if line.get("mode") and line["event"] == "verification.started"]


def kinds(world: World, start: str) -> list[str]:
    return [line["event"] for line in world.logged if line["event"].startswith(start)]


async def test_enforced_it_refuses_and_tells_the_public_no_reason(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await hurry(world)
    with pytest.raises(Denied) as no:
        await world.begin(phone=number(801), **CLIENT)
    assert (no.value.code, no.value.rule) == ("fraud_suspected", "fraud")
    assert "hurry" not in f"{no.value.detail} {no.value}"
    assert world.metric("otp_fraud_total", fraud_rule="hurry", mode="enforce") == 1
    (added,) = [line for line in world.logged if line["event"] == "block.added"]
    assert (added["rule"], added["per"], added["subject"]) == ("hurry", "ip", "ip")
    assert len(world.sent) == 5


async def test_monitored_it_is_noted_and_sent(worlds: Worlds) -> None:
    world = worlds(policies=policies("monitor"))
    await hurry(world)
    await world.start(phone=number(801), **CLIENT)
    assert (len(world.sent), modes(world), kinds(world, "block.")) == (6, ["monitor"], ["block.added"])


async def test_a_challenge_leaves_email(worlds: Worlds) -> None:
    world = worlds(policies=policies("challenge"))
    await hurry(world)
    v = await world.start(phone=number(801), email=EMAIL, **CLIENT)
    assert ([step.channel for step in v.steps], world.sent[-1].to) == (["email"], EMAIL)
    assert (await world.check(v, world.code(v))).verdict == "approved"
    with pytest.raises(Denied):
        await world.begin(phone=number(801), **CLIENT)


async def test_in_shadow_nothing_is_sent_and_it_looks_as_ever(worlds: Worlds) -> None:
    world = worlds(policies=policies("shadow"))
    before = await hurry(world)
    v = await world.start(phone=number(801), **CLIENT)
    assert (len(world.sent), v.status, v.attempts[0].status) == (5, "pending", before[0].attempts[0].status)
    assert (await world.check(v, "482913")).verdict == "wrong"


PER = {
    "ip": ({"phone": number(801), "ip": "203.0.113.7"}, {"phone": number(801), "ip": "203.0.113.8"}),
    "network": ({"phone": number(801), "ip": "203.0.113.8"}, {"phone": number(801), "ip": "203.0.114.7"}),
    "device": ({"phone": number(801), "device": "d-81"}, {"phone": number(801), "device": "d-82"}),
    "country": ({"phone": number(801)}, {"phone": "+447400123456"}),
    "app": ({"phone": "+447400123456"}, {"phone": "+447400123456", "app": "bank"}),
}


@pytest.mark.parametrize("per", PER)
async def test_it_is_of_one_subject_and_others_go_on(worlds: Worlds, per: str) -> None:
    world = worlds(policies=policies(per=per))
    await hurry(world)
    same, other = PER[per]
    with pytest.raises(Denied):
        await world.begin(**same)
    await world.start(**other)


@pytest.mark.parametrize(("per", "other"), [("prefix", "+14155561000"), ("range", "+14156550100")])
async def test_it_may_be_of_a_prefix_or_of_a_range(worlds: Worlds, per: str, other: str) -> None:
    world = worlds(policies=policies(per=per))
    for line in range(5):
        await world.start(phone=number(415, line), ip=f"203.0.{line}.7")
    world.clock.forward(RIPE)
    with pytest.raises(Denied):
        await world.begin(phone=number(415, 9))
    await world.start(phone=other)


async def test_starts_that_name_no_client_are_nobody_in_particular(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await hurry(world, ip="")
    await world.start(phone=number(801))
    assert kinds(world, "block.") == []


async def test_who_types_the_codes_may_hurry(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    for _ in range(4):
        for v in await hurry(world):
            await world.check(v, world.code(v))
    assert kinds(world, "block.") == []


async def test_what_nobody_can_have_answered_yet_does_not_count(worlds: Worlds) -> None:
    """A whole office that comes at nine is no attack; whoever has not typed after three minutes is."""
    world = worlds(policies=policies())
    await hurry(world, 8)
    assert (len(world.sent), kinds(world, "block.")) == (8, [])
    with pytest.raises(Denied):
        await world.begin(phone=number(801), **CLIENT)


async def test_each_start_to_one_number_counts_and_its_typed_code_clears_them_all(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    for round_ in range(2):
        made = [await world.start(phone=number(415, round_), **CLIENT) for _ in range(5)]
        await world.check(made[-1], world.code(made[-1]))
    await hurry(world, 4)
    await world.start(phone=number(212), **CLIENT)  # four are too few
    world.clock.forward(RIPE)
    with pytest.raises(Denied):
        await world.begin(phone=number(801), **CLIENT)  # and the same number twice is five


async def test_its_window_slides(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await hurry(world, 4)
    world.clock.forward(3600)
    await hurry(world, 4)
    await world.start(phone=number(801), **CLIENT)
    assert kinds(world, "block.") == []


async def test_its_blocks_lengthen_and_are_listed_and_lifted(worlds: Worlds) -> None:
    world = worlds(policies=policies(block={"first": "1h", "longest": "24h"}))
    lengths = []
    for _ in range(3):
        await hurry(world)
        with pytest.raises(Denied):
            await world.begin(phone=number(801), **CLIENT)
        (block,) = await world.blocks.listed("shop")
        lengths.append((block.until - block.since) // 3_600_000)
        world.clock.now = block.until
    assert lengths == [1, 2, 4]
    await hurry(world)
    with suppress(Denied):
        await world.begin(phone=number(801), **CLIENT)
    (block,) = await world.blocks.listed("shop")
    assert (block.rule, block.per) == ("hurry", "ip")
    await world.blocks.lift("shop", block.name)
    await world.start(phone=number(801), **CLIENT)


def only(**rules: Any) -> dict[str, Any]:
    """The default preset with the rule of the documentation's example, and without what finds a pump elsewhere."""
    off = dict.fromkeys(("prefix-conversion", "range-conversion", "country-conversion", "adjacent"))
    return preset(rules={**off, **rules})


VELOCITY = rule(amount=25, block={"first": "1h"})


async def crawl(world: World) -> int:
    """A pump of one address, just below its limit in an hour, for a day. How many messages it gets."""
    numbers = anywhere()
    for _ in range(690):
        with suppress(Denied, Limited):
            await world.begin(phone=next(numbers), ip="203.0.113.7")
        world.clock.forward(125)
    await world.settle()
    return len(world.sent)


async def test_a_pump_that_stays_below_the_limits_of_its_address_gets_less_than_a_tenth(worlds: Worlds) -> None:
    assert await crawl(worlds(policies=only(velocity=VELOCITY))) <= 69


async def test_without_the_rule_it_would_get_everything(worlds: Worlds) -> None:
    assert await crawl(worlds(policies=only())) == 690


@pytest.mark.parametrize("converts", [0.5, 0.7, 0.9])
async def test_an_office_within_its_limits_is_not_blocked(worlds: Worlds, converts: float) -> None:
    """As many people behind one address as its limit lets through, for a working day, some of whom never type."""
    assert "Denied" not in await office(worlds(policies=only(velocity=VELOCITY)), 25, 8, converts)


async def test_an_office_for_which_the_limit_was_raised_would_be(worlds: Worlds) -> None:
    """Why the preset leaves the rule out: how many are too many goes with the limit of the same address."""
    raw = only(velocity=VELOCITY)
    raw["default"]["limits"] = {"ip-hour": {"amount": 1000}, "prefix-hour": {"amount": 1000}}
    assert "Denied" in await office(worlds(policies=raw), 120, 2, 0.7)


async def office(world: World, people_an_hour: int, hours: int, converts: float) -> set[str]:
    """What refuses the people of one address."""
    start, people = world.start, People(world, 5, converts)
    world.start = lambda **fields: start(**{**fields, "ip": "203.0.113.7"})  # type: ignore[method-assign]
    await people.come(people_an_hour * hours, 3600 * hours, anywhere(5))
    return {type(no).__name__ for no in people.refused}
