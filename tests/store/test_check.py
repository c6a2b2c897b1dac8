"""A check: claimed before it is compared, bound to what was bound, and spent by the first right code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.keys import new_id
from gateway.core.model import Status
from gateway.store.document import JOURNAL_LIMIT, pack, unpack_journal
from gateway.store.steps import Created, Mismatch, Misshapen, Tried, Unknown
from tests.store.drafts import CODE, DAY, HOUR, KEYS, Shelf, creation, guess, repeat, wrongs


async def verdicts(shelf: Shelf, *tries: object) -> list[str]:
    return [(await shelf.store.check(t)).verdict for t in tries]  # type: ignore[arg-type]


async def test_the_right_code_is_approved_once_and_then_spent(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    tried = await shelf.store.check(guess(made))
    assert (tried.verdict, tried.left) == ("approved", 0)
    assert tried.ended is not None
    assert tried.ended.status is Status.APPROVED
    assert await verdicts(shelf, guess(made), guess(made, "000000")) == ["spent", "spent"]


async def test_after_the_right_code_a_wrong_one_is_never_told_approved(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    await shelf.store.check(guess(made))
    assert (await shelf.store.check(guess(made, "000000"))).verdict == "spent"


async def test_an_end_erases_the_secrets_and_the_timer_and_keeps_a_tombstone(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    await shelf.store.check(guess(made))
    stored, _ = await shelf.store.read(made.id)
    assert stored.sealed is None
    assert await shelf.timers() == {}
    assert DAY - 5_000 < await shelf.client.pttl(f"{shelf.prefix}:{{7}}:v:{made.id}") <= DAY


async def test_wrong_codes_count_down_to_the_lock_and_then_the_right_one_is_refused(shelf: Shelf) -> None:
    made = creation(checks=3)
    await shelf.store.create(made)
    told = [await shelf.store.check(guess(made, code)) for code in wrongs(3)]
    assert [(t.verdict, t.left) for t in told] == [("wrong", 2), ("wrong", 1), ("locked", 0)]
    assert told[2].ended is not None
    assert await verdicts(shelf, guess(made)) == ["locked"]


async def test_the_last_check_may_still_be_the_right_one(shelf: Shelf) -> None:
    made = creation(checks=2)
    await shelf.store.create(made)
    assert await verdicts(shelf, guess(made, "000000"), guess(made)) == ["wrong", "approved"]


async def test_the_code_of_another_verification_is_wrong_and_costs_a_check(shelf: Shelf) -> None:
    one, two = creation(code="111111"), creation(code="222222")
    await shelf.store.create(one)
    await shelf.store.create(two)
    tried = await shelf.store.check(guess(two, "111111"))
    assert (tried.verdict, tried.left) == ("wrong", 4)


async def test_a_digest_made_for_another_verification_is_wrong(shelf: Shelf) -> None:
    one, two = creation(), creation()
    await shelf.store.create(one)
    await shelf.store.create(two)
    assert await verdicts(shelf, guess(two, digests=KEYS.digests(one.id, CODE))) == ["wrong"]


async def test_expiry_is_the_clocks_and_not_the_keys(shelf: Shelf) -> None:
    made, late = creation(), creation()
    await shelf.store.create(made)
    await shelf.store.create(late)
    shelf.clock.now += 599_999
    assert await verdicts(shelf, guess(made)) == ["approved"]
    shelf.clock.now += 1
    assert await verdicts(shelf, guess(late), guess(late)) == ["expired", "expired"]


@pytest.mark.parametrize("code", ["48291", "4829130", "48291A", "ABCDEF"])
async def test_what_can_not_be_this_code_costs_nothing(shelf: Shelf, code: str) -> None:
    made = creation()
    await shelf.store.create(made)
    with pytest.raises(Misshapen) as caught:
        await shelf.store.check(guess(made, code))
    assert (caught.value.length, caught.value.letters) == (6, False)
    assert (await shelf.store.read(made.id))[0].verification.checks_used == 0


async def test_digits_may_be_tried_where_the_code_has_letters(shelf: Shelf) -> None:
    made = creation(code="A1B2C3")
    await shelf.store.create(made)
    assert await verdicts(shelf, guess(made, "111111"), guess(made, "A1B2C3")) == ["wrong", "approved"]


async def test_a_foreign_app_and_an_unknown_id_look_alike(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    for attempt in (guess(made, app="bank"), guess(creation()), guess(made, id=new_id(9)), guess(made, id="ver_x")):
        with pytest.raises(Unknown):
            await shelf.store.check(attempt)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [({"context": b"c"}, "approved"), ({}, "wrong"), ({"context": b"d"}, "wrong")],
)
async def test_a_bound_context_must_be_repeated(shelf: Shelf, said: dict[str, bytes], verdict: str) -> None:
    made = creation(context=b"c")
    await shelf.store.create(made)
    assert await verdicts(shelf, guess(made, bound=said)) == [verdict]
    assert (await shelf.store.read(made.id))[0].verification.checks_used == 1


@pytest.mark.parametrize(
    ("said", "verdict"),
    [({"phone": b"phone"}, "approved"), ({"phone": b"other"}, "wrong"), ({"email": b"other"}, "wrong")],
)
async def test_an_address_that_is_repeated_must_be_the_one(shelf: Shelf, said: dict[str, bytes], verdict: str) -> None:
    made = creation()
    await shelf.store.create(made)
    assert await verdicts(shelf, guess(made, bound=said)) == [verdict]


async def test_the_guess_budget_outlives_the_code_and_success_renews_it(shelf: Shelf) -> None:
    first, second = creation(guesses=(3, HOUR)), creation(guesses=(3, HOUR))
    await shelf.store.create(first)
    await shelf.store.create(second)
    await verdicts(shelf, *(guess(first, code) for code in wrongs(2)))
    assert await verdicts(shelf, guess(first)) == ["approved"]
    assert await verdicts(shelf, *(guess(second, code) for code in wrongs(3))) == ["wrong"] * 3
    blocked = await shelf.store.check(guess(second))
    assert (blocked.verdict, blocked.left, blocked.retry_at) == ("locked", 2, shelf.clock.now + HOUR)


async def test_a_block_by_the_guess_budget_passes_when_the_wait_that_was_told_has(shelf: Shelf) -> None:
    made = creation(guesses=(1, 60_000))
    await shelf.store.create(made)
    await verdicts(shelf, guess(made, "000000"))
    blocked = await shelf.store.check(guess(made))
    shelf.clock.now = blocked.retry_at - 1
    assert await verdicts(shelf, guess(made)) == ["locked"]
    shelf.clock.now += 1
    assert await verdicts(shelf, guess(made)) == ["approved"]


async def test_a_repeated_check_hears_its_verdict_again_and_costs_nothing(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    right, wrong = repeat("right"), repeat("wrong")
    first = await shelf.store.check(guess(made, "000000", idempotency=wrong))
    again = await shelf.store.check(guess(made, "000000", idempotency=wrong))
    assert (first.verdict, first.left) == (again.verdict, again.left) == ("wrong", 4)
    answers = [await shelf.store.check(guess(made, idempotency=right)) for _ in range(3)]
    assert [a.verdict for a in answers] == ["approved"] * 3
    assert [a.ended is not None for a in answers] == [True, False, False]
    assert await verdicts(shelf, guess(made)) == ["spent"]


async def test_a_key_of_another_check_is_a_mismatch(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    await shelf.store.check(guess(made, "000000", idempotency=repeat()))
    with pytest.raises(Mismatch):
        await shelf.store.check(guess(made, idempotency=repeat(body=b"other")))


async def test_each_verdict_is_in_the_journal(shelf: Shelf) -> None:
    made = creation(checks=10)
    await shelf.store.create(made)
    shelf.clock.now += 5
    await verdicts(shelf, guess(made, "000000"), guess(made))
    stored, _ = await shelf.store.read(made.id)
    assert unpack_journal(stored.journal) == [[5, "wrong"], [5, "approved"]]


async def test_a_full_journal_takes_nothing_more_and_the_check_still_counts(shelf: Shelf) -> None:
    full = pack([0, "x" * (JOURNAL_LIMIT - 16)])
    made = creation()
    await shelf.store.create(replace(made, fields={**made.fields, "j": full}))
    for code in wrongs(4):
        await shelf.store.check(guess(made, code))
    stored, _ = await shelf.store.read(made.id)
    assert len(full) < len(stored.journal) <= JOURNAL_LIMIT
    assert stored.verification.checks_used == 4


async def test_a_check_does_not_fence_off_a_commit(shelf: Shelf) -> None:
    """A wrong code while a message is under way must not throw away what the provider answers."""
    made = creation()
    assert isinstance(await shelf.store.create(made), Created)
    before = (await shelf.store.read(made.id))[0].verification.version
    tried = await shelf.store.check(guess(made, "000000"))
    assert isinstance(tried, Tried)
    assert (await shelf.store.read(made.id))[0].verification.version == before
