"""Messages whose price is still to be asked for, and when: kept in memory, a bounded number, lost with the process."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from gateway.core.model import Attempt, AttemptStatus, Verification
from gateway.service.setup import Carrier

WAITS = (10_000, 60_000, 600_000)
"""Milliseconds before a message's price is asked for, and asked for again. Vendors settle a price within seconds or
minutes; for what takes longer there is the vendor's own bill."""

MOST = 10_000
"""Messages that wait at once, at about half a kilobyte each."""

_TOLD = frozenset({AttemptStatus.DELIVERED, AttemptStatus.FAILED, AttemptStatus.SILENT})


@dataclass(frozen=True, slots=True)
class Unpriced:
    """One message that a vendor took."""

    verification: str
    attempt: int
    provider: str
    message_id: str
    asked: int = 0  # times


class Agenda:
    """What is to be asked, by the time at which it is. Times are ms."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._heap: list[tuple[int, int, Unpriced]] = []
        self._ticket = count()
        self._known: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, item: Unpriced, now: int) -> bool:
        """Have it asked for. False when too many wait. One that waits already, or is being asked for, stays one."""
        if _name(item) in self._known:
            return True
        if len(self._known) >= self._most:
            return False
        self._known.add(_name(item))
        self._push(item, now)
        return True

    def due(self, now: int, room: int) -> list[Unpriced]:
        """Those whose time has come, `room` at the most. Each is given back by `later` or `done`."""
        found: list[Unpriced] = []
        while self._heap and len(found) < room and self._heap[0][0] <= now:
            found.append(heapq.heappop(self._heap)[2])
        return found

    def later(self, item: Unpriced, now: int) -> bool:
        """Ask for it again; False, and it is done, once it was asked for often enough."""
        if item.asked >= len(WAITS):
            self.done(item)
            return False
        self._push(item, now)
        return True

    def done(self, item: Unpriced) -> None:
        self._known.discard(_name(item))

    def _push(self, item: Unpriced, now: int) -> None:
        heapq.heappush(self._heap, (now + WAITS[item.asked], next(self._ticket), item))


def hear(agenda: Agenda, carriers: Mapping[str, Carrier], v: Verification, attempt: Attempt, now: int) -> bool:
    """Have the price asked for of a message that a turn gave an end, where the vendor tells prices only then. Silence
    is one as well: the message was taken, and is billed. False when there was no room for it."""
    if attempt.status not in _TOLD or not attempt.message_id or attempt.cost is not None:
        return True
    carrier = carriers.get(attempt.provider)
    item = Unpriced(v.id, attempt.number, attempt.provider, attempt.message_id)
    return carrier is None or not carrier.prices or agenda.add(item, now)


def _name(item: Unpriced) -> tuple[str, int]:
    return item.verification, item.attempt
