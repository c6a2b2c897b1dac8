"""Waits that grow, as the store's script has them: the model in policies/waits.py to the millisecond, and no guess on
the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store import valkey as module
from gateway.store.steps import Created, Creation, Guessed, Limited
from gateway.store.wants import Rule
from policies.waits import growing, left
from tests.store.drafts import HOUR, Shelf, creation, guess, wrongs

WAITS = growing(1_000, 2, 8_000)
WINDOW = 20_000
DELAYS = (2, 30_000, 120_000)  # as growing(30_000, 2, 120_000, free=2) makes them


async def differ(url: str, pauses: Sequence[int]) -> list[str]:
    """Every start that the store and the model disagreed on, in whether, how long, and when the next one may come."""
    shelf, passed, faults = Shelf(url), [], []
    counter = shelf.counter("grows", Rule(1, WINDOW, False, WAITS))
    for pause in pauses:
        now = shelf.clock.now = shelf.clock.now + pause
        expected = left(passed, WAITS, WINDOW, now)
        answer = await shelf.store.create(creation(counter))
        assert isinstance(answer, Created | Limited)
        if isinstance(answer, Created):
            passed.append(now)
        said = answer.wait if isinstance(answer, Limited) else answer.again - now
        true = expected or left(passed, WAITS, WINDOW, now)
        if isinstance(answer, Created) is bool(expected) or said != true:
            faults.append(f"after {pauses}: {answer}, where the model waits {expected}")
            break
    await shelf.store.close()
    return faults


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0, 1, 999, 1_000, 2_000, 4_000, 7_999, 8_000, 12_000]), min_size=1, max_size=14))
def test_the_store_waits_exactly_as_the_model_does(valkey: str, pauses: list[int]) -> None:
    assert asyncio.run(differ(valkey, pauses)) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("times[1] + waits[i])", "times[1] + waits[1])"),  # never grows
        ("times[i + 1] and times[i + 1] + window or 0", "times[i + 1] and times[1] + window or 0"),  # never decays
    ],
)
def test_a_script_with_a_planted_fault_is_caught(
    valkey: str, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module._source("prelude").count(right) == 1
    monkeypatch.setattr(module, "_source", lambda name, read=module._source: read(name).replace(right, wrong))
    pauses = [0, 1_000, 1_000, 1_000, 4_000, 12_000, 2_000, 1_000, 4_000, 12_000, 12_000, 1_000]
    assert asyncio.run(differ(valkey, pauses)) != []


def guessable(target: str = "target") -> Creation:
    made = creation(guesses=(20, HOUR), target=target)
    return replace(made, fields={**made.fields, "D": DELAYS})


async def test_a_check_in_the_delay_is_not_compared_and_costs_nothing(shelf: Shelf) -> None:
    made = guessable()
    await shelf.store.create(made)
    first, second = [await shelf.store.check(guess(made, code)) for code in wrongs(2)]
    assert (first.retry_at, first.left) == (0, 4)
    assert (second.retry_at, second.left) == (0, 3)
    third = await shelf.store.check(guess(made, "999999"))
    assert (third.verdict, third.left, third.retry_at) == ("wrong", 2, shelf.clock.now + 30_000)
    shelf.clock.now += 29_999
    early = await shelf.store.check(guess(made))  # the right code
    assert (early.verdict, early.left, early.retry_at) == ("locked", 2, third.retry_at)
    shelf.clock.now += 1
    assert (await shelf.store.check(guess(made))).verdict == "approved"


async def test_each_failed_check_doubles_the_delay_and_a_start_waits_for_it_too(shelf: Shelf) -> None:
    told = []
    for code in wrongs(6):
        made = guessable()
        await shelf.store.create(made)
        tried = await shelf.store.check(guess(made, code))
        wait = tried.retry_at - shelf.clock.now if tried.retry_at else 0
        refused = await shelf.store.create(guessable())
        assert (refused.wait if isinstance(refused, Guessed) else 0) == wait
        told.append(wait)
        shelf.clock.now += wait
    assert told == [0, 0, 30_000, 60_000, 120_000, 120_000]
