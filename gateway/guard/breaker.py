"""A circuit breaker: after too many faults of a provider's own it refuses at once, until one message has probed it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """Where a breaker stands. In the words of the metric `otp_breaker_state`."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Terms:
    """When a breaker opens, and for how long. Lengths are whole seconds.

    The sample keeps a quiet night with two failures from looking like an outage. Only answers that say something of the
    provider are in it: a refusal for the destination's sake is neither sound nor faulty, so that nobody can open a
    breaker with bad numbers, nor hide an outage behind them.
    """

    sample: int = 20  # answers in the window, before it may open
    share: float = 0.5  # of faults among them, from which it opens
    window: int = 30
    pause: int = 30  # from opening until a probe may go


class Entry(NamedTuple):
    """A message that was let through. To be settled, whatever becomes of it. A probe is known by its identity; all
    that pass a closed breaker in one era share an entry."""

    era: int
    probe: bool


class Breaker:
    """One circuit. Reads no clock: `now` is seconds on any clock that only goes forward.

    An answer counts only in the era in which its message was let through. So a slow success from before an outage does
    not close the breaker, and a burst of late failures does not open it again.
    """

    def __init__(self, terms: Terms) -> None:
        self.closed = True  # it lets everything through
        self._terms = terms
        self._counts: deque[tuple[int, list[int]]] = deque()  # by second: [sound, faulty]; at most window + 1 of them
        self._usual = Entry(0, probe=False)
        self._opened = 0.0
        self._probe: Entry | None = None

    def state(self, now: float) -> State:
        if self.closed:
            return State.CLOSED
        return State.OPEN if now < self._opened + self._terms.pause else State.HALF_OPEN

    def refuses(self, now: float) -> bool:
        """Whether a message that came now would be refused."""
        state = self.state(now)
        return state is State.OPEN or (state is State.HALF_OPEN and self._probe is not None)

    def enter(self, now: float, *, insist: bool = False) -> Entry | None:
        """Let one message through; None refuses it. Half open, exactly one is let through until it is settled.

        `insist` is for a message with nowhere else to go: it is let through in any state. It is no probe, but when it
        succeeds it has proved as much as one.
        """
        if self.closed:
            return self._usual
        refused = self.refuses(now)
        if refused and not insist:
            return None
        entry = Entry(self._usual.era, probe=not refused and self.state(now) is State.HALF_OPEN)
        if entry.probe:
            self._probe = entry
        return entry

    def settle(self, entry: Entry, sound: bool | None, now: float) -> None:
        """What came of it: sound, faulty, or None when it says nothing of the provider."""
        if entry is self._probe:
            self._probe = None  # also when nothing was learned: the next message probes
        if sound is None or entry.era != self._usual.era:
            return
        if self.closed:
            self._count(sound, now)
        elif sound:
            self._turn(None)
        elif entry.probe:
            self._turn(now)

    def _count(self, sound: bool, now: float) -> None:
        second = int(now)
        while self._counts and self._counts[0][0] <= second - self._terms.window:
            self._counts.popleft()
        if not self._counts or self._counts[-1][0] != second:
            self._counts.append((second, [0, 0]))
        self._counts[-1][1][0 if sound else 1] += 1
        if not sound and self._too_many():
            self._turn(now)

    def _too_many(self) -> bool:
        sound = sum(counts[0] for _, counts in self._counts)
        faulty = sum(counts[1] for _, counts in self._counts)
        total = sound + faulty
        return total >= self._terms.sample and faulty >= self._terms.share * total

    def _turn(self, opened: float | None) -> None:
        self.closed, self._opened = opened is None, opened or 0.0
        self._usual = Entry(self._usual.era + 1, probe=False)
        self._counts.clear()
