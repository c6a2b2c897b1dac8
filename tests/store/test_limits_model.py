"""The limits against a plain model of them: any starts, at any times, under any rules, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.steps import Created, Limited
from tests.store.drafts import Shelf, creation
from tests.store.limiting import Model, Rule, counters, plant, run

RULES = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([1_000, 5_000, 60_000]), st.sampled_from([False, False, True])),
    min_size=1,
    max_size=3,
)
GROUPS = st.lists(RULES, min_size=1, max_size=3)
PAUSES = st.lists(st.sampled_from([0, 1, 400, 999, 1_000, 4_999, 5_000, 30_000]), min_size=1, max_size=14)


async def differ(shelf: Shelf, groups: Sequence[Sequence[Rule]], pauses: Sequence[int]) -> list[str]:
    """Every way in which the store and the model disagreed."""
    model, faults = Model(groups), []
    asked = counters(shelf, groups)
    for pause in pauses:
        shelf.clock.now += pause
        expected = model.start(shelf.clock.now)
        answer = await shelf.store.create(creation(*asked))
        wait = answer.wait if isinstance(answer, Limited) else 0
        if wait != expected:
            faults.append(f"at {shelf.clock.now}: waits {wait} where the model waits {expected}")
    enforced = [rule for rules in groups for rule in rules if not rule[2]]
    faults += [f"{rule} was exceeded" for rule in enforced if model.passed and model.most(rule) > rule[0]]
    return faults


async def honest(shelf: Shelf, groups: Sequence[Sequence[Rule]]) -> bool:
    """Fill the limits; then the start after the told wait passes, and the one a millisecond before it does not."""
    asked = counters(shelf, groups)
    for _ in range(20):
        answer = await shelf.store.create(creation(*asked))
        if isinstance(answer, Limited):
            shelf.clock.now += answer.wait - 1
            early = await shelf.store.create(creation(*asked))
            shelf.clock.now += 1
            return isinstance(early, Limited) and isinstance(await shelf.store.create(creation(*asked)), Created)
        shelf.clock.now += 137
    return True  # only shadows: nothing ever refuses


_SETTINGS = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_SETTINGS
@given(GROUPS, PAUSES)
def test_the_store_limits_exactly_as_the_model_does(valkey: str, groups: list[list[Rule]], pauses: list[int]) -> None:
    assert run(valkey, lambda shelf: differ(shelf, groups, pauses)) == []


@_SETTINGS
@given(GROUPS)
def test_the_wait_that_is_told_is_honest_to_the_millisecond(valkey: str, groups: list[list[Rule]]) -> None:
    assert run(valkey, lambda shelf: honest(shelf, groups))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("add(key, most, most, window)", "add(key, 1, 0, window)"),  # forgets what the larger window needs
        ("oldest and (oldest + window - now) or 0", "oldest and 1 or 0"),  # tells a wait that is not true
        ("elseif wait > longest then", "elseif wait > longest and g == 1 then"),  # looks at one group only
        # Counts in the first group before the second has been asked.
        (
            "  for g, counter in ipairs(groups) do\n    for r",
            "  count(keys[1], 9, 60000)\n  for g, counter in ipairs(groups) do\n    for r",
        ),
    ],
)
def test_a_limiter_with_a_planted_fault_is_caught(
    valkey: str, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, right, wrong)
    groups = [[(2, 5_000, False), (3, 60_000, False)], [(1, 1_000, False)]]
    pauses = [0, 400, 600, 1_000, 0, 4_999, 1, 30_000, 1_000]
    assert run(valkey, lambda shelf: differ(shelf, groups, pauses)) != []
