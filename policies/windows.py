"""The limits' counters in memory and in virtual time: what the store would count and refuse, without a store."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from policies import waits
from policies.model import Cap, Counter, Counts, Limit
from policies.purses import Purses
from policies.watches import Watching

Key = tuple[str, str, Counts, str]
"""What a counter is shared by: scope, dimensions, what it counts, and the subject."""

Counted = tuple[Counter, str]
"""A counter, and its subject in the clear. Each stands once in what is reserved together."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """What the counters said. `by` is the limit that refuses longest, and `wait` the ms until it no longer would;
    None when all were counted. `shadows` would have refused, and never do."""

    by: Limit | None = None
    wait: int = 0
    shadows: tuple[Limit, ...] = ()
    cap: Cap | None = None  # that refuses, before any limit is asked

    @property
    def passed(self) -> bool:
        return self.by is None and self.cap is None


_ALLOWED = Reserved()


@dataclass(slots=True)
class _Line:
    """Times, oldest first, for as long as the longest window that anybody has counted in here."""

    times: list[int] = field(default_factory=list)
    longest: int = 0

    def wait(self, limit: Limit, now: int) -> int:
        """The event that would be number `amount` + 1 in a window waits until the `amount`-th newest has left it."""
        if limit.waits:
            return waits.left(self.times, limit.waits, limit.window, now)
        return max(0, self.times[-limit.amount] + limit.window - now) if limit.amount <= len(self.times) else 0

    def count(self, window: int, now: int) -> None:
        self.longest = max(self.longest, window)
        self.times.append(now)
        if self.times[len(self.times) // 2] <= now - self.longest:  # seldom: each event costs the same
            del self.times[: bisect_right(self.times, now - self.longest)]

    @property
    def ends(self) -> int:
        """When nothing of it counts any more."""
        return self.times[-1] + self.longest if self.times else 0


class Windows:
    """Every counter of one run, its purses and its watches. The rules are those of the store's own script, which tests
    hold this to: all limits are counted or none, a refusal costs nothing, and a window slides to the millisecond."""

    def __init__(self) -> None:
        self.watching = Watching()
        self.purses = Purses()
        self._lines: dict[Key, _Line] = {}
        self._sweep_at = 4096

    def __len__(self) -> int:
        return len(self._lines)

    def reserve(self, counted: Iterable[Counted], now: int) -> Reserved:
        """Look at every limit at `now` (ms, never going back), and count in all of them or in none."""
        found = [((c.scope, c.per, c.counts, subject), c) for c, subject in counted]
        said = self._asked(found, now)
        if said.by is None:
            for key, counter in found:
                self._line(key, now).count(counter.longest, now)
        return said

    def _asked(self, found: list[tuple[Key, Counter]], now: int) -> Reserved:
        by: Limit | None = None
        longest, shadows = 0, []
        for key, counter in found:
            line = self._lines.get(key)
            for limit in counter.limits if line else ():
                wait = line.wait(limit, now) if line else 0
                if wait and limit.shadow:
                    shadows.append(limit)
                elif wait > longest:
                    by, longest = limit, wait
        return Reserved(by, longest, tuple(shadows)) if by or shadows else _ALLOWED

    def _line(self, key: Key, now: int) -> _Line:
        line = self._lines.get(key)
        if line is None:
            self._sweep(now)
            line = self._lines[key] = _Line()
        return line

    def _sweep(self, now: int) -> None:
        """Forget what no window reaches back to. Each sweep waits for as many new counters as were left."""
        if len(self._lines) < self._sweep_at:
            return
        self._lines = {key: line for key, line in self._lines.items() if line.ends > now}
        self._sweep_at = max(4096, 2 * len(self._lines))
