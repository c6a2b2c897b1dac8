"""Waits that grow: their steps, and that the moment they tell is the first one that passes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.waits import growing, left, standing

GROWN = growing(30_000, 2, 1_920_000)


def test_each_wait_is_so_many_times_the_one_before_up_to_the_longest() -> None:
    assert growing(30_000, 2, 200_000) == (30_000, 60_000, 120_000, 200_000)
    assert GROWN == (30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000)
    assert growing(30_000, 1, 1_000) == (30_000,)  # flat: the longest has no say
    assert growing(30_000, 2, 60_000, free=2) == (0, 0, 30_000, 60_000)


def test_the_wait_grows_with_each_event_and_shrinks_when_one_leaves_the_window() -> None:
    window, times = 3_600_000, [0, 30_000, 90_000]
    assert left(times, GROWN, window, 90_000) == 120_000
    assert left(times, GROWN, window, 3_600_001) == 0
    assert left([0, 3_599_000], GROWN, window, 3_599_500) == 29_500  # the first leaves before its 60 s are over
    assert left([0, 3_599_000], GROWN, window, 3_599_500) < left([1_000_000, 3_599_000], GROWN, window, 3_599_500)


def test_who_is_refused_is_told_the_wait_that_holds() -> None:
    assert standing(GROWN, 3_600_000, 100_000) == 120_000
    assert standing((30_000,), 30_000, 20_000) == 30_000
    assert standing((), 600_000, 20_000) == 600_000


@given(
    st.lists(st.integers(0, 200), min_size=1, max_size=8),
    st.sampled_from([growing(3, 2, 40), growing(5, 3, 50), growing(7, 1, 7), growing(4, 2, 30, free=3)]),
    st.integers(50, 120),
    st.integers(0, 100),
)
def test_the_wait_is_the_first_moment_at_which_the_events_in_the_window_allow_the_next(
    times: list[int], waits: tuple[int, ...], window: int, later: int
) -> None:
    times = sorted(times)
    now = times[-1] + later

    def passes(at: int) -> bool:
        inside = sum(other > at - window for other in times)
        return not inside or at >= times[-1] + waits[min(inside, len(waits)) - 1]

    assert left(times, waits, window, now) == next(wait for wait in range(1_000) if passes(now + wait))
