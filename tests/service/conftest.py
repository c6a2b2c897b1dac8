"""Every story is also a test of the log: each line is of the closed inventory, with its fields and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.service.inventory import strays
from tests.service.optouts import ears
from tests.support.world import World

Worlds = Callable[..., World]


@pytest.fixture
async def worlds(valkey: str) -> AsyncIterator[Worlds]:
    """Makes worlds; closes them; and looks through what they logged."""
    made: list[World] = []

    def make(**how: Any) -> World:
        made.append(World(valkey, **how))
        return made[-1]

    yield make
    for world in reversed(made):
        await world.engine.drain(0.01)  # what a test left hanging
        await world.__aexit__(None, None, None)
    assert [stray for world in made for stray in strays(world.logged)] == []


@pytest.fixture
async def world(worlds: Worlds) -> World:
    """One world with the default policy of the tests."""
    return worlds()


@pytest.fixture
def listening(worlds: Worlds) -> World:
    """One that hears what people write to a number of its provider's."""
    return ears(worlds())


@pytest.fixture
def twin(worlds: Worlds) -> Callable[[World], World]:
    """Another process of the same gateway: the same store, keys and time."""
    return lambda world: worlds(prefix=world.prefix, keys=world.keys, clock=world.clock, pace=world.setup.pace)
