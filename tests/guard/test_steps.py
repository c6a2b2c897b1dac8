"""Steps whose providers have breakers: an open one is passed over, unless all of them are open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from channels.contract import ErrorClass, SendError
from gateway.core.model import Verification
from gateway.guard import Guarded
from tests.guard.conftest import MESSAGE
from tests.support.world import FakeCarrier, World

DOWN = SendError(ErrorClass.PROVIDER_DOWN, "503")


def guard_all(world: World) -> None:
    carriers = {
        carrier.name: Guarded(
            carrier, carrier.name, concurrency=9, timeout=5.0, metrics=world.setup.metrics, log=world.setup.log
        )
        for carrier in (world.one, world.two)
    }
    world.wire(replace(world.setup, carriers=carriers))


async def bring_down(world: World, carrier: FakeCarrier) -> None:
    carrier.scripts.extend([DOWN] * 20)
    for _ in range(20):
        with pytest.raises(SendError, match="503"):
            await world.setup.carriers[carrier.name].send(MESSAGE)
    carrier.sent.clear()


async def went(world: World) -> list[tuple[str, str, str]]:
    verification: Verification = await world.start()
    return [(attempt.provider, str(attempt.status), attempt.vendor_code) for attempt in verification.attempts]


async def test_a_provider_whose_breaker_is_open_is_passed_over_without_being_asked(world: World) -> None:
    guard_all(world)
    await bring_down(world, world.one)
    assert await went(world) == [("one", "failed", "breaker-open"), ("two", "sent", "")]
    assert (len(world.one.sent), len(world.two.sent)) == (0, 1)


async def test_when_every_provider_of_a_step_is_open_the_order_stays_and_each_is_tried(world: World) -> None:
    guard_all(world)
    await bring_down(world, world.one)
    await bring_down(world, world.two)
    world.one.scripts.append(DOWN)
    assert await went(world) == [("one", "failed", "503"), ("two", "sent", "")]
    assert await went(world) == [("one", "failed", "breaker-open"), ("two", "sent", "")]  # two has proved itself


async def test_a_provider_that_is_alone_in_its_step_is_always_tried(world: World) -> None:
    guard_all(world)
    world.wire(replace(world.setup, carriers={"one": world.setup.carriers["one"]}))
    await bring_down(world, world.one)
    world.one.scripts.append(DOWN)
    attempts = await went(world)
    assert attempts[0] == ("one", "failed", "503")
    assert ("one", "failed", "breaker-open") not in attempts
