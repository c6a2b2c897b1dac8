"""Timers and commits: lease, fence, conflict, release, and nothing ever popped."""

from __future__ import annotations

import pytest

from gateway.core.model import Status
from gateway.store.document import unpack_journal
from gateway.store.steps import Committed, Conflict, Creation, Limited, Unknown
from tests.store.drafts import HOUR, Shelf, change, creation, guess

LEASE = 15_000


async def started(shelf: Shelf, **fields: int) -> Creation:
    made = creation(**fields)  # type: ignore[arg-type]
    await shelf.store.create(made)
    return made


async def test_nothing_is_claimed_before_it_is_due(shelf: Shelf) -> None:
    made = await started(shelf)
    shelf.clock.now += LEASE - 1
    claimed = await shelf.store.claim(LEASE, 10)
    assert (claimed.due, claimed.depth, claimed.next_due) == ((), 0, shelf.clock.now + 1)
    shelf.clock.now += 1
    due = (await shelf.store.claim(LEASE, 10)).due
    assert [(d.stored.verification.id, d.score) for d in due] == [(made.id, shelf.clock.now)]


async def test_a_claim_moves_the_timer_to_the_end_of_the_lease_and_fences_the_last_holder(shelf: Shelf) -> None:
    made = await started(shelf)
    shelf.clock.now += LEASE
    claimed = await shelf.store.claim(LEASE, 10)
    assert claimed.due[0].stored.verification.version == 2
    assert await shelf.timers() == {made.id: shelf.clock.now + LEASE}
    assert (await shelf.store.claim(LEASE, 10)).due == ()
    stale = await shelf.store.commit(change(made, 1, due=1))
    assert isinstance(stale, Conflict)
    assert stale.stored.verification.version == 2
    assert isinstance(await shelf.store.commit(change(made, 2, due=shelf.clock.now + 9)), Committed)
    assert await shelf.timers() == {made.id: shelf.clock.now + 9}


async def test_a_claim_that_is_never_worked_on_comes_again_when_its_lease_ends(shelf: Shelf) -> None:
    made = await started(shelf)
    for round_ in range(2, 5):
        shelf.clock.now += LEASE
        due = (await shelf.store.claim(LEASE, 10)).due
        assert [(d.stored.verification.id, d.stored.verification.version) for d in due] == [(made.id, round_)]


async def test_a_claim_takes_no_more_than_its_batch_and_tells_what_is_left(shelf: Shelf) -> None:
    made = [await started(shelf, shard=shard) for shard in (3, 3, 3, 7, 9)]
    shelf.clock.now += LEASE
    seen: set[str] = set()
    for left in (3, 1, 0):
        claimed = await shelf.store.claim(LEASE, 2)
        seen.update(d.stored.verification.id for d in claimed.due)
        assert claimed.depth == left
    assert seen == {m.id for m in made}


async def test_a_backlog_of_one_shard_does_not_starve_the_others(shelf: Shelf) -> None:
    """As many are due in one shard as a claim can take, again and again: the other shard still gets its turn."""
    crowd = [await started(shelf, shard=0) for _ in range(4)]
    lone = await started(shelf, shard=33)
    shelf.clock.now += LEASE
    for _ in range(64):
        due = (await shelf.store.claim(LEASE, 4)).due
        if lone.id in {d.stored.verification.id for d in due}:
            return
        await shelf.store.release([m.id for m in crowd])
    pytest.fail("one shard was never served")


async def test_an_ended_verification_is_disarmed_and_a_timer_without_one_is_removed(shelf: Shelf) -> None:
    made, lost = await started(shelf), await started(shelf)
    await shelf.store.check(guess(made))
    await shelf.client.delete(f"{shelf.prefix}:{{7}}:v:{lost.id}")
    shelf.clock.now += LEASE
    claimed = await shelf.store.claim(LEASE, 10)
    assert (claimed.due, claimed.orphans) == ((), 1)
    assert await shelf.timers() == {}


async def test_a_released_lease_is_claimed_at_once(shelf: Shelf) -> None:
    made, ended = await started(shelf), await started(shelf)
    await shelf.store.check(guess(ended))
    await shelf.store.release([made.id, ended.id])
    claimed = await shelf.store.claim(LEASE, 10)
    assert [d.stored.verification.id for d in claimed.due] == [made.id]
    assert claimed.orphans == 0, "what has ended got no timer back"


async def test_a_commit_writes_its_fields_its_journal_and_the_next_timer(shelf: Shelf) -> None:
    made = await started(shelf)
    assert isinstance(await shelf.store.commit(change(made, 1, due=shelf.clock.now + 77, k="k9")), Committed)
    stored, now = await shelf.store.read(made.id)
    assert (stored.key_id, stored.verification.version, unpack_journal(stored.journal)) == ("k9", 2, [[1, "told"]])
    assert await shelf.timers() == {made.id: now + 77}


async def test_a_commit_that_ends_disarms_erases_and_keeps_the_tombstone(shelf: Shelf) -> None:
    made = await started(shelf)
    await shelf.store.commit(change(made, 1, status=Status.CANCELED))
    stored, _ = await shelf.store.read(made.id)
    assert (stored.verification.status, stored.sealed) == (Status.CANCELED, None)
    assert stored.verification.ended_at == shelf.clock.now
    assert await shelf.timers() == {}
    assert (await shelf.store.check(guess(made))).verdict == "canceled"


async def test_a_commit_to_what_has_ended_arms_no_timer(shelf: Shelf) -> None:
    made = await started(shelf)
    await shelf.store.check(guess(made))
    assert isinstance(await shelf.store.commit(change(made, 2, due=shelf.clock.now)), Committed)
    assert await shelf.timers() == {}


async def test_a_commit_keeps_the_checks_that_were_used_meanwhile(shelf: Shelf) -> None:
    made = await started(shelf)
    await shelf.store.check(guess(made, "000000"))
    await shelf.store.commit(change(made, 1, due=shelf.clock.now + 9))
    assert (await shelf.store.read(made.id))[0].verification.checks_used == 1


async def test_a_commit_that_a_limit_refuses_changes_nothing(shelf: Shelf) -> None:
    full = shelf.counter("full", (1, HOUR, False))
    made = creation(full)
    await shelf.store.create(made)
    before = (await shelf.store.read(made.id), await shelf.timers())
    refused = await shelf.store.commit(change(made, 1, full, due=5))
    assert isinstance(refused, Limited)
    assert refused.wait == HOUR
    assert (await shelf.store.read(made.id), await shelf.timers()) == before


async def test_a_commit_to_what_is_gone_is_unknown_and_takes_its_timer_away(shelf: Shelf) -> None:
    made = await started(shelf)
    await shelf.client.delete(f"{shelf.prefix}:{{7}}:v:{made.id}")
    with pytest.raises(Unknown):
        await shelf.store.commit(change(made, 1))
    assert await shelf.timers() == {}
    with pytest.raises(Unknown):
        await shelf.store.read(made.id)


async def test_what_is_pending_without_a_timer_is_armed_again(shelf: Shelf) -> None:
    lost, ended, sound = await started(shelf), await started(shelf, shard=3), await started(shelf, shard=9)
    await shelf.store.check(guess(ended))
    await shelf.client.zrem(f"{shelf.prefix}:{{7}}:due", lost.id)
    swept = await _swept(shelf)
    assert swept == [lost.id]
    assert await shelf.timers() == {lost.id: shelf.clock.now + LEASE}
    assert await shelf.timers(shard=9) == {sound.id: shelf.clock.now + LEASE}
    assert await shelf.timers(shard=3) == {}
    assert await _swept(shelf) == []


async def _swept(shelf: Shelf) -> list[str]:
    """What one whole round finds, a few keys at a time, on a server with the keys of many others."""
    armed, cursor = list[str](), 0
    while True:
        swept = await shelf.store.sweep(cursor, 500, LEASE)
        armed += swept.armed
        cursor = swept.cursor
        if cursor == 0:
            return armed


async def test_a_document_that_can_not_be_read_does_not_stop_the_sweep(shelf: Shelf) -> None:
    lost, damaged = await started(shelf), await started(shelf)
    await shelf.client.set(f"{shelf.prefix}:{{7}}:v:{damaged.id}", b"\xc1", keepttl=True)
    await shelf.client.delete(f"{shelf.prefix}:{{7}}:due")
    assert await _swept(shelf) == [lost.id]
