"""How many starts a process works on at once: more are refused at once and for next to nothing, so that checks, for
which somebody sits in front of a form, are answered whatever is asked beside them.

A process has one core. What it takes on beyond what that core can do only waits, and everybody with it. How much that
is depends on the machine and on the policies, so it is measured: while the event loop comes round late, fewer starts
are let in, and while it is in time, more, up to `most`.
"""

from __future__ import annotations

import asyncio

from gateway.service.requests import Overloaded

LEAST = 8
"""Starts at once that any machine is let work on."""
_TICK = 0.02
_LATE = 0.025
"""Seconds by which the loop may come round late: a check waits that long, several times in its life."""
_MORE = 2
"""Starts more, for each tick in time; half of them when one is late."""


class Room:
    """For the starts of one process. As a context manager, one of them: it raises Overloaded when there is no room."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._now = most
        self._taken = 0
        self._coming = 0

    @property
    def full(self) -> bool:
        return self._taken + self._coming >= min(self._now, self.most)

    def expect(self) -> None:
        """Keep a place for one that has only begun to arrive: many arrive in one turn of the loop."""
        self._coming += 1

    def arrived(self) -> None:
        """Its place is free for it, or for another if it is refused."""
        self._coming -= 1

    def __enter__(self) -> None:
        if self.full:
            raise Overloaded
        self._taken += 1

    def __exit__(self, *_: object) -> None:
        self._taken -= 1

    def turned(self, late: float) -> None:
        """The loop came round so many seconds late."""
        self._now = max(LEAST, self._now // 2) if late > _LATE else min(self._now + _MORE, self.most)

    async def watch(self) -> None:
        """Look for ever whether the loop comes round in time."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK
            await asyncio.sleep(_TICK)
            self.turned(loop.time() - due)
