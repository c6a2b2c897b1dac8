"""How many starts a process works on at once, and who waits for that or is told to come back: so that checks, for which
somebody sits in front of a form, are answered whatever is asked beside them, and no start waits for ever.

A process has one core. What it works on beyond what that core can do only makes each turn of its loop longer, for
everybody. How much that is depends on the machine and on the policies, so it is measured: while the event loop comes
round late, fewer starts are worked on, and while it is in time, more, up to `most`. The others wait in a line, where
they cost nothing. One for which the line would be too long, at the pace at which starts have lately ended, is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from gateway.service.requests import Overloaded

LEAST = 8
"""Starts at once that any machine is let work on."""
LONGEST = 0.7
"""Seconds that a start may have before it in the line when it comes: 128 callers of a core that takes 5 ms for one wait
less. A longer line serves nobody sooner, and whoever waits in it makes all others slower."""
PATIENCE = 1.5
"""Seconds after which one in the line is refused all the same: the store has hung, or the pace has changed."""
_TICK = 0.02
_LATE = 0.025
"""Seconds by which the loop may come round late: a check waits that long, several times in its life."""
_MORE = 2
"""Starts more, for each tick in time; half of them when one is late."""
_GUESS = 0.0015
"""Seconds from the end of one start to the next, before any was measured."""
_MEMORY = 100
"""Ends over which that is averaged: many come in one turn of the loop."""


class Room:
    """For the starts of one process. As an asynchronous context manager, one of them: it waits for its turn, and raises
    Overloaded when that is too far off."""

    def __init__(self, most: int, longest: float = LONGEST, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._longest = longest
        self._clock = clock
        self._now = most
        self._taken = 0
        self._coming = 0
        self._line: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._pace = _GUESS
        self._ended = 0.0  # when the last one ended, or the line began

    @property
    def full(self) -> bool:
        """Whether one more would wait too long."""
        before = self._taken + self._coming + len(self._line) + 1 - self._places
        if before <= 0:
            return False
        return before * self._pace > self._longest or self._stuck

    def expect(self) -> None:
        """Keep a place for one that has only begun to arrive: many arrive in one turn of the loop."""
        self._coming += 1

    def arrived(self) -> None:
        """Its place is free for it, or for another if it is refused."""
        self._coming -= 1

    async def __aenter__(self) -> None:
        if self.full:
            raise Overloaded
        if self._line or self._taken >= self._places:
            await self._turn()
        else:
            self._taken += 1

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def turned(self, late: float) -> None:
        """The loop came round so many seconds late."""
        self._now = max(LEAST, self._now // 2) if late > _LATE else min(self._now + _MORE, self.most)
        self._admit()
        while self._line and self._clock() - self._line[0][0] > PATIENCE:
            _, turn = self._line.popleft()
            if not turn.done():
                turn.set_exception(Overloaded())

    async def watch(self) -> None:
        """Look for ever whether the loop comes round in time."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK
            await asyncio.sleep(_TICK)
            self.turned(loop.time() - due)

    @property
    def _places(self) -> int:
        return min(self._now, self.most)

    @property
    def _stuck(self) -> bool:
        return bool(self._line) and self._clock() - self._ended > self._longest

    async def _turn(self) -> None:
        now = self._clock()
        if not self._line:
            self._ended = now  # before it nobody waited, and the pace was that of who asked
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((now, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn had come
                self._leave()
            raise

    def _leave(self) -> None:
        self._taken -= 1
        if self._line:
            now = self._clock()
            self._pace += (now - self._ended - self._pace) / _MEMORY
            self._ended = now
            self._admit()

    def _admit(self) -> None:
        while self._line and self._taken < self._places:
            _, turn = self._line.popleft()
            if not turn.done():  # or its caller has given up
                self._taken += 1
                turn.set_result(None)
