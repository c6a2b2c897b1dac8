"""The load: a fixed number of connections, each sending its next request when the last is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Request = Callable[[], bytes]
"""Makes the bytes of the next request."""


@dataclass
class Result:
    """What one run measured."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    refusal: bytes = b""  # the last answer that failed
    bodies: list[bytes] = field(default_factory=list)

    @property
    def throughput(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Client(asyncio.Protocol):
    """One connection that keeps exactly one request under way. Parses only as much HTTP as the gateway answers."""

    def __init__(self, next_request: Request, result: Result, quota: list[int], keep: bool, status: bytes) -> None:
        self._next = next_request
        self._result = result
        self._quota = quota
        self._keep = keep
        self._status = status
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if self._quota[0] <= 0:
            self._transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self._quota[0] -= 1
        self._began = time.perf_counter()
        self._transport.write(self._next())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self._result.latencies.append(time.perf_counter() - self._began)
        if not head.startswith(b"HTTP/1.1 " + self._status):
            self._result.failures += 1
            self._result.refusal = rest
        if self._keep:
            self._result.bodies.append(rest)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed a connection"))


async def run(
    port: int, requests: int, connections: int, next_request: Request, *, status: bytes, keep: bool = False
) -> Result:
    """Send `requests` over `connections`. Failures are answers with another status than `status`."""
    loop = asyncio.get_running_loop()
    result, quota = Result(), [requests]
    began = time.perf_counter()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(next_request, result, quota, keep, status), "127.0.0.1", port
        )
        clients.append(client.done)
    await asyncio.gather(*clients)
    result.seconds = time.perf_counter() - began
    return result


def post(path: str, body: bytes, *headers: str) -> bytes:
    """The bytes of one request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
