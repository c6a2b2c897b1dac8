"""Idempotency-Keys of starts whose verification lies in another slot: taken before it is written."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from gateway.store.layout import Layout, packed
from gateway.store.link import Calls
from gateway.store.steps import Idempotency
from gateway.store.whole import Run, Timed

_PATIENCE = 1.0
"""Seconds in which a repetition waits for what its first request is just writing."""
_PAUSES = (0.005, 0.08)


class Pledges:
    """A record names a verification before there is one. So a repetition looks whether it is there: if it is not, and
    nobody can be at work on it any more, the key is free. Methods raise Unavailable."""

    def __init__(self, layout: Layout, calls: Calls, run: Run, timed: Timed, hold: int) -> None:
        self._layout = layout
        self._calls = calls
        self._run = run
        self._timed = timed
        self._hold = hold

    async def take(self, idempotency: Idempotency, verification: str) -> list[Any]:
        """Take the key for this verification, or say what `create` says to a repetition: replayed, mismatch or running.
        The answer to the first is [b"taken", now]."""
        instead, end, pause = b"", time.monotonic() + _PATIENCE, _PAUSES[0]
        while True:
            reply = await self._take(idempotency, verification, instead)
            if reply[0] == b"taken":
                return reply
            word, now, earlier, over, answer = reply
            if await self._there(earlier.decode()):
                return [word, now, earlier, answer]
            if over:
                instead = earlier
            elif word != b"replayed" or time.monotonic() > end:
                return [word if word == b"mismatch" else b"running", now]
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])

    async def free(self, idempotency: Idempotency, verification: str) -> None:
        """The start was refused: the same request may be right a minute later."""
        await self._run("pledge", [self._layout.record(idempotency)], {"id": verification, "free": True})

    async def _take(self, idempotency: Idempotency, verification: str, instead: bytes) -> list[Any]:
        args: dict[str, object] = {
            "id": verification,
            "idem": packed(idempotency),
            "hold": self._hold,
            "instead": instead,
        }
        return await self._run("pledge", [self._layout.record(idempotency)], args)

    async def _there(self, verification: str) -> bool:
        key = self._layout.verification(verification)
        return bool(await self._timed("read", self._calls.ask("EXISTS", key)))
