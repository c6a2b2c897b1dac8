"""Races for what lies in several slots: no more pass than on one server, and who is refused leaves nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from gateway.store.reservations import Reservations
from gateway.store.spread import Spread
from gateway.store.steps import Capped, Created, Creation, Limited
from gateway.store.wants import Wants, common
from tests.store.drafts import HOUR, Shelf, creation, repeat
from tests.store.limiting import plant
from tests.store.slots import noted, paying, purse, quiet, spent, whole


async def rush(shelf: Shelf, make: Callable[[], Creation], starts: int = 1_000) -> int:
    """So many starts at once over four gateways: how many passed."""
    stores = [shelf.another(timeout=30) for _ in range(4)]
    try:
        answers = await asyncio.gather(*(stores[n % 4].create(make()) for n in range(starts)))
        for store in stores:
            await quiet(store)
    finally:
        await asyncio.gather(*(store.close() for store in stores))
    return sum(isinstance(answer, Created) for answer in answers)


def limited(shelf: Shelf, limit: int = 40, of: Sequence[int] = (0, 1, 2)) -> Callable[[], Creation]:
    """Starts from one address, in another slot than any of the three destinations', of which one has a limit too."""
    ip = shelf.counter("ip", (limit, HOUR, False), shard=20)
    targets = [shelf.counter(f"d{n}", (5 if n == 0 else 900, HOUR, False), shard=n) for n in range(3)]

    def make() -> Creation:
        n = random.choice(of)  # noqa: S311 - which destination is no secret
        return creation(ip, targets[n], shard=n)

    return make


async def test_a_thousand_starts_at_once_pass_as_a_limit_in_another_slot_allows_and_not_one_more(apart: Shelf) -> None:
    passed = await rush(apart, limited(apart))
    held = await apart.client.strlen(apart.store.limit_key(20, "ip")) // 6
    assert 20 <= passed <= 40
    assert held == passed, "what was refused elsewhere was given back, and nothing else"
    assert passed + await rush(apart, limited(apart, of=(1, 2)), 100) == 40


async def test_a_start_that_writes_before_it_reserves_lets_more_pass(
    apart: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug."""

    async def first(self: Spread, creation: Creation) -> Any:
        keys, args = self._layout.creation(replace(creation, wants=Wants(common())))
        reply = await self._run("create", keys, args)
        await once(self, replace(creation, id=creation.id[:-1] + ("A" if creation.id[-1] != "A" else "Q")))
        return reply

    once = Spread.create
    monkeypatch.setattr(Spread, "create", first)
    assert await rush(apart, limited(apart), 200) > 40


async def test_giving_back_what_was_not_reserved_lets_more_pass(apart: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: whoever was refused gives back."""
    reserve = Reservations.reserve

    async def generous(self: Reservations, asked: Any, portions: Any) -> Any:
        taken, refused = await reserve(self, asked, portions)
        for portion, _ in refused:
            await self._run("undo", [portion.wants.counters[0]], _undo(apart.clock.now, counters=1))
        return taken, refused

    monkeypatch.setattr(Reservations, "reserve", generous)
    assert sum([await rush(apart, limited(apart), 50) for _ in range(4)]) > 40


def _undo(at: int, **some: object) -> dict[str, object]:
    return {"counters": 0, "purses": 0, "at": at, "field": b"", "near": [], "items": [], "priors": [], **some}


PRICE = 7_900


async def test_a_cap_for_three_hundred_sends_three_hundred(apart: Shelf) -> None:
    app, whole = purse(apart, "app", 300 * PRICE + 5, 20), purse(apart, "whole", 900 * PRICE, 30)
    passed = await rush(apart, lambda: paying(apart, creation(shard=random.randrange(9)), app, whole, reserve=PRICE))  # noqa: S311
    assert passed == 300
    assert await spent(apart, app, whole) == [300 * PRICE, 300 * PRICE]
    assert [await noted(apart, one) for one in (app, whole)] == [0, 0]


# What is given back


async def everything(shelf: Shelf) -> dict[bytes, Any]:
    """All that is in the store, but for who looked after money last."""
    found = {}
    for key in await shelf.client.keys(f"{shelf.prefix}:*"):
        kind = await shelf.client.type(key)
        if kind == b"hash":
            found[key] = {k: v for k, v in (await shelf.client.hgetall(key)).items() if k not in (b"o", b"f")}
        else:
            found[key] = await (shelf.client.lrange(key, 0, -1) if kind == b"list" else shelf.client.dump(key))
    return {key: held for key, held in found.items() if held not in ({}, {b"s": b"0"})}


async def test_a_start_that_its_own_slot_refuses_leaves_the_others_as_they_were(apart: Shelf) -> None:
    full = apart.counter("d", (1, HOUR, False))
    assert isinstance(await apart.store.create(whole(apart, full)), Created)
    await quiet(apart.store)
    before = await everything(apart)
    apart.clock.now += 1_000
    again = replace(whole(apart, full), idempotency=repeat("other", shard=50))
    assert isinstance(await apart.store.create(again), Limited)
    assert {key: held for key, held in (await everything(apart)).items() if b":w:" not in key} == {
        key: held for key, held in before.items() if b":w:" not in key
    }
    assert await states(apart) == [{b"b": [before_at(apart), 1, 0]}, {b"e": [17, before_at(apart)]}]


def before_at(shelf: Shelf) -> int:
    return shelf.clock.now - 1_000


async def states(shelf: Shelf) -> list[dict[bytes, Any]]:
    """What the two watches have counted: messages, or items."""
    found = []
    for name in ("conversion", "adjacent"):
        state = msgpack.unpackb(await shelf.client.get(f"{shelf.prefix}:{{40}}:w:{name}"), raw=True)
        counted = {field: list(state[field]) for field in (b"b", b"e") if state[field]}
        if counted.get(b"b", [])[-2:] == [0, 0]:
            counted[b"b"] = counted[b"b"][:-3]  # a bucket that was opened for nothing
        found.append(counted)
    return found


async def test_what_is_given_back_is_its_own_and_not_what_another_counted_before(apart: Shelf) -> None:
    """A list that holds two must still know the second when the third, which pushed on it, was taken back."""
    small = lambda window: apart.counter("ip", (2, window, False), shard=20)._replace(most=2, longest=HOUR)  # noqa: E731
    full = apart.counter("d", (0, HOUR, False))
    for _ in range(2):
        assert isinstance(await apart.store.create(creation(small(HOUR))), Created)
        apart.clock.now += 10
    for _ in range(5):  # which look back less far, and are refused in their own slot
        apart.clock.now += 10
        assert isinstance(await apart.store.create(creation(small(5), full)), Limited)
    assert isinstance(await apart.store.create(creation(small(HOUR))), Limited)


async def test_a_counter_that_forgets_what_was_pushed_out_lets_more_pass(
    apart: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: what is too old by its number is cut off at once, though what pushed it may be taken back."""
    plant(monkeypatch, "most + UNDER_WAY or most, most, window", "most or most, 0, window")
    forgetful = Shelf(apart.url)
    with pytest.raises(AssertionError):
        await test_what_is_given_back_is_its_own_and_not_what_another_counted_before(forgetful)
    await forgetful.store.close()
    await forgetful.client.aclose()


async def test_a_refusal_elsewhere_says_what_its_own_slot_would_have_said_first(apart: Shelf) -> None:
    longer = apart.counter("d", (1, 2 * HOUR, False))
    short = apart.counter("ip", (1, HOUR, False), shard=20)
    assert isinstance(await apart.store.create(creation(short, longer)), Created)
    assert await apart.store.create(creation(short, longer)) == Limited(apart.clock.now, 1, 0, 2 * HOUR)


async def test_the_first_refusal_of_a_purse_is_told_once(apart: Shelf) -> None:
    small, smaller = purse(apart, "a", 20, 30), purse(apart, "b", 10, 31)
    answers = [await apart.store.create(paying(apart, creation(), small, smaller)) for _ in range(2)]
    assert answers == [Capped(apart.clock.now, 0, True), Capped(apart.clock.now, 0, False)]
    assert await apart.store.create(paying(apart, creation(), smaller)) == Capped(apart.clock.now, 0, True)
