"""Quiet hours as a verification meets them: a call is silent when its turn comes, whatever the time was before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.http import rendering
from gateway.service.requests import Denied
from tests.service.conftest import Worlds
from tests.support.world import EMAIL, POLICY, World

EVENING = datetime(2032, 1, 5, 20, 59, 40, tzinfo=UTC)  # in London too: twenty seconds before the night


def evening(worlds: Worlds, at: datetime = EVENING, **quiet: Any) -> World:
    world = worlds(policies={"default": {**POLICY, "quiet_hours": {"channels": ["voice"], **quiet}}})
    world.clock.now = int(at.timestamp() * 1000)
    return world


async def start(world: World, **fields: Any) -> Any:
    return await world.start(phone="+442079460958" if fields.pop("landline", False) else "+447400123456", **fields)


def channels(world: World) -> list[str]:
    return [str(message.channel) for message in world.sent]


async def test_a_code_asked_for_before_the_night_is_not_called_in_it(worlds: Worlds) -> None:
    world = evening(worlds)
    v = await start(world, email=EMAIL)
    assert [step.channel for step in v.steps] == ["sms", "voice", "email"]
    assert b'"next":{"channel":"email"' in rendering.verification(v, 60_000)
    await world.after(31)
    assert channels(world) == ["sms", "email"]


async def test_the_same_by_day_is_called(worlds: Worlds) -> None:
    world = evening(worlds, EVENING.replace(hour=15))
    v = await start(world, email=EMAIL)
    assert b'"next":{"channel":"voice"' in rendering.verification(v, 60_000)
    await world.after(31)
    assert channels(world) == ["sms", "voice"]


async def test_in_the_night_a_resend_that_names_no_channel_does_not_call_and_one_that_names_it_does(
    worlds: Worlds,
) -> None:
    world = evening(worlds)
    v = await start(world)
    world.clock.forward(25)
    await world.verifications.resend("shop", v.id, None)
    await world.settle()
    assert sorted(channels(world)) == ["sms", "sms"]
    await world.verifications.resend("shop", v.id, "voice")
    await world.settle()
    assert sorted(channels(world)) == ["sms", "sms", "voice"]


async def test_a_strict_policy_does_not_call_even_then(worlds: Worlds) -> None:
    world = evening(worlds, even_if_asked=True)
    v = await start(world)
    world.clock.forward(25)
    with pytest.raises(Denied, match="no_channel"):
        await world.verifications.resend("shop", v.id, "voice")


async def test_a_landline_that_can_only_be_called_is_refused_at_night(worlds: Worlds) -> None:
    world = evening(worlds, EVENING.replace(hour=23))
    with pytest.raises(Denied) as denied:
        await start(world, landline=True)
    assert (denied.value.code, denied.value.rule) == ("no_channel", "quiet_hours")
    assert await start(world, landline=True, channels=("voice",))
