"""In many slots: the same rules as on one server, at the price of one script in each."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.store.steps import (
    Blocked,
    Capped,
    Change,
    Committed,
    Conflict,
    Created,
    Limited,
    Overlooked,
    Paid,
    Suppressed,
    Unavailable,
    Watch,
)
from gateway.store.wants import ListLook, Look, Spend
from policies.model import Word
from tests.store.drafts import DAY, HOUR, Shelf, asking, change, creation, guess, repeat
from tests.store.slots import Cut, die, paying, purse, quiet, spent, whole
from tests.store.test_round_trips import watching

HOME = 7
"""The shard of every verification of these tests; all else lies elsewhere, unless it says so."""

WINDOWS = (50_000, 500_000)
WORDS: tuple[Word, ...] = ("", "deny")
ENTRIES: tuple[tuple[bytes, ...], ...] = ((b"entry",), ())


# The same rules


def story(number: int) -> Callable[[Shelf], AsyncIterator[Any]]:
    """Some starts, resends and waits, always the same for a number, with what they ask for in slots of all kinds."""

    async def tell(shelf: Shelf) -> AsyncIterator[Any]:
        dice = random.Random(number)  # noqa: S311 - a test's dice
        named = ENTRIES[number % 2]
        shards = [HOME, 3, 12, 40]
        rules = [
            [(dice.randint(1, 4), dice.choice(WINDOWS), dice.random() < 0.3) for _ in range(dice.randint(1, 2))]
            for _ in range(4)
        ]
        counters = [shelf.counter(f"c{n}", *rules[n], shard=shards[n]) for n in range(4)]
        purses = [purse(shelf, f"p{n}", dice.choice([70, 100, 400]), dice.choice(shards)) for n in range(3)]
        records = [shelf.store.suppression_key(shard, "o") for shard in shards[:2]]
        lists = [shelf.store.list_key(shard, "l") for shard in shards[:2]]
        await shelf.store.enlist(lists[dice.randint(0, 1)], b"entry", "deny", "test", 0, 10)
        await shelf.store.suppress(records[dice.randint(0, 1)], ["sms"], "test", 400_000)
        for _ in range(25):
            shelf.clock.now += dice.choice([0, 1, 20_000, 60_000, 300_000])
            some, those = dice.sample(counters, dice.randint(0, 4)), tuple(dice.sample(purses, dice.randint(0, 3)))
            made = asking(
                paying(shelf, creation(*some), *those, reserve=dice.choice([0, 10, 60])),
                looks=tuple(Look(key, ("sms",)) for key in records if dice.random() < 0.2),
                lists=tuple(ListLook(key, named, dice.choice(WORDS)) for key in lists if dice.random() < 0.3),
            )
            told = await shelf.store.create(made)
            yield told
            if isinstance(told, Created):
                back = Spend(those, dice.choice([0, 20]), dice.choice([-5, 7]))
                version, again = dice.choice([1, 1, 1, 9]), tuple(some[:1])
                moved = Change(made.id, version, {}, None, 1, b"", DAY, again, spend=back)
                answer = await shelf.store.commit(moved)
                yield type(answer) if isinstance(answer, Conflict) else answer
            yield await spent(shelf, *purses)

    return tell


async def told(shelf: Shelf, number: int) -> list[Any]:
    return [each async for each in story(number)(shelf)]


@pytest.mark.parametrize("number", range(12))
async def test_many_slots_say_what_one_server_says(apart: Shelf, valkey: str, number: int) -> None:
    alone = Shelf(valkey)
    try:
        expected, found = await told(alone, number), await told(apart, number)
    finally:
        await alone.store.close()
        await alone.client.aclose()
    assert found == expected
    kinds = {type(each) for each in found}
    assert Created in kinds


async def test_those_stories_hold_every_kind_of_answer(valkey: str) -> None:
    kinds = set()
    for number in range(12):
        alone = Shelf(valkey)
        kinds |= {type(each) for each in await told(alone, number)}
        await alone.store.close()
        await alone.client.aclose()
    assert {Created, Limited, Capped, Suppressed, Overlooked, Committed, type} <= kinds


# An app's failed checks


def vigilant(shelf: Shelf, *, block: bool = True) -> Watch:
    return Watch(shelf.store.watch_key(33, "app"), 12_000, 3, 100, 0.9, block)


async def test_too_many_wrong_codes_of_an_app_block_its_checks_from_another_slot(apart: Shelf) -> None:
    made = [creation() for _ in range(4)]
    for one in made:
        await apart.store.create(one)
    told = [(await apart.store.check(guess(one, "000000", watch=vigilant(apart)))).failing for one in made[:3]]
    assert told == [None, None, (3, 3)]
    with pytest.raises(Blocked) as blocked:
        await apart.store.check(guess(made[3], watch=vigilant(apart)))
    assert blocked.value.wait == 12_000
    with pytest.raises(Blocked):
        await apart.store.create(asking(creation(), watch=vigilant(apart).key, block=True))
    apart.clock.now += 12_000
    assert (await apart.store.check(guess(made[3], watch=vigilant(apart)))).verdict == "approved"


async def test_a_check_that_is_cut_was_a_failed_one_and_what_is_under_way_is_none(apart: Shelf) -> None:
    made = [creation() for _ in range(4)]
    for one in made:
        await apart.store.create(one)
    for one in made[:2]:
        store = die(apart, "check")
        with pytest.raises(Cut):
            await store.check(guess(one, "000000", watch=vigilant(apart)))
        await store.close()
    assert (await apart.store.check(guess(made[2], "000000", watch=vigilant(apart)))).failing is None, "under way"
    apart.clock.now += 2_000
    assert (await apart.store.check(guess(made[3], "000000", watch=vigilant(apart)))).failing == (4, 4)


async def test_right_and_repeated_codes_are_no_failed_checks(apart: Shelf) -> None:
    made = [creation() for _ in range(5)]
    for one in made:
        await apart.store.create(one)
        for _ in range(2):
            tried = await apart.store.check(guess(one, watch=vigilant(apart), idempotency=repeat(one.id)))
            assert (tried.verdict, tried.failing) == ("approved", None)
    apart.clock.now += 2_000
    for one in made:
        assert (await apart.store.check(guess(one, "000000", watch=vigilant(apart)))).verdict == "spent"


# Timers


async def test_what_is_due_is_claimed_of_all_shards_and_no_more_than_asked_for(apart: Shelf) -> None:
    for n in range(20):
        await apart.store.create(creation(shard=n % 7))
    apart.clock.now += 15_001
    claimed = await apart.store.claim(15_000, 12)
    assert (len(claimed.due), claimed.depth) == (12, 8)
    assert len({due.stored.verification.id for due in claimed.due}) == 12
    assert len((await apart.store.claim(15_000, 12)).due) == 8


async def test_a_shard_that_does_not_answer_holds_up_no_other(apart: Shelf) -> None:
    for shard in (1, 2):
        await apart.store.create(creation(shard=shard))
    apart.clock.now += 15_001
    steps: Any = apart.store._steps
    run = steps._run

    async def away(name: str, keys: Sequence[str], args: dict[str, object]) -> Any:
        if "{1}" in keys[0]:
            raise Unavailable("away")
        return await run(name, keys, args)

    steps._run = away
    assert len((await apart.store.claim(15_000, 10)).due) == 1
    steps._run = run
    await quiet(apart.store)  # that looks whether it answers again
    assert len((await apart.store.claim(15_000, 10)).due) == 1


async def test_the_sweep_goes_through_all_servers(apart: Shelf) -> None:
    made = [creation(shard=n) for n in range(12)]
    for one in made:
        await apart.store.create(one)
        await apart.client.zrem(f"{apart.prefix}:{{{one.shard}}}:due", one.id)
    armed, cursor = set(), 0
    for _ in range(1_000):
        swept = await apart.store.sweep(cursor, 100, 15_000)
        armed |= set(swept.armed)
        cursor = swept.cursor
        if not cursor:
            break
    assert armed == {one.id for one in made}


# What it costs


async def test_a_start_is_one_script_in_every_slot_that_it_touches(apart: Shelf) -> None:
    await apart.store.create(whole(apart))
    await quiet(apart.store)
    apart.clock.now += 1
    async with watching(apart) as commands:
        await apart.store.create(replace(whole(apart), idempotency=None))
        await quiet(apart.store)
    assert sorted(commands) == [*["EVALSHA"] * 4, "HDEL"], "address, purse, watches, start; and it is there"


async def test_a_change_that_asks_for_nothing_elsewhere_is_one_script(apart: Shelf) -> None:
    made = creation()
    await apart.store.create(made)
    async with watching(apart) as commands:
        answer = await apart.store.commit(change(made, 1, apart.counter("d", (5, HOUR, False)), due=1))
    assert isinstance(answer, Committed)
    assert answer.paid == Paid()
    assert commands == ["EVALSHA"]
