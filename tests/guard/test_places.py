"""Places at a provider: taken in the order in which one came, and none is ever lost."""

from __future__ import annotations

import asyncio

import pytest

from gateway.guard.places import Places


async def line(places: Places, number: int) -> list[asyncio.Task[None]]:
    waiting = [asyncio.create_task(places.wait()) for _ in range(number)]
    await asyncio.sleep(0)
    return waiting


async def test_a_place_is_handed_on_to_who_waits_longest_and_nobody_overtakes() -> None:
    places = Places(1)
    assert places.take()
    first, second = await line(places, 2)
    places.leave()
    assert not places.take()  # it is the first one's already
    await asyncio.sleep(0)
    assert (first.done(), second.done(), places.taken) == (True, False, 1)
    places.leave()
    await second
    places.leave()
    assert places.taken == 0


@pytest.mark.parametrize("turns", [0, 1])
async def test_who_gives_up_is_in_nobodys_way(turns: int) -> None:
    places = Places(1)
    places.take()
    first, second = await line(places, 2)
    first.cancel()
    for _ in range(turns):
        await asyncio.sleep(0)
    places.leave()
    await second
    assert places.taken == 1


@pytest.mark.parametrize("waiting", [1, 2])
async def test_who_gives_up_in_the_moment_of_its_turn_leaves_it_to_the_next(waiting: int) -> None:
    places = Places(1)
    places.take()
    first, *others = await line(places, waiting)
    places.leave()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.gather(*others)
    assert places.taken == len(others)


async def test_a_place_that_is_lost_so_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(1)
    places.take()
    (first,) = await line(places, 1)
    places.leave()
    monkeypatch.setattr(places, "leave", lambda: None)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert places.taken == 1
