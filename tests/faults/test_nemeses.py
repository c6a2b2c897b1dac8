"""Real processes, a real store, people at work, and one thing after the other that goes wrong: nothing is lost, nothing
is doubled, and everybody is answered in time."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.fleet import Fleet, fleet
from tests.faults.judging import answered, broken
from tests.faults.nemeses import NEMESES, Nemesis, a_gateway_stopped, strike, the_store_killed
from tests.faults.suffering import suffer

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sound(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path_factory.mktemp("fleet")) as one:
        yield one


@pytest.mark.parametrize("nemesis", NEMESES)
async def test_nothing_is_lost_or_doubled_under(sound: Fleet, nemesis: str) -> None:
    for _ in range(ROUNDS):
        assert broken(await suffer(sound, partial(strike, nemesis=NEMESES[nemesis]))) == []
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
            told |= {fault.partition(":")[0] for fault in broken(await suffer(bent, partial(strike, nemesis=nemesis)))}
            if told >= rules:
                return True
    return False


async def test_a_careless_gateway_is_noticed(tmp_path: Path) -> None:
    """One that reads before it writes, takes the store's word for granted, and forgets its callers' keys."""
    assert await breaks({"one_approval", "nothing_lost", "repeats_agree"}, tmp_path, "careless", the_store_killed)


async def test_a_store_that_does_not_fence_is_noticed(tmp_path: Path) -> None:
    """Who stood still writes over what others have done meanwhile."""
    assert await breaks({"not_sent_twice"}, tmp_path, "unfenced", a_gateway_stopped)
