"""People in virtual time under the default preset: in a launch, an outage or poor luck, nobody shuts them out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from channels.contract import ErrorClass, SendError
from gateway.core.model import Verification
from gateway.service.requests import Denied
from tests.service.crowds import People, Worlds, anywhere, preset, sequential, whole, with_email
from tests.support.world import World


async def test_people_whose_codes_come_by_the_second_message_close_nothing(worlds: Worlds) -> None:
    """A verification that was approved answers for all of its messages."""
    world, numbers = worlds(policies=whole()), anywhere()
    for number in range(120):
        v = await world.start(phone=next(numbers), ip=f"2001:db8:{number:x}::1")
        world.clock.forward(31)
        if number % 7 == 0:
            v = await world.verifications.resend("shop", v.id, None)
            await world.settle()
            await world.check(v, world.code(v))
        await world.store.watches.told()
        world.clock.forward(60)
    assert [line for line in world.logged if line["event"].startswith("block.")] == []


@pytest.mark.parametrize("failing", [False, True])
async def test_people_who_are_helped_by_email_are_no_pump(worlds: Worlds, failing: bool) -> None:
    """One in five gets the code by email, since the SMS was slow; or everybody, since no vendor took it."""
    world, numbers = worlds(policies=with_email()), anywhere()
    for number in range(120):
        if failing:
            refused = SendError(ErrorClass.PROVIDER_DOWN, "down")
            world.one.scripts, world.two.scripts = [refused], [refused]
        v = await world.start(phone=next(numbers), email=f"m{number}@example.org", ip=f"2001:db8:{number:x}::1")
        if not failing and number % 5 == 0:
            await world.after(61)
        await world.check(v, world.code(v))
        world.clock.forward(20)
    assert world.metric("otp_blocks_total") == 0


@pytest.mark.parametrize(("seed", "converts"), [(1, 0.6), (2, 0.7), (3, 0.8)])
async def test_a_launch_in_a_new_country_is_not_blocked(worlds: Worlds, seed: int, converts: float) -> None:
    people = People(worlds(policies=preset()), seed, converts)
    assert await people.come(300, 600, anywhere(seed)) > 150
    assert people.refused == []


async def test_a_launch_that_comes_all_at_once_is_not_blocked(worlds: Worlds) -> None:
    people = People(worlds(policies=preset()), 4, 0.7)
    await people.come(300, 25, anywhere(4))
    assert people.refused == []


async def test_a_preset_that_could_not_wait_for_codes_would_block_a_launch(worlds: Worlds) -> None:
    """The twin of the two above: messages count against a country before anybody can have typed."""
    hasty = preset(country={"ripe": "10s", "patience": "1s", "floor": 0.4})
    people = People(worlds(policies=hasty), 1, 0.6)
    await people.come(300, 600, anywhere(1))
    assert people.refused


async def unlucky(world: World) -> list[Exception]:
    """Thirty messages a day to a country for four days, of which two are answered."""
    people = People(world, 5, 0.0)
    for day in range(4):
        people.begin = world.clock.now
        for number, phone in zip(range(30), anywhere(day), strict=False):
            try:
                v = await world.start(phone=phone)
                if number in (4, 21):
                    await world.check(v, world.code(v))
            except Denied as no:
                people.refused.append(no)
            world.clock.forward(2880)
    return people.refused


async def test_a_country_of_few_people_and_poor_luck_is_not_blocked(worlds: Worlds) -> None:
    assert await unlucky(worlds(policies=preset())) == []


async def test_without_a_minimum_volume_it_would_be(worlds: Worlds) -> None:
    assert await unlucky(worlds(policies=preset(country={"minimum": 10}))) != []


async def test_ten_minutes_without_delivery_do_not_close_a_country_that_has_been_good(worlds: Worlds) -> None:
    world = worlds(policies=preset())
    people = People(world, 6, 0.8)
    await people.come(200, 3600, anywhere(6))
    people.begin, people.converts = world.clock.now, 0.0
    await people.come(100, 600, anywhere(7))
    assert people.refused == []


async def test_a_code_of_the_apps_own_that_it_never_checks_here_closes_nothing(worlds: Worlds) -> None:
    world, numbers = worlds(policies=preset()), anywhere()
    for _ in range(150):
        await world.begin(phone=next(numbers), code="482913")
        world.clock.forward(30)
    assert len(world.sent) >= 149


async def crowded(world: World) -> list[Exception]:
    """A launch of seventy people in 35 seconds, whose messages take 50 seconds, and fifty more after four minutes."""
    people = People(world, 8, 0.0)
    for number, phone in zip(range(120), anywhere(8), strict=False):
        at = number / 2 if number < 70 else 240 + number
        people.at(at, "start", phone)
    begun: list[tuple[float, Any]] = []

    def late(v: Verification, seconds: float) -> None:
        begun.append((seconds, v))
        people.at(seconds + 50, "check", v)

    people.plan = late  # type: ignore[method-assign] # everybody types
    await people.come(0, 1, anywhere())
    return people.refused


async def test_a_launch_whose_messages_are_late_is_held_for_minutes_and_not_for_hours(worlds: Worlds) -> None:
    world = worlds(policies=preset())
    refused = await crowded(world)
    assert 0 < len(refused) <= 10
    assert [line["event"] for line in world.logged if line["event"].startswith("block.")] == ["block.held"]
    await world.start(phone="+13125550123")


async def answered(world: World, *shares: int) -> list[int]:
    """Days of 80 messages to a country, of which so many in a hundred are answered. How many are refused, by day."""
    refused = [0] * len(shares)
    for day, share in enumerate(shares):
        for number, phone in zip(range(80), anywhere(day), strict=False):
            try:
                v = await world.start(phone=phone, ip=f"2001:db8:{number:x}::1")
                if number * share % 100 < share:
                    await world.check(v, world.code(v))
            except Denied:
                refused[day] += 1
            world.clock.forward(1080)
    return refused


async def test_a_country_is_held_to_its_own_share_where_that_is_known(worlds: Worlds) -> None:
    """Seven in a hundred are too few of a stranger and not of one that answers twenty; fifteen are enough of a
    stranger, and too few of one that answers eighty."""
    assert await answered(worlds(policies=preset()), 20, 20, 7) == [0, 0, 0]
    assert (await answered(worlds(policies=preset()), 7))[0] > 0
    assert await answered(worlds(policies=preset()), 15) == [0]
    first, second, third = await answered(worlds(policies=preset()), 80, 80, 15)
    assert (first, second) == (0, 0)
    assert third > 0


async def test_nobody_brings_the_bar_down_by_pumping_slowly(worlds: Worlds) -> None:
    """A share below the floor is never what is usual: days at nine in a hundred earn nothing."""
    patient = preset(country={"mode": "monitor"})
    world = worlds(policies=patient)
    await answered(world, 9, 9, 9)
    world.wire(replace(world.setup, policies=worlds(policies=preset()).setup.policies))
    assert (await answered(world, 9))[0] > 0


def broken(world: World, times: int = 2000) -> None:
    for carrier in (world.one, world.two):
        carrier.scripts = [SendError(ErrorClass.PROVIDER_DOWN, "503") for _ in range(times)]


async def test_an_outage_of_the_vendors_blocks_nobody(worlds: Worlds) -> None:
    """Neither on the first day nor later: what no vendor took nobody could answer, and nobody earned from it."""
    world = worlds(policies=preset())
    broken(world)
    for number, phone in zip(range(300), anywhere(3), strict=False):
        await world.start(phone=phone, ip=f"2001:db8:{number:x}::1")
        world.clock.forward(2)
    for number, phone in zip(range(45), sequential(), strict=False):
        await world.start(phone=phone, ip=f"2001:db8:{number:x}::2")
    assert [line for line in world.logged if line["event"].startswith("block.")] == []
