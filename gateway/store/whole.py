"""The steps of a store whose keys are all on one server: each is one script and one round trip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from gateway.core.keys import SHARDS
from gateway.store.layout import Layout
from gateway.store.link import Calls
from gateway.store.replies import named
from gateway.store.steps import Change, Creation, Swept, Try

Run = Callable[[str, Sequence[str], dict[str, object]], Awaitable[list[Any]]]
"""A script by its name, with its keys and its argument."""
Timed = Callable[[str, Awaitable[Any]], Awaitable[Any]]


class Steps(Protocol):
    """How the steps are taken that touch more than one key. They give back what the scripts answer."""

    def create(self, creation: Creation) -> Awaitable[list[Any]]: ...

    def check(self, attempt: Try) -> Awaitable[list[Any]]: ...

    def commit(self, change: Change) -> Awaitable[list[Any]]: ...

    async def claim(self, lease: int, batch: int, since: int) -> list[list[Any]]: ...

    async def sweep(self, cursor: int, count: int, lease: int) -> Swept: ...

    async def close(self) -> None: ...


class Whole:
    """One server has all the keys."""

    def __init__(self, layout: Layout, calls: Calls, run: Run, timed: Timed) -> None:
        self._layout = layout
        self._calls = calls
        self._run = run
        self._timed = timed
        self._timers_from = 0

    def create(self, creation: Creation) -> Awaitable[list[Any]]:
        return self._run("create", *self._layout.creation(creation))

    def check(self, attempt: Try) -> Awaitable[list[Any]]:
        return self._run("check", *self._layout.attempt(attempt))

    def commit(self, change: Change) -> Awaitable[list[Any]]:
        return self._run("commit", *self._layout.change(change))

    async def claim(self, lease: int, batch: int, since: int) -> list[list[Any]]:
        self._timers_from = (self._timers_from + 1) % SHARDS  # so that no shard is always the last to be served
        timers = self._layout.timers[self._timers_from :] + self._layout.timers[: self._timers_from]
        return [await self._run("claim", timers, {"lease": lease, "batch": batch, "since": since})]

    async def sweep(self, cursor: int, count: int, lease: int) -> Swept:
        words = ("SCAN", cursor, "MATCH", f"{self._layout.prefix}:*:v:*", "COUNT", count)
        after, keys = await self._timed("scan", self._calls.ask(*words))
        if not keys:
            return Swept(int(after), ())
        _, armed = await self._run("sweep", with_timers(named(keys)), {"lease": lease})
        return Swept(int(after), named(armed))

    async def close(self) -> None:
        """Nothing is under way that nobody waits for."""


def with_timers(verifications: Sequence[str]) -> list[str]:
    """The keys of verifications, each after its shard's timers."""
    return [key for found in verifications for key in (found.rpartition(":v:")[0] + ":due", found)]
