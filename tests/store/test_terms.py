"""What verifications have in common is there for as long as any of them, is asked for once, and missed loudly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.model import Status
from gateway.store.steps import Conflict, Creation, Unavailable
from gateway.store.wire import Late
from tests.store.drafts import DAY, Shelf, change, creation, guess
from tests.store.test_round_trips import watching

LEASE = 15_000


async def started(shelf: Shelf, **fields: int) -> Creation:
    made = creation(**fields)  # type: ignore[arg-type]
    await shelf.store.create(made)
    return made


def place(shelf: Shelf, made: Creation) -> str:
    return f"{shelf.prefix}:{{{made.shard}}}:t:{made.terms.name}"


def stranger(shelf: Shelf) -> None:
    """From here on it is a process that has not met any terms."""
    shelf.store._reader._known.clear()


async def test_whoever_did_not_start_it_asks_for_its_terms_once(shelf: Shelf) -> None:
    first, second, elsewhere = await started(shelf), await started(shelf), await started(shelf, shard=8)
    own, _ = await shelf.store.read(first.id)
    stranger(shelf)
    async with watching(shelf) as commands:
        found, _ = await shelf.store.read(first.id)
        for made in (second, elsewhere):
            await shelf.store.read(made.id)
    assert found == own
    assert commands.count("GET") == 1


async def test_a_conflict_and_a_claim_are_read_with_terms_too(shelf: Shelf) -> None:
    made = await started(shelf)
    await shelf.store.commit(change(made, 1, due=shelf.clock.now))
    stranger(shelf)
    conflict = await shelf.store.commit(change(made, 1, due=1))
    assert isinstance(conflict, Conflict)
    stranger(shelf)
    (due,) = (await shelf.store.claim(LEASE, 10)).due
    assert conflict.stored.verification.steps == due.stored.verification.steps != ()


async def test_terms_outlive_the_tombstone_of_whatever_ends_last(shelf: Shelf) -> None:
    made = await started(shelf)
    assert made.keep > DAY
    await shelf.client.pexpire(place(shelf, made), 2 * made.keep - 1_000)  # as an hour later
    last = await started(shelf)
    assert await shelf.client.pttl(place(shelf, last)) > 2 * made.keep
    await shelf.store.commit(change(last, 1, status=Status.EXPIRED))
    assert await shelf.client.pttl(f"{shelf.prefix}:{{7}}:v:{last.id}") < made.keep


@pytest.mark.parametrize("end", ["checked", "canceled"])
async def test_what_ends_under_longer_tombstones_goes_when_its_start_said(shelf: Shelf, end: str) -> None:
    """Else it could not be read to its end, nor be found by whoever erases its destination."""
    plain = creation()
    trace = shelf.store.trace_key(7, "whom")
    made = replace(plain, wants=plain.wants._replace(traces=(trace,)))
    await shelf.store.create(made)
    if end == "checked":
        await shelf.store.check(guess(made, tombstone=31 * DAY))
    else:
        await shelf.store.commit(change(made, 1, status=Status.CANCELED)._replace(tombstone=31 * DAY))
    listed = await shelf.client.pttl(trace)
    assert 0 < await shelf.client.pttl(f"{shelf.prefix}:{{7}}:v:{made.id}") <= listed <= made.keep
    assert listed < await shelf.client.pttl(place(shelf, made))


async def test_terms_that_are_young_are_not_written_again(shelf: Shelf) -> None:
    made = await started(shelf)
    await shelf.client.pexpire(place(shelf, made), 2 * made.keep + 9_000_000)
    await started(shelf)
    assert await shelf.client.pttl(place(shelf, made)) < 2 * made.keep + 9_000_001


async def test_a_start_after_a_loss_brings_them_back_for_all(shelf: Shelf) -> None:
    """A process knows what it wrote, and must not believe that it still stands there."""
    made = await started(shelf)
    await shelf.client.delete(place(shelf, made))
    await started(shelf)
    stranger(shelf)
    assert (await shelf.store.read(made.id))[0].verification.steps


async def lost(shelf: Shelf, made: Creation) -> None:
    await shelf.client.delete(place(shelf, made))
    stranger(shelf)


@pytest.mark.parametrize(("code", "verdict"), [("482913", "approved"), ("000000", "wrong")])
async def test_a_code_is_checked_without_terms(shelf: Shelf, code: str, verdict: str) -> None:
    made = await started(shelf)
    await lost(shelf, made)
    tried = await shelf.store.check(guess(made, code))
    assert tried.verdict == verdict
    if tried.ended:
        assert (tried.ended.policy, tried.ended.purpose) == ("default", "login")


async def test_what_has_lost_its_terms_is_told_of_as_nothing_that_it_is_not(shelf: Shelf) -> None:
    made = await started(shelf)
    await lost(shelf, made)
    failed = []
    shelf.store._watch = lambda name, _seconds, bad: failed.append(name) if bad else None
    for asked in (shelf.store.read(made.id), shelf.store.commit(change(made, 7, due=1))):
        with pytest.raises(Unavailable) as fault:
            await asked
        assert str(fault.value) == f"terms: {place(shelf, made)} is lost"
    assert failed == ["terms", "terms"]


async def test_what_has_lost_its_terms_holds_up_no_other_timer(shelf: Shelf) -> None:
    made = await started(shelf)
    whole = await started(shelf, shard=8)
    await lost(shelf, made)
    shelf.clock.now += LEASE
    claimed = await shelf.store.claim(LEASE, 10)
    assert [due.stored.verification.id for due in claimed.due] == [whole.id]
    assert claimed.unread == (made.id,), "it comes back when its lease ends"


async def test_a_store_that_does_not_answer_makes_nothing_unreadable(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not damaged, and an operator need not look at it: its timer is due again when the lease ends."""
    made = await started(shelf)
    stranger(shelf)

    async def away(*_: object) -> None:
        raise Late("no answer in time")

    shelf.clock.now += LEASE
    with monkeypatch.context() as cut:
        cut.setattr(shelf.store._reader, "_found", away)
        claimed = await shelf.store.claim(LEASE, 10)
    assert (claimed.due, claimed.unread) == ((), ())
    shelf.clock.now += LEASE
    (due,) = (await shelf.store.claim(LEASE, 10)).due
    assert due.stored.verification.id == made.id


async def test_terms_that_are_remembered_are_bounded(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.reading._KEPT", 3)
    terms = creation().terms
    for number in range(10):
        shelf.store._reader.know(terms._replace(name=str(number)))
    assert list(shelf.store._reader._known) == ["7", "8", "9"]
