"""An operator's switches: in every process within one look, after a restart, and unharmed by a store that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.store.steps import Unavailable
from gateway.store.switches import Off
from tests.support.world import World

Twin = Callable[[World], World]


async def look(*worlds: World) -> None:
    for world in worlds:
        await world.setup.switches.refresh(world.setup)


async def test_what_is_switched_off_is_off_in_every_process_and_after_a_restart(world: World, twin: Twin) -> None:
    other = twin(world)
    await world.store.off.add("one", "maintenance")
    await look(world, other)
    assert [await sends(each) for each in (world, other)] == ["two", "two"]
    restarted = twin(world)
    assert await sends(restarted) == "one"  # until it looks, which a gateway does before it serves
    await look(restarted)
    assert await sends(restarted) == "two"


async def sends(world: World) -> str:
    return (await world.start()).current.provider


async def test_switched_on_again_it_is_tried_again(world: World) -> None:
    await world.store.off.add("one")
    await look(world)
    assert await world.store.off.remove("one")
    await look(world)
    assert await sends(world) == "one"
    assert not await world.store.off.remove("one")


async def test_each_turn_of_a_switch_is_told_once(world: World) -> None:
    await world.store.off.add("one", "maintenance")
    await look(world, world)
    assert world.metric("otp_provider_disabled", provider="one") == 1
    await world.store.off.remove("one")
    await look(world, world)
    assert world.metric("otp_provider_disabled", provider="one") == 0
    assert world.logged == [
        {"event": "provider.disabled", "provider": "one", "reason": "maintenance"},
        {"event": "provider.enabled", "provider": "one"},
    ]


async def test_switching_off_twice_keeps_since_when(world: World) -> None:
    await world.store.off.add("one", "first")
    before = await world.store.off.read()
    await world.store.off.add("one", "second")
    assert await world.store.off.read() == before
    assert before["one"].reason == "first"


async def test_a_store_that_is_away_changes_no_switch(world: World) -> None:
    await world.store.off.add("one")
    await look(world)

    async def away() -> Any:
        raise Unavailable("switches: ConnectionError")

    world.store.off.read = away  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await look(world)
    watching = asyncio.create_task(world.setup.switches.watch(world.setup, 0.001))
    while not any(line["event"] == "store.failed" for line in world.logged):  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.001)
    watching.cancel()
    assert isinstance(world.setup.switches.off["one"], Off)


async def test_whoever_watches_hears_of_it(world: World) -> None:
    watching = asyncio.create_task(world.setup.switches.watch(world.setup, 0.001))
    await world.store.off.add("one")
    async with asyncio.timeout(5):
        while not world.setup.switches.off:  # noqa: ASYNC110 - a value that another task replaces
            await asyncio.sleep(0.001)
    watching.cancel()
