"""People at work while something goes wrong, and then the time in which all must mend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core.model import AttemptStatus
from tests.faults.callers import Callers
from tests.faults.fleet import LEASE, Fleet
from tests.simulation.history import History


async def suffer(one: Fleet, strikes: Callable[[Fleet], Awaitable[None]]) -> History:
    """What happened while people worked and this struck, and what there was once everything had had time to mend."""
    history = await one.afresh()
    await asyncio.sleep(0.2)  # a timer that was taken a moment before is of what is no more
    known = len(one.errors())
    async with Callers(one):
        await asyncio.sleep(0.3)
        await strikes(one)
        await asyncio.sleep(0.3)
    await mend(one)
    history.faults += one.errors()[known:]
    return history


async def mend(one: Fleet) -> None:
    """Take down what the store holds once no message is queued any more: with the time of a lease that was lost, and of
    the next look for it. What happens while the store is read is left out of the history."""
    for _ in range(int(2 * LEASE / 100)):
        events = len(one.history.events)
        still = await one.keep()
        pending = (k.stored.verification for k in one.history.kept.values() if k.stored.verification.pending)
        if still and all(v.current.status is not AttemptStatus.QUEUED for v in pending):
            break
        await asyncio.sleep(0.1)
    del one.history.events[events:]
