"""Opt-outs at the last moment: none is overlooked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from channels.contract import ErrorClass, SendError
from gateway.store.steps import (
    Change,
    Committed,
    Conflict,
    Created,
    Creation,
    Guessed,
    Limited,
    Replayed,
    Suppressed,
    Suppression,
)
from gateway.store.valkey import Store
from gateway.store.wants import Look
from tests.service.optouts import TO, sent
from tests.support.world import EMAIL, PHONE, World


class LooksFirst(Store):
    """The mistake: look, and then write."""

    async def create(self, creation: Creation) -> Created | Limited | Guessed | Replayed | Suppressed:
        if standing := await self._standing(creation.wants.looks):
            return Suppressed(self.now(), standing)
        return await super().create(replace(creation, wants=creation.wants._replace(looks=())))

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
