"""Who gets in, who waits and who is refused, by a clock that the test turns."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.http.room import LEAST, LONGEST, PATIENCE, Room
from gateway.service.requests import Overloaded


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Starts:
    """Those that came to a room, and what has become of them."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.working: list[asyncio.Event] = []
        self.refused = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def _one(self) -> None:
        done = asyncio.Event()
        try:
            async with self.room:
                self.working.append(done)
                await done.wait()
        except Overloaded:
            self.refused += 1

    async def come(self, number: int) -> None:
        self.tasks += [asyncio.create_task(self._one()) for _ in range(number)]
        await settled()

    async def end(self, number: int = 1) -> None:
        for _ in range(number):
            self.working.pop(0).set()
        await settled()

    @property
    def waiting(self) -> int:
        return sum(not task.done() for task in self.tasks) - len(self.working)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_more_than_can_be_worked_on_waits_its_turn() -> None:
    starts = Starts(Room(2, clock=Clock()))
    await starts.come(5)
    assert (len(starts.working), starts.waiting, starts.refused) == (2, 3, 0)
    first = starts.working[0]
    await starts.end()
    assert (len(starts.working), starts.waiting) == (2, 2)
    assert first not in starts.working
    for _ in range(4):
        await starts.end()
    assert all(task.done() for task in starts.tasks)
    assert not starts.room.full


async def test_the_line_is_as_long_as_the_pace_lets_it_be_done_in_time() -> None:
    clock = Clock()
    starts = Starts(Room(1, clock=clock))
    await starts.come(2)
    for _ in range(1_000):
        clock.now += 0.1
        await starts.come(1)
        await starts.end()
    await starts.come(50)
    assert (starts.refused, starts.waiting) == (44, 7), "seven at a tenth of a second are as long as one may wait"


async def test_a_pause_in_which_nobody_asked_does_not_count_as_a_slow_pace() -> None:
    clock = Clock()
    starts = Starts(Room(1, clock=clock))
    for _ in range(20):
        await starts.come(2)
        clock.now += 0.002
        await starts.end(1)
        await starts.end(1)
        clock.now += 3_600
    await starts.come(400)
    assert starts.refused == 0


async def test_while_nothing_ends_nobody_joins_the_line_and_who_is_in_it_is_told_in_the_end() -> None:
    clock = Clock()
    starts = Starts(Room(1, clock=clock))
    await starts.come(3)
    clock.now += LONGEST + 0.01
    await starts.come(1)
    assert (starts.refused, starts.waiting) == (1, 2)
    clock.now += PATIENCE - LONGEST
    starts.room.turned(0.0)
    await settled()
    assert (starts.refused, starts.waiting, len(starts.working)) == (3, 0, 1)
    await starts.end()
    await starts.come(1)
    assert len(starts.working) == 1


async def test_who_gives_up_in_the_line_or_when_called_leaves_its_place_to_the_next() -> None:
    starts = Starts(Room(1, clock=Clock()))
    await starts.come(4)
    starts.tasks[1].cancel()
    await settled()
    await starts.end()
    assert (len(starts.working), starts.waiting) == (1, 1)
    starts.working.pop(0).set()
    await asyncio.sleep(0)  # its turn is given to the last one, which does not know yet
    starts.tasks[3].cancel()
    await settled()
    await starts.come(1)
    assert (len(starts.working), starts.waiting) == (1, 0)


async def test_a_room_shrinks_while_the_loop_is_late_and_grows_back_in_time() -> None:
    room = Room(100, clock=Clock())
    sizes = []
    for late in (0.1, 0.1, 0.1, 0.1, 0.1):
        room.turned(late)
        sizes.append(await size(room))
    assert sizes == [50, 25, 12, LEAST, LEAST]
    for _ in range(100):
        room.turned(0.001)
    assert await size(room) == 100
    room.most = 10
    assert await size(room) == 10


async def test_as_a_room_grows_those_in_the_line_get_in() -> None:
    room = Room(100, clock=Clock())
    for _ in range(9):
        room.turned(1.0)
    starts = Starts(room)
    await starts.come(20)
    assert len(starts.working) == LEAST
    room.turned(0.0)
    await settled()
    assert (len(starts.working), starts.refused) == (LEAST + 2, 0)


async def size(room: Room) -> int:
    """How many are worked on at once."""
    starts = Starts(room)
    await starts.come(200)
    inside = len(starts.working)
    for task in starts.tasks:
        task.cancel()
    await asyncio.gather(*starts.tasks, return_exceptions=True)
    return inside


@pytest.mark.parametrize(("connections", "service"), [(32, 0.001), (64, 0.003), (128, 0.005), (450, 0.001)])
async def test_callers_that_wait_for_their_answers_are_never_refused_on_a_slow_core(
    connections: int, service: float
) -> None:
    """Each asks again when it is answered, and one core does one at a time, of 8 that it is let work on."""
    clock = Clock()
    room = Room(128, clock=clock)
    for _ in range(9):
        room.turned(1.0)
    starts = Starts(room)
    await starts.come(connections)
    for _ in range(2_000):
        clock.now += service
        await starts.end()
        await starts.come(1)
    assert starts.refused == 0


async def test_a_room_watches_the_loop_of_its_process() -> None:
    room = Room(64)
    watching = asyncio.create_task(room.watch())
    await asyncio.sleep(0.01)
    time.sleep(0.1)  # noqa: ASYNC251 - whoever holds the loop up is what is looked for
    await asyncio.sleep(0.03)
    watching.cancel()
    assert await size(room) < 64
