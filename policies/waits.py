"""Waits that grow: how long after each event the next one is refused, and when it no longer is."""

from __future__ import annotations

from collections.abc import Sequence

Waits = tuple[int, ...]
"""ms to wait after the first, second, ... event in a window; the last one holds for all that come after."""


def growing(first: int, growth: int, most: int, *, free: int = 0) -> Waits:
    """No wait after each of the `free` first events, then `first` ms, each time `growth` times longer, up to `most`."""
    waits = [min(first, most) if growth > 1 else first]
    while growth > 1 and waits[-1] < most:
        waits.append(min(waits[-1] * growth, most))
    return (*[0] * free, *waits)


def left(times: Sequence[int], waits: Waits, window: int, now: int) -> int:
    """ms until the next event may come, exact: `times` are those of the events before, oldest first.

    An event that leaves the window shortens the wait, so the answer is the earliest moment at which as many are in the
    window as allow it.
    """
    newest = times[: -len(waits) - 1 : -1]
    if not newest:
        return 0
    earliest = newest[0] + window
    for count, wait in enumerate(waits[: len(newest)], 1):
        alone = newest[count] + window if count < len(newest) else 0  # when no more than `count` are in the window
        earliest = min(earliest, max(alone, newest[0] + wait))
    return max(0, earliest - now)


def standing(waits: Waits, window: int, wait: int) -> int:
    """The window to tell whoever is refused for another `wait` ms: of waits that grow, the one that holds now."""
    return next((one for one in waits if one >= wait), window)
