"""Starts that reserve in several slots of a cluster, and gateways that die between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.model import Purse
from gateway.store.steps import Creation
from gateway.store.valkey import Store
from gateway.store.wants import Counter, Spend
from policies.model import Mode
from tests.store.drafts import DAY, HOUR, Shelf, asking, creation, repeat
from tests.store.test_watches import ADJACENT, CONVERSION


def purse(shelf: Shelf, name: str, cap: int, shard: int = 9) -> Purse:
    return Purse(shelf.store.purse_key(shard, name), name, cap, shelf.clock.now + DAY, False)


def paying(shelf: Shelf, made: Creation, *purses: Purse, reserve: int = 30) -> Creation:
    return asking(made, spend=Spend(purses, reserve))


def whole(shelf: Shelf, *counters: Counter) -> Creation:
    """A start that reserves something of every kind elsewhere."""
    watches = (CONVERSION._replace(mode=Mode.MONITOR), ADJACENT._replace(item=17))
    made = paying(
        shelf, creation(shelf.counter("ip", (9, HOUR, False), shard=20), *counters), purse(shelf, "p", 100, 30)
    )
    return replace(asking(made, watches=watches, place=40, blocks="index"), idempotency=repeat(shard=50))


async def spent(shelf: Shelf, *purses: Purse) -> list[int]:
    return [int(await shelf.client.hget(one.key, "s") or 0) for one in purses]


async def noted(shelf: Shelf, one: Purse) -> int:
    """How many reservations the purse has whose end it does not know."""
    return sum(len(field) > 1 for field in await shelf.client.hkeys(one.key))


async def quiet(store: Store) -> None:
    """Wait for what is done while nobody waits."""
    tasks = store._steps._reservations._tasks  # type: ignore[attr-defined]
    while tasks:
        await asyncio.wait(list(tasks))


class Cut(Exception):
    """The process died here."""


def die(shelf: Shelf, script: str, *, after: bool = False) -> Store:
    """A gateway that dies before, or right after, this script."""
    store = shelf.another()
    steps: Any = store._steps
    run = steps._run

    async def mortal(name: str, keys: Sequence[str], args: dict[str, object]) -> Any:
        if name == script and not after:
            raise Cut
        reply = await run(name, keys, args)
        if name == script:
            raise Cut
        return reply

    for part in (steps, steps._pledges, steps._reservations):
        part._run = mortal
    return store


async def cut(shelf: Shelf, script: str, made: Creation, *, after: bool = False) -> None:
    store = die(shelf, script, after=after)
    with pytest.raises(Cut):
        await store.create(made)
    await store.close()
