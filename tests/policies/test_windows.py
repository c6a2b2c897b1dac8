"""The counters in memory against the store's own script, which they must agree with to the millisecond."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.steps import Created, Limited
from policies.model import Counter, Counts, Limit
from policies.windows import Counted, Reserved, Windows, _Line
from tests.store.drafts import Shelf, creation

Rule = tuple[int, int, bool]  # amount, window, shadow
WINDOWS = (1_000, 5_000, 60_000)
AMOUNTS = st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=3, max_size=3)
"""A rule for each window. Others may share the counter, so it remembers as far back as any of them looks."""
STARTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 400, 999, 1_000, 4_999, 5_000, 30_000, 59_999, 60_000]),
        st.lists(st.tuples(st.integers(0, 2), AMOUNTS), min_size=1, max_size=3, unique_by=lambda pair: pair[0]),
    ),
    min_size=1,
    max_size=14,
)
"""Pauses, and the counters that each start reserves in, with rules that may be others each time."""


def counted(groups: Sequence[tuple[str, Sequence[Rule]]]) -> list[Counted]:
    return [(_counter(str(g), rules), subject) for g, (subject, rules) in enumerate(groups)]


def _counter(name: str, rules: Sequence[Rule]) -> Counter:
    limits = (
        Limit(f"{name}.{r}", "", "destination", "", amount, window, Counts.STARTS, shadow)
        for r, (amount, window, shadow) in enumerate(rules)
    )
    return Counter("", "destination", Counts.STARTS, ("phone",), tuple(limits))


def said(reserved: Reserved) -> tuple[str | None, int, set[str]]:
    by = reserved.by.name if reserved.by else None
    return by, reserved.wait, {limit.name for limit in reserved.shadows}


async def asked(shelf: Shelf, groups: Sequence[tuple[str, Sequence[Rule]]]) -> tuple[str | None, int, set[str]]:
    counters = (shelf.counter(subject, *rules)._replace(most=4, longest=60_000) for subject, rules in groups)
    answer = await shelf.store.create(creation(*counters))
    assert isinstance(answer, Created | Limited)
    shadows = {f"{counter}.{rule}" for counter, rule in answer.shadows}
    if isinstance(answer, Limited):
        return f"{answer.counter}.{answer.rule}", answer.wait, shadows
    return None, 0, shadows


async def differ(url: str, windows: Windows, starts: Sequence[Any]) -> list[str]:
    """Every start that the two decided differently."""
    shelf, faults = Shelf(url), []
    for pause, picked in starts:
        shelf.clock.now += pause
        groups = [
            (f"s{g}", [(amount, window, shadow) for (amount, shadow), window in zip(rules, WINDOWS, strict=True)])
            for g, rules in picked
        ]
        ours, theirs = said(windows.reserve(counted(groups), shelf.clock.now)), await asked(shelf, groups)
        if ours != theirs:
            faults.append(f"at {shelf.clock.now}: {ours}, and the store says {theirs}")
    await shelf.store.close()
    return faults


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STARTS)
def test_the_memory_decides_every_start_as_the_store_does(valkey: str, starts: list[Any]) -> None:
    assert asyncio.run(differ(valkey, Windows(), starts)) == []


class CountsRefusals(Windows):
    def reserve(self, counted: Any, now: int) -> Reserved:
        found = super().reserve(counted, now)
        if found.by:
            for counter, subject in counted:
                self._line((counter.scope, counter.per, counter.counts, subject), now).count(60_000, now)
        return found


class EnforcesShadows(Windows):
    def reserve(self, counted: Any, now: int) -> Reserved:
        found = super().reserve(counted, now)
        return found if found.by or not found.shadows else Reserved(found.shadows[0], 1)


class _Forgetful(_Line):
    def count(self, window: int, now: int) -> None:
        super().count(window, now)
        del self.times[:-1]


class ForgetsTheOlder(Windows):
    def _line(self, key: Any, now: int) -> _Line:
        return self._lines.setdefault(key, _Forgetful())


ONE = [(0, [(1, False), (2, False), (4, False)])]
SHADOW = [(0, [(1, True), (4, False), (4, False)])]


@pytest.mark.parametrize(
    ("planted", "starts"),
    [
        (CountsRefusals, [(0, ONE), (0, ONE), (1_000, ONE), (4_000, ONE)]),
        (EnforcesShadows, [(0, SHADOW), (0, SHADOW)]),
        (ForgetsTheOlder, [(0, ONE), (1_000, ONE), (1_000, ONE)]),
    ],
)
async def test_counters_with_a_planted_fault_are_caught(valkey: str, planted: type[Windows], starts: list[Any]) -> None:
    assert await differ(valkey, Windows(), starts) == []
    assert await differ(valkey, planted(), starts) != []


def test_a_limit_with_a_large_amount_costs_no_more_than_a_small_one_and_stays_exact() -> None:
    windows = Windows()
    big = counted([("s", [(1_000, 60_000, False)])])
    assert [windows.reserve(big, at).by for at in range(1_000)] == [None] * 1_000
    refused = windows.reserve(big, 1_000)
    assert (refused.by, refused.wait) == (big[0][0].limits[0], 59_000)
    assert windows.reserve(big, 60_000).by is None
    for at in range(60_001, 70_000):
        windows.reserve(big, at)
    assert len(windows._lines["", "destination", Counts.STARTS, "s"].times) <= 2_000


def test_counters_that_no_window_reaches_are_forgotten() -> None:
    windows = Windows()
    for at in range(30_000):
        windows.reserve(counted([(f"s{at}", [(1, 1_000, False)])]), at)
    assert len(windows) <= 4_096
