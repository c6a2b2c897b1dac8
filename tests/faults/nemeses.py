"""What goes wrong while people are at work: each of these strikes a fleet for a few seconds, and then it is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

from tests.faults.fleet import LEASE, Fleet
from tests.support.weather import Weather

Nemesis = Callable[[Fleet], Awaitable[None]]
_RANDOM = random.Random(7)  # noqa: S311


async def nothing(fleet: Fleet) -> None:
    """All is well."""
    await asyncio.sleep(1)


async def gateways_killed(fleet: Fleet) -> None:
    """One after the other, in the middle of what they do; each is started again."""
    for name in fleet.gateways:
        await asyncio.sleep(0.4)
        await fleet.kill(name)


async def a_gateway_stopped(fleet: Fleet) -> None:
    """For longer than its lease: when it goes on, somebody else has done its work."""
    name = _RANDOM.choice(list(fleet.gateways))
    await asyncio.sleep(0.5)
    await fleet.pause(name, LEASE / 1000 + 0.6)
    await asyncio.sleep(0.5)


async def the_store_killed(fleet: Fleet) -> None:
    for pause in (0.05, 0.6):
        await asyncio.sleep(0.4)
        await asyncio.to_thread(fleet.store.there.kill)
        await asyncio.sleep(pause)
        await asyncio.to_thread(fleet.store.there.start)


async def the_store_stopped(fleet: Fleet) -> None:
    """Its connections stay open, and it says nothing: for less time than a call may take, and for more."""
    for pause in (0.7, 2.0):
        await asyncio.sleep(0.3)
        fleet.store.there.freeze()
        await asyncio.sleep(pause)
        fleet.store.there.thaw()


async def scripts_forgotten(fleet: Fleet) -> None:
    for _ in range(60):
        await asyncio.to_thread(fleet.store.there.say, "SCRIPT", "FLUSH")
        await asyncio.sleep(0.01)


async def clients_paused(fleet: Fleet) -> None:
    """As an operator does for a failover by hand."""
    for length, which in (("500", "ALL"), ("1500", "WRITE")):
        await asyncio.to_thread(fleet.store.there.say, "CLIENT", "PAUSE", length, which)
        await asyncio.sleep(int(length) / 1000 + 0.3)


async def the_way_to_the_store(fleet: Fleet) -> None:
    """It is slow, torn at any byte, closed, and a hole that swallows everything."""
    way = fleet.to_store
    way.pause = 0.15
    await asyncio.sleep(0.7)
    way.pause = 0.0
    await _torn(way, rounds=25)
    way.refuse = True
    await _torn(way, rounds=3)
    way.refuse = False
    way.swallow = True
    await asyncio.sleep(1.2)
    way.swallow = False
    await asyncio.sleep(0.3)


async def _torn(way: Weather, rounds: int) -> None:
    for _ in range(rounds):
        way.cut_after = _RANDOM.randrange(1_000)
        await asyncio.sleep(0.04)
    way.cut_after = -1


async def the_way_to_the_vendor(fleet: Fleet) -> None:
    """The messages go out, and whether they did gets lost on the way back."""
    way = fleet.to_vendor
    way.pause = 0.3
    await asyncio.sleep(0.7)
    way.pause = 0.0
    await _torn(way, rounds=25)
    way.swallow = True
    await asyncio.sleep(1.2)
    way.swallow = False
    way.refuse = True
    await _torn(way, rounds=3)
    way.refuse = False


async def slow_vendor(fleet: Fleet) -> None:
    """Slow, and no more than that."""
    fleet.to_vendor.pause = 0.4
    await asyncio.sleep(2.5)
    fleet.to_vendor.pause = 0.0


GENTLE: Mapping[str, Nemesis] = {each.__name__: each for each in (nothing, scripts_forgotten, slow_vendor)}
"""After these, no message may have gone out twice."""
NEMESES: Mapping[str, Nemesis] = GENTLE | {
    each.__name__: each
    for each in (
        gateways_killed,
        a_gateway_stopped,
        the_store_killed,
        the_store_stopped,
        clients_paused,
        the_way_to_the_store,
        the_way_to_the_vendor,
    )
}
_OF_GATEWAYS = (gateways_killed, a_gateway_stopped)


async def strike(fleet: Fleet, nemesis: Nemesis) -> None:
    """Have it strike, with a note in the history of what may now have been lost."""
    if nemesis in GENTLE.values() or nemesis in _OF_GATEWAYS:
        await nemesis(fleet)
        return
    async with fleet.unreliable():
        await nemesis(fleet)
