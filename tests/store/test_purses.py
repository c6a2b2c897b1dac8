"""Purses: a price is reserved in all of them or in none, never above a cap, and settled as it was reserved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.model import Purse
from gateway.store.link import connect
from gateway.store.steps import Capped, Change, Committed, Created, Limited, Paid, Unavailable
from gateway.store.valkey import Store
from gateway.store.wants import Spend
from tests.store.drafts import DAY, HOUR, Shelf, asking, creation
from tests.store.slots import purse, spent

PRICE = 7_900


def spend(shelf: Shelf, *purses: Purse, reserve: int = 0, change: int = 0) -> Spend:
    return Spend(purses, reserve, change)


async def start(shelf: Shelf, asked: Spend | None, store: Store | None = None) -> object:
    return await (store or shelf.store).create(asking(creation(), spend=asked))


async def test_a_price_is_reserved_in_every_purse(shelf: Shelf) -> None:
    app, whole = purse(shelf, "app", 100), purse(shelf, "whole", 1_000)
    answer = await start(shelf, spend(shelf, app, whole, reserve=30))
    assert isinstance(answer, Created)
    assert answer.paid == Paid((30, 30))
    assert await spent(shelf, app, whole) == [30, 30]


async def test_one_purse_that_refuses_leaves_all_as_they_were_and_nothing_is_written(shelf: Shelf) -> None:
    roomy, small = purse(shelf, "roomy", 100), purse(shelf, "small", 20)
    made = asking(creation(shelf.counter("limit", (1, HOUR, False))), spend=spend(shelf, roomy, small, reserve=30))
    assert await shelf.store.create(made) == Capped(shelf.clock.now, 1, True)
    assert await shelf.store.create(made) == Capped(shelf.clock.now, 1, False)
    assert await spent(shelf, roomy, small) == [0, 0]
    assert await shelf.keys() == {"p:small"}  # the note that it was told, and nothing else


async def test_a_limit_that_refuses_leaves_the_purses_as_they_were(shelf: Shelf) -> None:
    counter, app = shelf.counter("d", (1, HOUR, False)), purse(shelf, "app", 100)
    made = [asking(creation(counter), spend=spend(shelf, app, reserve=30)) for _ in range(2)]
    assert isinstance(await shelf.store.create(made[0]), Created)
    assert isinstance(await shelf.store.create(made[1]), Limited)
    assert await spent(shelf, app) == [30]


async def test_a_cap_can_be_used_up_to_its_last_millionth(shelf: Shelf) -> None:
    app = purse(shelf, "app", 90)
    told = [await start(shelf, spend(shelf, app, reserve=30)) for _ in range(4)]
    assert [type(answer) for answer in told] == [Created, Created, Created, Capped]
    assert isinstance(await start(shelf, None), Created)  # what is free goes on


async def test_eighty_per_cent_are_told_once_in_a_period(shelf: Shelf) -> None:
    app = purse(shelf, "app", 100)
    told = [await start(shelf, spend(shelf, app, reserve=20)) for _ in range(5)]
    assert [answer.paid.near for answer in told] == [(), (), (), (0,), ()]  # type: ignore[attr-defined]


async def test_an_edited_cap_keeps_what_was_spent(shelf: Shelf) -> None:
    await start(shelf, spend(shelf, purse(shelf, "app", 100), reserve=80))
    assert isinstance(await start(shelf, spend(shelf, purse(shelf, "app", 70), reserve=1)), Capped)
    assert isinstance(await start(shelf, spend(shelf, purse(shelf, "app", 200), reserve=80)), Created)


async def test_a_later_message_reserves_and_settles_in_one_step(shelf: Shelf) -> None:
    app, made = purse(shelf, "app", 100), creation()
    await shelf.store.create(asking(made, spend=spend(shelf, app, reserve=90)))
    change = Change(made.id, 1, {}, None, 1, b"", DAY, spend=spend(shelf, app, reserve=95, change=-90))
    answer = await shelf.store.commit(change)
    assert isinstance(answer, Committed)
    assert answer.paid == Paid((95,))
    assert await spent(shelf, app) == [95]


async def test_a_later_message_that_a_cap_refuses_changes_nothing(shelf: Shelf) -> None:
    app, made = purse(shelf, "app", 100), creation()
    await shelf.store.create(asking(made, spend=spend(shelf, app, reserve=60)))
    change = Change(made.id, 1, {"b": b"changed"}, None, 1, b"", DAY, spend=spend(shelf, app, reserve=60))
    before = await shelf.client.get(f"{shelf.prefix}:{{7}}:v:{made.id}")
    assert isinstance(await shelf.store.commit(change), Capped)
    assert await shelf.client.get(f"{shelf.prefix}:{{7}}:v:{made.id}") == before
    assert await spent(shelf, app) == [60]


async def test_a_commit_that_loses_moves_no_money(shelf: Shelf) -> None:
    app, made = purse(shelf, "app", 100), creation()
    await shelf.store.create(asking(made, spend=spend(shelf, app, reserve=60)))
    for _ in range(3):
        await shelf.store.commit(Change(made.id, 7, {}, None, 1, b"", DAY, spend=spend(shelf, app, change=-60)))
    assert await spent(shelf, app) == [60]


async def test_a_higher_price_is_charged_even_above_the_cap_and_nothing_is_reserved_after_it(shelf: Shelf) -> None:
    app, made = purse(shelf, "app", 100), creation()
    await shelf.store.create(asking(made, spend=spend(shelf, app, reserve=90)))
    await shelf.store.commit(Change(made.id, 1, {}, None, 1, b"", DAY, spend=spend(shelf, app, change=50)))
    assert await spent(shelf, app) == [140]
    assert isinstance(await start(shelf, spend(shelf, app, reserve=1)), Capped)


async def test_nothing_is_given_back_to_a_purse_that_is_gone(shelf: Shelf) -> None:
    app, made = purse(shelf, "app", 100), creation()
    await shelf.store.create(asking(made, spend=spend(shelf, app, reserve=90)))
    await shelf.client.delete(app.key)
    await shelf.store.commit(Change(made.id, 1, {}, None, 1, b"", DAY, spend=spend(shelf, app, change=-90)))
    assert not await shelf.client.exists(app.key)


async def test_a_purse_leaves_the_store_when_nobody_can_ask_for_it_any_more(shelf: Shelf) -> None:
    app = purse(shelf, "app", 100)
    await start(shelf, spend(shelf, app, reserve=30))
    assert DAY - 5_000 < await shelf.client.pttl(app.key) <= DAY


async def test_amounts_of_billions_are_exact(shelf: Shelf) -> None:
    whole = purse(shelf, "whole", 999_999_999_000_001)
    assert isinstance(await start(shelf, spend(shelf, whole, reserve=999_999_999_000_000)), Created)
    assert isinstance(await start(shelf, spend(shelf, whole, reserve=2)), Capped)
    assert isinstance(await start(shelf, spend(shelf, whole, reserve=1)), Created)


async def test_a_store_that_is_away_reserves_nothing_and_starts_nothing() -> None:
    away = Store(connect("unix:///nowhere/valkey.sock", timeout=0.2))
    asked = Spend((Purse("key", "app", 100, 1, False),), 30)
    with pytest.raises(Unavailable):
        await away.create(asking(creation(), spend=asked))
    await away.close()


async def thousand(shelf: Shelf, cap: int, processes: int = 4) -> tuple[int, int]:
    """A thousand starts at once over several pools of connections: how many passed, and what the purse holds."""
    stores = [shelf.another(timeout=30) for _ in range(processes)]
    app = purse(shelf, "app", cap)
    try:
        answers = await asyncio.gather(
            *(start(shelf, spend(shelf, app, reserve=PRICE), stores[n % processes]) for n in range(1_000))
        )
    finally:
        await asyncio.gather(*(store.close() for store in stores))
    return sum(isinstance(answer, Created) for answer in answers), (await spent(shelf, app))[0]


async def test_a_thousand_starts_at_once_reserve_what_the_cap_holds_and_not_one_more(shelf: Shelf) -> None:
    passed, held = await thousand(shelf, 300 * PRICE + PRICE - 1)
    assert (passed, held) == (300, 300 * PRICE)


async def test_a_purse_that_is_read_before_it_is_written_is_overdrawn(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: look at the purse, decide, and only then reserve."""
    create = Store.create

    async def read_then_write(self: Store, made: object) -> object:
        asked = made.wants.spend  # type: ignore[attr-defined]
        (app,) = asked.purses
        held = int(await self._calls.ask("HGET", app.key, "s") or 0)
        if held + asked.reserve > app.cap:
            return Capped(0, 0, False)
        await self._calls.ask("HINCRBY", app.key, "s", asked.reserve)
        return await create(self, replace(made, wants=made.wants._replace(spend=None)))  # type: ignore[type-var]

    monkeypatch.setattr(Store, "create", read_then_write)
    cap = 300 * PRICE
    passed, held = await thousand(shelf, cap)
    assert passed > 300
    assert held > cap


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.sampled_from([0, 5, 30, 70])),
        st.tuples(st.just("settle"), st.sampled_from([0, 3, 30, 90])),
        st.tuples(st.just("again"), st.sampled_from([0, 3, 30])),
    ),
    max_size=25,
)


async def differ(shelf: Shelf, caps: Sequence[int], moves: Sequence[tuple[str, int]]) -> list[str]:
    """Where the store and the plainest model of it part: what each open message holds, summed."""
    purses = [purse(shelf, f"p{n}", cap) for n, cap in enumerate(caps)]
    held: list[tuple[str, int, int]] = []  # verification, version, micros
    total, faults = 0, []
    for move, amount in moves:
        if move == "start":
            made = creation()
            answer = await shelf.store.create(asking(made, spend=spend(shelf, *purses, reserve=amount)))
            fits = amount == 0 or total + amount <= min(caps)
            if isinstance(answer, Created) is not fits:
                faults.append(f"{amount} on {total} of {caps}: {answer}")
            if isinstance(answer, Created):
                held.append((made.id, 1, amount))
                total += amount
        elif held:
            id_, version, before = held.pop(0)
            if move == "again":  # a stale commit, which must not count
                await _settle(shelf, purses, id_, version + 5, amount - before)
                held.insert(0, (id_, version, before))
            else:
                await _settle(shelf, purses, id_, version, amount - before)
                held.append((id_, version + 1, amount))
                total += amount - before
        if (now := await spent(shelf, *purses)) != [total] * len(purses):
            faults.append(f"after {move} {amount}: {now} where {total} is held")
    return faults


async def _settle(shelf: Shelf, purses: Sequence[Purse], id_: str, version: int, change: int) -> None:
    asked = spend(shelf, *purses, change=change)
    await shelf.store.commit(Change(id_, version, {}, None, 1, b"", DAY, spend=asked))


def run(url: str, caps: Sequence[int], moves: Sequence[tuple[str, int]]) -> list[str]:
    async def once() -> list[str]:
        shelf = Shelf(url)
        try:
            return await differ(shelf, caps, moves)
        finally:
            await shelf.store.close()
            await shelf.client.aclose()

    return asyncio.run(once())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 200), min_size=1, max_size=3), MOVES)
def test_the_purses_hold_what_the_messages_hold(valkey: str, caps: list[int], moves: list[tuple[str, int]]) -> None:
    assert run(valkey, caps, moves) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("spent + spend[1] + spend[2] > cap[1]", "spent > cap[1]"),  # looks at what was spent and not at what will be
        (
            "for i, cap in ipairs(caps) do\n    local spent",
            "for i, cap in ipairs({caps[1]}) do\n    local spent",
        ),
        ("noted[1] or spend[1] + spend[2])", "noted[1] or spend[1])"),  # settles nothing
    ],
)
def test_a_purse_with_a_planted_fault_is_caught(
    valkey: str, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store import valkey as module

    assert module._source("prelude").count(right) == 1
    monkeypatch.setattr(module, "_source", lambda name, read=module._source: read(name).replace(right, wrong))
    moves = [("start", 30), ("settle", 3), ("start", 30), ("start", 30), ("start", 30), ("settle", 0), ("start", 5)]
    assert run(valkey, [200, 60], moves) != []
