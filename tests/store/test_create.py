"""A start: limits all or none, guesses, idempotency, the document and its first timer, in one step."""

from __future__ import annotations

import pytest

from gateway.core.model import Status
from gateway.store.link import connect
from gateway.store.steps import Created, Guessed, Limited, Mismatch, Replayed, Running, Unavailable
from gateway.store.valkey import Store
from tests.store.drafts import DAY, HOUR, Clock, Shelf, creation, guess, repeat, wrongs


async def test_a_start_writes_the_verification_with_its_first_timer(shelf: Shelf) -> None:
    made = creation()
    assert await shelf.store.create(made) == Created(shelf.clock.now, (), shelf.clock.now)
    stored, now = await shelf.store.read(made.id)
    v = stored.verification
    assert (v.status, v.version, v.created_at, v.expires_at) == (Status.PENDING, 1, now, now + 600_000)
    assert await shelf.timers() == {made.id: now + made.lease}


async def test_a_start_lives_as_long_as_its_tombstone_and_no_longer(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    left = await shelf.client.pttl(f"{shelf.prefix}:{{7}}:v:{made.id}")
    assert made.keep - 5_000 < left <= made.keep


async def test_a_refused_start_spends_nothing_and_writes_nothing(shelf: Shelf) -> None:
    roomy, full = shelf.counter("roomy", (2, HOUR, False)), shelf.counter("full", (1, HOUR, False))
    await shelf.store.create(creation(full))
    before = await shelf.keys()
    for _ in range(5):
        assert isinstance(await shelf.store.create(creation(roomy, full)), Limited)
    assert await shelf.keys() == before
    assert isinstance(await shelf.store.create(creation(roomy)), Created)
    assert isinstance(await shelf.store.create(creation(roomy)), Created)
    assert isinstance(await shelf.store.create(creation(roomy)), Limited)


async def test_windows_of_one_subject_share_one_list_and_hold_each_for_itself(shelf: Shelf) -> None:
    both = shelf.counter("d", (2, 60_000, False), (3, HOUR, False))
    for _ in range(2):
        assert isinstance(await shelf.store.create(creation(both)), Created)
    refused = await shelf.store.create(creation(both))
    assert isinstance(refused, Limited)
    assert (refused.counter, refused.rule, refused.wait) == (0, 0, 60_000)
    shelf.clock.now += 60_000
    assert isinstance(await shelf.store.create(creation(both)), Created)
    refused = await shelf.store.create(creation(both))
    assert isinstance(refused, Limited)
    assert (refused.rule, refused.wait) == (1, HOUR - 60_000)


async def test_of_several_refusals_the_longest_wait_is_told(shelf: Shelf) -> None:
    short, long = shelf.counter("short", (1, 60_000, False)), shelf.counter("long", (1, HOUR, False))
    await shelf.store.create(creation(short, long))
    refused = await shelf.store.create(creation(short, long))
    assert isinstance(refused, Limited)
    assert (refused.counter, refused.rule, refused.wait) == (1, 0, HOUR)
    shelf.clock.now += HOUR
    assert isinstance(await shelf.store.create(creation(short, long)), Created)


async def test_a_shadow_limit_counts_and_tells_and_never_refuses(shelf: Shelf) -> None:
    counter = shelf.counter("d", (1, HOUR, True), (3, HOUR, False))
    told = [await shelf.store.create(creation(counter)) for _ in range(4)]
    assert [r.shadows for r in told] == [(), ((0, 0),), ((0, 0),), ((0, 0),)]  # type: ignore[union-attr]
    assert isinstance(told[3], Limited)
    assert told[3].rule == 1


async def test_an_edited_amount_keeps_what_was_counted(shelf: Shelf) -> None:
    for _ in range(3):
        await shelf.store.create(creation(shelf.counter("d", (3, HOUR, False))))
    assert isinstance(await shelf.store.create(creation(shelf.counter("d", (2, HOUR, False)))), Limited)
    more = shelf.counter("d", (5, HOUR, False))
    assert [type(await shelf.store.create(creation(more))) for _ in range(3)] == [Created, Created, Limited]


async def test_counters_leave_the_store_when_their_window_has_passed(shelf: Shelf) -> None:
    await shelf.store.create(creation(shelf.counter("d", (3, 60_000, False), (9, HOUR, False))))
    assert HOUR - 5_000 < await shelf.client.pttl(f"{shelf.prefix}:{{7}}:l:d") <= HOUR


async def test_a_counter_never_holds_more_than_twice_its_largest_amount(shelf: Shelf) -> None:
    """In a cluster, where what was counted may be given back, a thousand more: but nothing that has left the window."""
    counter = shelf.counter("d", (2, HOUR, True))
    for _ in range(20):
        await shelf.store.create(creation(counter))
    shelf.clock.now += HOUR
    lengths = []
    for _ in range(9):
        await shelf.store.create(creation(counter))
        shelf.clock.now += HOUR // 2
        lengths.append(await shelf.client.strlen(f"{shelf.prefix}:{{7}}:l:d") // 6)
    assert set(lengths) == {2, 3, 4}


async def test_too_many_wrong_codes_refuse_a_new_start_and_a_new_code_gives_no_new_guesses(shelf: Shelf) -> None:
    for round_ in range(2):
        made = creation(guesses=(4, HOUR), checks=2)
        assert isinstance(await shelf.store.create(made), Created), round_
        for code in wrongs(2):
            await shelf.store.check(guess(made, code))
    assert await shelf.store.create(creation(guesses=(4, HOUR))) == Guessed(shelf.clock.now, HOUR)
    other = await shelf.store.create(creation(guesses=(4, HOUR), target="somebody else"))
    assert isinstance(other, Created)
    shelf.clock.now += HOUR
    assert isinstance(await shelf.store.create(creation(guesses=(4, HOUR))), Created)


@pytest.mark.parametrize("shard", [7, 9])
async def test_a_start_after_the_wait_for_wrong_codes_passes_the_limits_too(shelf: Shelf, shard: int) -> None:
    """Wherever the limit's counter lies. What says sooner than the longest of them says it in vain."""
    counter = shelf.counter("c", (1, 3 * HOUR, False), shard=shard)
    made = creation(counter, guesses=(2, HOUR))
    await shelf.store.create(made)
    for code in wrongs(2):
        await shelf.store.check(guess(made, code))
    refused = await shelf.store.create(creation(counter, guesses=(2, HOUR)))
    assert refused == Guessed(shelf.clock.now, 3 * HOUR)
    shelf.clock.now += 3 * HOUR
    assert isinstance(await shelf.store.create(creation(counter, guesses=(2, HOUR))), Created)


async def test_a_repeated_start_is_told_the_first_and_makes_nothing(shelf: Shelf) -> None:
    counter = shelf.counter("d", (1, HOUR, False))
    made = creation(counter, idempotency=repeat())
    await shelf.store.create(made)
    before = await shelf.keys()
    again = await shelf.store.create(creation(counter, idempotency=repeat()))
    assert again == Replayed(shelf.clock.now, made.id, b"")
    assert await shelf.keys() == before


async def test_the_same_key_for_another_request_is_a_mismatch(shelf: Shelf) -> None:
    await shelf.store.create(creation(idempotency=repeat()))
    with pytest.raises(Mismatch):
        await shelf.store.create(creation(idempotency=repeat(body=b"other")))


async def test_a_start_that_waits_is_running_until_its_answer_is_kept(shelf: Shelf) -> None:
    first = repeat(busy=10_000)
    made = creation(idempotency=first)
    await shelf.store.create(made)
    with pytest.raises(Running):
        await shelf.store.create(creation(idempotency=first))
    await shelf.store.keep_answer(first, b"{}")
    await shelf.store.keep_answer(first, b"later")
    assert await shelf.store.create(creation(idempotency=first)) == Replayed(shelf.clock.now, made.id, b"{}")


async def test_a_start_whose_caller_died_while_it_waited_is_running_no_longer_than_it_may(shelf: Shelf) -> None:
    made = creation(idempotency=repeat(busy=10_000))
    await shelf.store.create(made)
    shelf.clock.now += 10_000
    assert await shelf.store.create(creation(idempotency=repeat(busy=10_000))) == Replayed(
        shelf.clock.now, made.id, b""
    )


async def test_a_refused_start_leaves_its_idempotency_key_free(shelf: Shelf) -> None:
    full = shelf.counter("full", (1, HOUR, False))
    await shelf.store.create(creation(full))
    assert isinstance(await shelf.store.create(creation(full, idempotency=repeat())), Limited)
    shelf.clock.now += HOUR
    assert isinstance(await shelf.store.create(creation(full, idempotency=repeat())), Created)


async def test_every_key_of_a_store_has_an_end_but_the_timers(shelf: Shelf) -> None:
    made = creation(shelf.counter("d", (3, HOUR, False)), idempotency=repeat())
    await shelf.store.create(made)
    await shelf.store.check(guess(made, "000000", idempotency=repeat("check")))
    for key in await shelf.client.keys(f"{shelf.prefix}:*"):
        most = 3 * made.keep if b":t:" in key else made.keep  # what many have in common goes after the last of them
        assert key.endswith(b":due") or 0 < await shelf.client.pttl(key) <= most, key


async def test_a_store_that_is_away_is_unavailable_and_says_no_more_than_that() -> None:
    away = Store(connect("unix:///nowhere/valkey.sock", timeout=0.2), clock=Clock())
    with pytest.raises(Unavailable, match=r"^create: not connected \(FileNotFoundError\)$"):
        await away.create(creation())
    await away.close()


async def test_the_stores_clock_decides_when_no_other_is_given(valkey: str) -> None:
    shelf = Shelf(valkey)
    store = Store(connect(shelf.url), prefix=shelf.prefix)
    made = creation(life=DAY)
    created = await store.create(made)
    seconds, micros = await shelf.client.time()
    assert abs(created.now - (seconds * 1000 + micros // 1000)) < 2_000
    await store.close()
    await shelf.client.aclose()


async def test_a_host_whose_clock_is_wrong_goes_by_the_stores(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(valkey)
    right = Store(connect(shelf.url), prefix=shelf.prefix).now()
    monkeypatch.setattr("gateway.store.valkey.time.time", lambda: right / 1000 + 3_600)
    store = Store(connect(shelf.url), prefix=shelf.prefix)
    assert store.now() - right == pytest.approx(HOUR, abs=5_000)
    await store.create(creation())
    assert store.now() - right == pytest.approx(0, abs=5_000)
    monkeypatch.setattr("gateway.store.valkey.time.time", lambda: right / 1000 - 3_600)
    assert store.now() - right == pytest.approx(0, abs=5_000), "a clock that is set while it runs changes nothing"
    await store.close()


async def test_an_answer_that_was_long_under_way_sets_no_clock_back(valkey: str) -> None:
    shelf, own = Shelf(valkey), [1_000.0]
    store = Store(connect(shelf.url), prefix=shelf.prefix, own=lambda: own[0])
    await store.create(creation())
    before = store.now()
    store._heard(before, store.elapsed(), store.elapsed() + 20_000)
    assert store.now() == before, "and not twenty seconds earlier"
    store._heard(before + 60_000, store.elapsed(), store.elapsed() + 20_000)
    assert store.now() == before + 40_000, "a machine that was suspended comes as far as is certain"
    store._heard(before - 7_000, store.elapsed(), store.elapsed() + 20_000)
    assert store.now() == before - 7_000, "a store whose clock is behind the last one's is believed"
    await store.close()
