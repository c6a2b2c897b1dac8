"""Real processes, a real store, people at work, and one thing after the other that goes wrong: nothing is lost, nothing
is doubled, and everybody is answered in time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.core.model import AttemptStatus
from tests.faults.callers import Callers
from tests.faults.fleet import LEASE, Fleet, fleet
from tests.faults.judging import answered, broken
from tests.faults.nemeses import NEMESES, Nemesis, a_gateway_stopped, strike, the_store_killed

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sound(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path_factory.mktemp("fleet")) as one:
        yield one


async def suffer(one: Fleet, nemesis: Nemesis) -> list[str]:
    """What is broken after people have worked while this struck, and everything had the time to mend."""
    history = await one.afresh()
    await asyncio.sleep(0.2)  # a timer that was taken a moment before is of what is no more
    known = len(one.errors())
    async with Callers(one):
        await asyncio.sleep(0.3)
        await strike(one, nemesis)
        await asyncio.sleep(0.3)
    await mend(one)
    history.faults += one.errors()[known:]
    return broken(history)


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


@pytest.mark.parametrize("nemesis", NEMESES)
async def test_nothing_is_lost_or_doubled_under(sound: Fleet, nemesis: str) -> None:
    for _ in range(ROUNDS):
        assert await suffer(sound, NEMESES[nemesis]) == []
        counts = answered(sound.history)
        print(f"{nemesis}: {counts}, {sum(1 for _ in sound.history.of('send'))} messages")  # noqa: T201 - for -s
        assert min(sound.history.purses.values()) > 50_000, "of the 0.10 USD of those that are dear"
        assert counts["start"] > 20
        assert counts["check"] > 20


async def breaks(rules: set[str], folder: Path, mistake: str, nemesis: Nemesis) -> bool:
    """Whether a fleet with a mistake in it breaks these. It has three tries: each strikes at moments of its own."""
    told: set[str] = set()
    async with fleet(folder, mistake=mistake) as bent:
        for _ in range(3):
            told |= {fault.partition(":")[0] for fault in await suffer(bent, nemesis)}
            if told >= rules:
                return True
    return False


async def test_a_careless_gateway_is_noticed(tmp_path: Path) -> None:
    """One that reads before it writes, takes the store's word for granted, and forgets its callers' keys."""
    assert await breaks({"one_approval", "nothing_lost", "repeats_agree"}, tmp_path, "careless", the_store_killed)


async def test_a_store_that_does_not_fence_is_noticed(tmp_path: Path) -> None:
    """Who stood still writes over what others have done meanwhile."""
    assert await breaks({"not_sent_twice"}, tmp_path, "unfenced", a_gateway_stopped)
