"""Failovers and moves: what an operator does to a store of several servers, and what happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from tests.faults.fleet import Fleet
from tests.support.servers import until
from tests.support.six import Six
from tests.support.trio import Trio

Nemesis = Callable[[Fleet], Awaitable[None]]


async def primary_killed(fleet: Fleet) -> None:
    group: Trio = fleet.store.there
    before = group.primary()
    before.kill()
    await asyncio.to_thread(until, lambda: group.primary() is not before)


async def primary_frozen(fleet: Fleet) -> None:
    """Its connections stay open, and it says nothing. When it goes on, it is no primary any more."""
    group: Trio = fleet.store.there
    before = group.primary()
    before.freeze()
    await asyncio.to_thread(until, lambda: group.primary() is not before)
    await asyncio.sleep(0.5)
    before.thaw()


async def switched_in_order(fleet: Fleet) -> None:
    """The old primary first hands over what it has."""
    await asyncio.to_thread(fleet.store.there.switch, "COORDINATED")


async def switched_by_force(fleet: Fleet) -> None:
    """The old primary goes on for a while, and what it takes in then is lost."""
    await asyncio.to_thread(fleet.store.there.switch)


async def slots_moved_at_once(fleet: Fleet) -> None:
    """Twice, so that they come to a server that has had others."""
    cluster: Six = fleet.store.there
    for _ in range(2):
        for slot in await asyncio.to_thread(cluster.fullest, 3):
            await asyncio.to_thread(cluster.move_slot, slot)
        await asyncio.sleep(0.4)


async def slots_moved_key_by_key(fleet: Fleet) -> None:
    """As the tools do that are older than CLUSTER MIGRATESLOTS: on its way, a slot is on two servers."""
    cluster: Six = fleet.store.there
    for slot in await asyncio.to_thread(cluster.fullest, 3):
        await asyncio.to_thread(cluster.carry_slot, slot)
        await asyncio.sleep(0.2)


FAILOVERS: Mapping[str, Nemesis] = {each.__name__: each for each in (primary_killed, primary_frozen, switched_in_order)}
MOVES: Mapping[str, Nemesis] = {each.__name__: each for each in (slots_moved_at_once, slots_moved_key_by_key)}
