"""What a step reserves in other slots than its verification's: taken before, and settled or given back after.

Nothing is given back but what is known not to have been used, and that only once: a process that dies in between leaves
too much counted and never too little. Money is noted in its purse until the verification has it, so that whoever comes
by later looks there and gives back what was reserved for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.store.document import settled
from gateway.store.layout import Layout
from gateway.store.link import Calls
from gateway.store.portions import Portion
from gateway.store.steps import Paid, Unavailable
from gateway.store.wants import Spend, caps
from gateway.store.whole import Run, Timed

HOLD = 10_000
"""ms after which nobody is at work any more on what was reserved. A verification is written within half of that or not
at all, so that servers' clocks may differ by the other half."""

TOKEN = 8
"""Bytes that stand for one step."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who reserves: one step of one verification. `keep` is for how long the verification will be there, in ms."""

    token: bytes
    verification: str
    keep: int
    known: tuple[str, ...] = ()  # the keys that the lists of what is known of a destination take in

    @property
    def field(self) -> bytes:
        """Where purses note it."""
        return self.token + self.verification.encode()


class Reserved(NamedTuple):
    """What one slot gave. Times in ms; `again` is a wait."""

    portion: Portion
    at: int
    shadows: list[int]
    again: int
    held: int
    noted: list[int]
    fired: list[int]
    paid: Paid
    priors: list[int]


class Refused(NamedTuple):
    """A slot refuses; its answer is that of the script."""

    portion: Portion
    reply: list[Any]


class Reservations:
    """All methods but `later` raise Unavailable."""

    def __init__(self, layout: Layout, calls: Calls, run: Run, timed: Timed, hold: int) -> None:
        self._layout = layout
        self._calls = calls
        self._run = run
        self._timed = timed
        self._hold = hold
        self._tasks: set[asyncio.Task[None]] = set()

    async def reserve(self, asked: Asking, portions: Iterable[Portion]) -> tuple[list[Reserved], list[Refused]]:
        """In all of these slots at once. What was reserved in some is given back if others can't be asked."""
        found = await asyncio.gather(*(self._one(asked, portion) for portion in portions), return_exceptions=True)
        taken = [each for each in found if isinstance(each, Reserved)]
        if fault := next((each for each in found if isinstance(each, BaseException)), None):
            await self.undo(asked, taken)
            raise fault
        return taken, [each for each in found if isinstance(each, Refused)]

    async def undo(self, asked: Asking, taken: Iterable[Reserved]) -> None:
        """Give back what was reserved for a step that certainly did not come about. Never raises: what can't be given
        back stays counted."""
        await asyncio.gather(*(self._undo(asked, each) for each in taken), return_exceptions=True)

    async def settle(self, asked: Asking, portions: Iterable[Portion]) -> list[tuple[Portion, Paid]]:
        """The verification has it. Gives back what the purses now hold, those that could be told."""
        found = await asyncio.gather(*(self._settle(asked, each) for each in portions), return_exceptions=True)
        return [each for each in found if not isinstance(each, BaseException)]

    async def refused(self, portion: Portion, purse: int) -> bool:
        """Tell a purse that it has refused. Whether that is the first time in its period."""
        refusing = portion.held[purse]
        *_, first = await self._run("settle", [refusing.key], {"refused": caps([refusing])[0]})
        return bool(first)

    def later(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it while nobody waits. What fails is found by whoever looks next."""
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def doubtful(self, asked: Asking, taken: Sequence[Reserved]) -> None:
        """Nobody knows whether the step came about: look when it can't any more."""
        await asyncio.sleep(self._hold / 1000)
        if not settled(await self._document(asked.verification), asked.token):
            await self.undo(asked, taken)

    async def close(self) -> None:
        """End what was put off, but for what waits for its time."""
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, asked: Asking, portion: Portion) -> Reserved | Refused:
        wants, absent = portion.wants, self._layout.timers[portion.shard]
        keys, args = self._layout.wanted(wants, absent)
        args |= {"apart": 1, "known": asked.known, "keep": asked.keep, "hold": self._hold}
        if wants.spend:
            args["spend"] = [*wants.spend.packed(), [_taken(wants.spend), asked.field, asked.keep]]
        left, _, reply = await self._run("reserve", [*[absent] * 4, *keys], args)
        for place, field, there in left:
            self.later(self._left_behind(portion.held[place].key, field, bool(there)))
        if reply[0] != b"reserved":
            return Refused(portion, reply)
        _, now, shadows, again, held, noted, fired, spent, near, priors = reply
        return Reserved(portion, now, shadows, again, held, noted, fired, Paid(tuple(spent), tuple(near)), priors)

    async def _undo(self, asked: Asking, taken: Reserved) -> None:
        wants, purses = taken.portion.wants, [purse.key for purse in taken.portion.held]
        states = self._layout.watched(wants)[1:]
        keys = [*wants.counters, *purses, *states]
        if keys:
            args = {
                "counters": len(wants.counters),
                "purses": len(purses),
                "at": taken.at,
                "field": asked.field,
                "near": taken.paid.near,
                "items": [item for _, item in wants.watched],
                "priors": taken.priors,
            }
            await self._run("undo", keys, args)

    async def confirm(self, asked: Asking, portions: Iterable[Portion]) -> None:
        """The verification has it, and nothing is to be given back."""
        keys = [purse.key for portion in portions for purse in portion.held]
        calls = (self._timed("settle", self._calls.ask("HDEL", key, asked.field)) for key in keys)
        await asyncio.gather(*calls, return_exceptions=True)

    async def _settle(self, asked: Asking, portion: Portion) -> tuple[Portion, Paid]:
        spend = portion.wants.spend
        back = spend._replace(reserve=0, change=min(0, spend.change)).packed() if spend else None
        keys = [purse.key for purse in portion.held]
        *_, spent, near = await self._run(
            "settle", keys, {"field": asked.field, "spend": back, "caps": caps(portion.held)}
        )
        return portion, Paid(tuple(spent), tuple(near))

    async def _left_behind(self, purse: str, field: bytes, there: bool) -> None:
        """Somebody reserved this and never said what became of it. What can't be looked up any more stays spent."""
        token, verification = field[:TOKEN], field[TOKEN:].decode()
        if not there or settled(await self._document(verification), token):
            await self._run("settle", [purse], {"field": field})
        else:
            nothing = {"counters": 0, "purses": 1, "at": 0, "field": field, "near": [], "items": [], "priors": []}
            await self._run("undo", [purse], nothing)

    async def _document(self, verification: str) -> bytes | None:
        key = self._layout.verification(verification)
        found: bytes | None = await self._timed("read", self._calls.ask("GET", key))
        return found


def _taken(spend: Spend) -> int:
    """What is taken before the verification is written: never less than it will have spent then."""
    return spend.reserve + max(0, spend.change)


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Unavailable:
        return
