"""Few guesses at each of very many destinations: heard of once in each window, and answered as configured."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.service.requests import Limited
from gateway.service.vigilance import FailedChecks
from tests.service.conftest import Worlds
from tests.support.world import POLICY, World

HOUR = 3_600_000
TERMS = FailedChecks(HOUR, amount=2_000, minimum=200, ratio=0.6, action="alarm")
LIMITS = dict.fromkeys(("ip-hour", "device-hour", "prefix-hour", "app-hour"))
POLICIES = {"default": {**POLICY, "limits": {**POLICY["limits"], **LIMITS}}}


def watched(worlds: Worlds, **terms: Any) -> World:
    world = worlds(policies=POLICIES)
    shop = replace(world.setup.apps["shop"], failed_checks=replace(TERMS, **terms))
    world.wire(replace(world.setup, apps={**world.setup.apps, "shop": shop}))
    return world


async def guess(world: World, number: int, wrong: int, right: bool = False) -> list[str]:
    """One destination: so many wrong codes, and then maybe the right one. What each was answered."""
    try:
        begun = await world.begin(phone=f"+1415555{number:04d}", ip=f"203.0.113.{number % 100}")
    except Limited as refusal:
        return [refusal.limit]
    await world.settle()
    v, told = begun.verification, []
    code = world.code(v)
    for tried in ("000000" if code != "000000" else "000001",) * wrong + (code,) * right:
        try:
            told.append((await world.check(v, tried)).verdict)
        except Limited as refusal:
            told.append(refusal.limit)
    return told


async def attack(world: World, targets: int, wrong: int = 5) -> list[str]:
    """That many destinations, so many wrong codes each, from a hundred addresses."""
    found = []
    for first in range(0, targets, 20):
        rows = await asyncio.gather(*(guess(world, n, wrong) for n in range(first, min(targets, first + 20))))
        found += [verdict for row in rows for verdict in row]
    return found


def alarms(world: World) -> list[dict[str, Any]]:
    return [line for line in world.logged if line["event"] == "checks.failing"]


async def test_five_guesses_at_each_of_many_destinations_raise_one_alarm(worlds: Worlds) -> None:
    world = watched(worlds)
    compared = await attack(world, 300)
    assert len(compared) == 1_500
    (alarm,) = alarms(world)
    assert (alarm["app"], alarm["action"], alarm["failed"], alarm["checks"]) == ("shop", "alarm", 200, 200)
    assert world.metric("otp_failing_checks_total", app="shop") == 1


async def test_an_app_that_counts_by_verification_alone_never_hears_of_it(worlds: Worlds) -> None:
    world = worlds(policies=POLICIES)  # the mistake: nothing but the checks of each verification is counted
    assert set(await attack(world, 100)) == {"wrong", "locked"}
    assert alarms(world) == []


async def test_honest_people_who_mistype_one_code_in_five_raise_none(worlds: Worlds) -> None:
    world = watched(worlds, amount=100)
    for number in range(300):
        await guess(world, number, wrong=1 if number % 4 == 0 else 0, right=True)
    assert alarms(world) == []
    assert world.metric("otp_checks_total", verdict="wrong") == 75
    assert world.metric("otp_checks_total", verdict="approved") == 300


async def test_many_wrong_codes_are_too_many_whatever_share_they_are(worlds: Worlds) -> None:
    world = watched(worlds, amount=50)
    for number in range(200):
        await guess(world, number, wrong=1 if number % 4 == 0 else 0, right=True)
    assert [alarm["failed"] for alarm in alarms(world)] == [50]


async def test_the_alarm_comes_again_in_the_next_window_and_old_failures_are_forgotten(worlds: Worlds) -> None:
    world = watched(worlds)
    await attack(world, 45)
    world.clock.forward(3_599)
    await attack(world, 2)
    assert len(alarms(world)) == 1
    world.clock.forward(3_601)
    await attack(world, 39)  # less than the minimum of this window
    assert len(alarms(world)) == 1
    await attack(world, 2)
    assert len(alarms(world)) == 2


async def test_blocked_means_that_no_code_is_compared_and_none_is_sent_until_the_time_that_is_told(
    worlds: Worlds,
) -> None:
    world = watched(worlds, action="block", minimum=50)
    honest = await world.start(phone="+14155559999")
    found = await attack(world, 40)
    assert found.count("failed-checks") == len(found) - 50 > 0
    with pytest.raises(Limited) as caught:
        await world.check(honest, world.code(honest))
    assert (caught.value.limit, caught.value.window) == ("failed-checks", HOUR)
    with pytest.raises(Limited):
        await world.begin(phone="+14155559998")
    other = await world.start(app="bank", phone="+14155559999")  # another app's people go on
    assert (await world.check(other, world.code(other), app="bank")).verdict == "approved"
    late = await guess(world, 9_000, 0, right=True)
    assert late == ["failed-checks"]
    world.clock.now += caught.value.wait - 1
    assert await guess(world, 9_001, 0, right=True) == ["failed-checks"]
    world.clock.now += 1
    assert await guess(world, 9_001, 0, right=True) == ["approved"]


async def test_new_codes_are_longer_in_every_process_that_has_heard_of_it_and_resends_stay_so(
    worlds: Worlds, twin: Any
) -> None:
    policies = {"default": {**POLICIES["default"], "code": {"cooldown": "0s", "resend": "new"}}}
    world = worlds(policies=policies)
    other = worlds(policies=policies, prefix=world.prefix, keys=world.keys, clock=world.clock)
    for one in (world, other):
        shop = replace(one.setup.apps["shop"], failed_checks=replace(TERMS, minimum=20, action="longer_codes"))
        one.wire(replace(one.setup, apps={**one.setup.apps, "shop": shop}))

    async def length(one: World, number: int) -> int:
        return len(one.code(await one.start(phone=f"+1415555{number:04d}")))

    assert await length(world, 8_000) == 6
    await attack(world, 5)
    assert await length(world, 8_001) == 8
    assert [await length(other, 8_002), await length(other, 8_003)] == [6, 8]  # its first start brought the news
    v = await world.start(phone="+14155558004")
    await world.verifications.resend("shop", v.id, None)
    await world.settle()
    assert len(world.code(v)) == 8
    world.clock.forward(3_601)
    assert await length(world, 8_005) == 6


async def test_a_check_that_is_repeated_is_no_other_try(worlds: Worlds) -> None:
    world = watched(worlds)
    v = await world.start()
    for _ in range(3):
        await world.check(v, world.wrong(v), idempotency_key="k", body=b"same")
    assert world.metric("otp_checks_total", verdict="wrong") == 1
    assert len([line for line in world.logged if line["event"] == "check.wrong"]) == 1
