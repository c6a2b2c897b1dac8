"""An open load on one address: so many requests a second, whether the earlier ones are answered or not."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

_TICK = 0.004


@dataclass
class Tally:
    """What came of a load. Times in seconds."""

    offered: int = 0
    unsent: int = 0  # every connection was waiting for an answer
    statuses: Counter[bytes] = field(default_factory=Counter)
    seconds: dict[bytes, list[float]] = field(default_factory=dict)
    hinted: int = 0  # answers with Retry-After
    took: float = 0.0

    def percentile(self, status: bytes, share: float) -> float:
        ordered = sorted(self.seconds.get(status, [0.0]))
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def typical(self, status: bytes) -> float:
        """The median of all that were offered; who got no such answer waits for ever."""
        answered = sorted(self.seconds.get(status, []))
        return answered[self.offered // 2] if len(answered) > self.offered // 2 else math.inf

    def rate(self, status: bytes) -> float:
        return self.statuses[status] / self.took

    def told(self) -> str:
        each = (
            f"{status.decode()}: {self.rate(status):.0f}/s, p50 {self.percentile(status, 0.5) * 1000:.1f} ms, "
            f"p99 {self.percentile(status, 0.99) * 1000:.1f} ms"
            for status in sorted(self.statuses)
        )
        return f"{self.offered / self.took:.0f}/s offered, {self.unsent} not sent; " + "; ".join(each)


class _Connection(asyncio.Protocol):
    def __init__(self, tally: Tally, free: Callable[[_Connection], None]) -> None:
        self._tally = tally
        self._free = free
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> None:
        self._began = time.perf_counter()
        self.transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, whole, rest = self._buffer.partition(b"\r\n\r\n")
        if not whole or len(rest) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self._buffer, status = b"", head[9:12]
        self._tally.statuses[status] += 1
        self._tally.hinted += b"etry-" in head
        self._tally.seconds.setdefault(status, []).append(time.perf_counter() - self._began)
        self._free(self)


async def flood(port: int, request: Callable[[], bytes], *, rate: float, seconds: float, connections: int) -> Tally:
    """Offer `rate` requests a second for so long, over so many connections at the most."""
    tally, idle = Tally(), deque[_Connection]()
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        _, connection = await loop.create_connection(lambda: _Connection(tally, idle.append), "127.0.0.1", port)
        idle.append(connection)
    made = list(idle)
    began = time.perf_counter()
    while (now := time.perf_counter() - began) < seconds:
        due = int(now * rate) - tally.offered
        for _ in range(due):
            if idle:
                idle.popleft().ask(request())
            else:
                tally.unsent += 1
        tally.offered += due
        await asyncio.sleep(_TICK)
    tally.took = time.perf_counter() - began
    await asyncio.sleep(0.3)
    for connection in made:
        connection.transport.close()
    return tally
