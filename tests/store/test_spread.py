"""In many slots: the same rules as on one server, whatever races, and nothing is counted too low when a step is cut."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import msgpack
import pytest

from gateway.core.model import Purse
from gateway.store.reservations import HOLD, Reservations
from gateway.store.spread import Spread
from gateway.store.steps import (
    Blocked,
    Capped,
    Change,
    Committed,
    Conflict,
    Counter,
    Created,
    Creation,
    Limited,
    ListLook,
    Look,
    Mismatch,
    Paid,
    Replayed,
    Running,
    Spend,
    Suppressed,
    Unavailable,
    Watch,
)
from gateway.store.valkey import Store
from policies.model import Mode, Word
from tests.store.conftest import spread
from tests.store.drafts import DAY, HOUR, Shelf, change, creation, guess, repeat
from tests.store.limiting import plant
from tests.store.test_round_trips import watching
from tests.store.test_watches import ADJACENT, CONVERSION, watched
from tests.support.six import Six

HOME = 7
"""The shard of every verification of these tests; all else lies elsewhere, unless it says so."""


@pytest.fixture
async def apart(clustered: Six) -> AsyncIterator[Shelf]:
    shelf = spread(clustered)
    yield shelf
    await shelf.store.close()
    await shelf.client.aclose()


WINDOWS = (50_000, 500_000)
WORDS: tuple[Word, ...] = ("", "deny")


def purse(shelf: Shelf, name: str, cap: int, shard: int) -> Purse:
    return Purse(shelf.store.purse_key(shard, name), name, cap, shelf.clock.now + DAY, False)


def paying(shelf: Shelf, made: Creation, *purses: Purse, reserve: int = 30) -> Creation:
    return replace(made, spend=Spend(purses, shelf.clock.now, reserve))


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


# The same rules


def story(number: int) -> Callable[[Shelf], AsyncIterator[Any]]:
    """Some starts, resends and waits, always the same for a number, with what they ask for in slots of all kinds."""

    async def tell(shelf: Shelf) -> AsyncIterator[Any]:
        dice = random.Random(number)  # noqa: S311 - a test's dice
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
        await shelf.store.suppress([records[dice.randint(0, 1)]], ["sms"], "test", 400_000)
        for _ in range(25):
            shelf.clock.now += dice.choice([0, 1, 20_000, 60_000, 300_000])
            some, those = dice.sample(counters, dice.randint(0, 4)), tuple(dice.sample(purses, dice.randint(0, 3)))
            made = replace(
                paying(shelf, creation(*some), *those, reserve=dice.choice([0, 10, 60])),
                looks=tuple(Look(key, ("sms",)) for key in records if dice.random() < 0.2),
                lists=tuple(ListLook(key, (b"entry",), dice.choice(WORDS)) for key in lists if dice.random() < 0.3),
            )
            told = await shelf.store.create(made)
            yield told
            if isinstance(told, Created):
                back = Spend(those, shelf.clock.now, dice.choice([0, 20]), dice.choice([-5, 7]))
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
    assert {Created, Limited, Capped, Suppressed, Committed, type} <= kinds


# Races


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
        keys, args = self._layout.creation(replace(creation, counters=()))
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
            await self._run("undo", [portion.wants.counters[0].key], _undo(apart.clock.now, counters=1))
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


def whole(shelf: Shelf, *counters: Counter) -> Creation:
    """A start that reserves something of every kind elsewhere."""
    watches = (CONVERSION._replace(mode=Mode.MONITOR), ADJACENT._replace(item=17))
    made = paying(
        shelf, creation(shelf.counter("ip", (9, HOUR, False), shard=20), *counters), purse(shelf, "p", 100, 30)
    )
    return replace(made, watched=watched(watches), place=40, index="index", idempotency=repeat(shard=50))


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


# What is cut


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


async def test_money_that_nobody_used_comes_back_when_the_hold_is_over(apart: Shelf) -> None:
    app = purse(apart, "app", 70, 30)
    for _ in range(2):
        await cut(apart, "create", paying(apart, creation(), app))
    assert await spent(apart, app) == [60]
    assert isinstance(await apart.store.create(paying(apart, creation(), app)), Capped), "counted too much till then"
    apart.clock.now += HOLD
    await apart.store.create(paying(apart, creation(), app))
    await quiet(apart.store)
    assert (await spent(apart, app), await noted(apart, app)) == ([0], 0)
    assert isinstance(await apart.store.create(paying(apart, creation(), app)), Created)


async def test_money_that_was_used_stays_spent_though_nobody_said_so(apart: Shelf) -> None:
    app = purse(apart, "app", 100, 30)
    await cut(apart, "create", paying(apart, creation(), app), after=True)
    assert (await spent(apart, app), await noted(apart, app)) == ([30], 1)
    apart.clock.now += HOLD
    await apart.store.create(paying(apart, creation(), app))
    await quiet(apart.store)
    assert (await spent(apart, app), await noted(apart, app)) == ([60], 0)


async def test_a_later_messages_money_comes_back_or_stays_in_the_same_way(apart: Shelf) -> None:
    app, made = purse(apart, "app", 200, 30), creation()
    await apart.store.create(made)
    for after in (False, True):
        store = die(apart, "commit", after=after)
        asked = Change(made.id, 1, {}, None, 1, b"", DAY, spend=Spend((app,), apart.clock.now, 30, -5))
        with pytest.raises(Cut):
            await store.commit(asked)
        await store.close()
    apart.clock.now += HOLD
    await apart.store.create(paying(apart, creation(), app, reserve=1))
    await quiet(apart.store)
    assert await spent(apart, app) == [31], "and the five that were never settled stay spent"


async def test_giving_back_without_a_look_at_the_verification_loses_money(
    apart: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug."""
    monkeypatch.setattr("gateway.store.reservations.settled", lambda _document, _token: False)
    with pytest.raises(AssertionError):
        await test_money_that_was_used_stays_spent_though_nobody_said_so(apart)


async def test_a_limit_counts_too_much_and_never_too_little_when_a_start_is_cut(apart: Shelf) -> None:
    ip = apart.counter("ip", (2, HOUR, False), shard=20)
    await cut(apart, "create", creation(ip))
    await cut(apart, "create", creation(ip), after=True)
    assert isinstance(await apart.store.create(creation(ip)), Limited)


async def test_a_start_that_comes_after_the_hold_is_not_written(apart: Shelf) -> None:
    """As after a server stood still: its money may have been given back by then."""
    app, made = purse(apart, "app", 100, 30), creation(apart.counter("ip", (9, HOUR, False), shard=20))
    steps: Any = apart.store._steps
    run = steps._run

    async def stands_still(name: str, keys: Sequence[str], args: dict[str, object]) -> Any:
        if name == "create":
            apart.clock.now += HOLD // 2 + 1
        return await run(name, keys, args)

    steps._run = stands_still
    with pytest.raises(Unavailable, match="too late"):
        await apart.store.create(paying(apart, made, app))
    assert await apart.keys() == {"p:app"}
    assert await spent(apart, app) == [0]


async def test_a_slot_that_is_away_refuses_the_start_and_the_others_get_theirs_back(apart: Shelf) -> None:
    counters = [apart.counter(f"c{shard}", (9, HOUR, False), shard=shard) for shard in (20, 21)]
    steps: Any = apart.store._steps
    run = steps._reservations._run

    async def away(name: str, keys: Sequence[str], args: dict[str, object]) -> Any:
        if "{21}" in keys[0]:
            raise Unavailable("away")
        return await run(name, keys, args)

    steps._reservations._run = away
    with pytest.raises(Unavailable):
        await apart.store.create(creation(*counters))
    assert await apart.keys() == set()


# Idempotency


async def test_fifty_equal_starts_at_once_make_one_verification(apart: Shelf) -> None:
    stores = [apart.another(timeout=30) for _ in range(4)]
    ip = apart.counter("ip", (9, HOUR, False), shard=20)
    made = [creation(ip, idempotency=repeat(shard=50), shard=n % 5) for n in range(50)]
    answers = await asyncio.gather(*(stores[n % 4].create(made[n]) for n in range(50)))
    created = [made[n].id for n, answer in enumerate(answers) if isinstance(answer, Created)]
    assert len(created) == 1
    assert {answer.id for answer in answers if isinstance(answer, Replayed)} == set(created)
    assert await apart.client.strlen(ip.key) == 6
    for store in stores:
        await store.close()


async def test_the_same_key_for_another_destination_is_a_mismatch_wherever_that_lies(apart: Shelf) -> None:
    await apart.store.create(creation(idempotency=repeat(shard=50), shard=1))
    with pytest.raises(Mismatch):
        await apart.store.create(creation(idempotency=repeat(shard=50, body=b"other"), shard=2))


async def test_a_refused_start_leaves_its_key_free_at_once(apart: Shelf) -> None:
    full = apart.counter("d", (0, HOUR, False))
    assert isinstance(await apart.store.create(creation(full, idempotency=repeat(shard=50))), Limited)
    other = creation(idempotency=repeat(shard=50, body=b"other"))
    assert isinstance(await apart.store.create(other), Created)


async def test_a_key_whose_start_was_cut_is_free_when_the_hold_is_over(apart: Shelf) -> None:
    await cut(apart, "create", creation(idempotency=repeat(shard=50)))
    with pytest.raises(Running):
        await apart.store.create(creation(idempotency=repeat(shard=50)))
    apart.clock.now += HOLD
    assert isinstance(await apart.store.create(creation(idempotency=repeat(shard=50))), Created)


async def test_a_start_that_was_cut_when_it_was_made_is_told_to_whoever_repeats_it(apart: Shelf) -> None:
    made = creation(idempotency=repeat(shard=50))
    await cut(apart, "create", made, after=True)
    assert await apart.store.create(creation(idempotency=repeat(shard=50))) == Replayed(apart.clock.now, made.id, b"")


async def test_a_check_that_is_repeated_finds_its_verdict_in_the_verifications_own_slot(apart: Shelf) -> None:
    made = creation()
    await apart.store.create(made)
    for replayed in (False, True):
        tried = await apart.store.check(guess(made, idempotency=repeat("check", shard=50)))
        assert (tried.verdict, tried.replayed) == ("approved", replayed)


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
        await apart.store.create(replace(creation(), watch=vigilant(apart).key, block=True))
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
