"""Sums over a sliding window: what falls out of it, what the bounds of a share are, and how little it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.tally import Sum, Tally

MINUTE = 60_000


def test_what_is_older_than_the_window_is_not_in_the_sum() -> None:
    tally = Tally(40 * MINUTE)
    for minute in range(100):
        tally.add(minute * MINUTE, 1)
    assert tally.over(90 * MINUTE, 100 * MINUTE) == Sum(10, 10)


def test_only_the_newest_slices_are_counted_once_they_hold_enough() -> None:
    tally = Tally(40 * MINUTE)
    for minute in range(20):
        for _ in range(10):
            tally.add(minute * MINUTE, int(minute < 18))
    assert tally.over(0, 20 * MINUTE) == Sum(180, 200)
    assert tally.over(0, 20 * MINUTE, 20) == Sum(0, 20)


def test_a_part_of_a_slice_before_the_time_is_left_out() -> None:
    tally = Tally(40 * MINUTE)
    tally.add(MINUTE + 1, 1)
    assert tally.over(MINUTE + 2, 9 * MINUTE).number == 0


@given(st.lists(st.integers(0, 10**10)))
def test_it_holds_a_few_slices_whatever_comes(times: list[int]) -> None:
    tally = Tally(40 * MINUTE)
    for at in times:
        tally.add(at, 1)
    assert len(tally._slices) <= 42


@pytest.mark.parametrize(
    ("verified", "of", "low", "high"),
    [(0, 0, 0.0, 1.0), (30, 50, 0.462, 0.724), (0, 20, 0.0, 0.161), (20, 20, 0.839, 1)],
)
def test_the_bounds_of_a_share_are_wilsons(verified: int, of: int, low: float, high: float) -> None:
    assert Sum(verified, of).bounds() == pytest.approx((low, high), abs=0.001)
