"""Whole lives: a start, its message to a vendor over HTTP, two signed reports of it, and the check of its code."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bench.load import Request, Result
from channels import signing
from gateway.store import valkey
from gateway.store.link import Script
from gateway.store.plain import client

SECRET = "whsec_" + base64.b64encode(b"b" * 32).decode()
"""What the vendor and the gateway sign with."""
_KEYS = (b"b" * 32,)
_PORT = 18082

PROVIDER = {
    "type": "webhook",
    "url": f"http://127.0.0.1:{_PORT}/send",
    "channels": ["sms"],
    "secret": {"env": "BENCH_SECRET"},
    "price": {"sms": "0.0079 USD"},
}


class Wire(asyncio.Protocol):
    """One connection, to a server or of a client: gives each whole message to `heard`, with its head."""

    def __init__(self, heard: Callable[[Wire, bytes, bytes], None]) -> None:
        self._heard = heard
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write, self.close = transport.write, transport.close  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = int((head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]) or 0)
        if found and len(rest) >= length:
            self._buffer = rest[length:]
            self._heard(self, head, rest[:length])


class Client:
    """A connection to the gateway that asks one thing at a time."""

    def __init__(self) -> None:
        self.wire = Wire(self._heard)
        self._answer: asyncio.Future[bytes] | None = None

    async def ask(self, request: bytes, status: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self.wire.write(request)
        answer = await self._answer
        if not answer.startswith(b"HTTP/1.1 " + status):
            raise SystemExit(f"a life ended early: {answer.decode()}")
        return answer.partition(b"\r\n\r\n")[2]

    def _heard(self, _: Wire, head: bytes, body: bytes) -> None:
        assert self._answer is not None
        self._answer.set_result(head + b"\r\n\r\n" + body)


async def connected(port: int) -> Client:
    """A connection of its own."""
    made = Client()
    await asyncio.get_running_loop().create_connection(lambda: made.wire, "127.0.0.1", port)
    return made


class Vendor:
    """Takes each message at once, and tells whoever waits for it where to report to. One for all lives, since the
    gateway keeps its connections."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[str]] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: Wire(self._heard), "127.0.0.1", _PORT):
            yield

    def expect(self, to: str) -> asyncio.Future[str]:
        """The address for the reports of the message to this number."""
        return self._waiting.setdefault(to, asyncio.get_running_loop().create_future())

    def _heard(self, wire: Wire, _: bytes, body: bytes) -> None:
        data = json.loads(body)["data"]
        answer = b'{"message_id":"m-%d"}' % id(data)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
        wire.write(head + answer)
        self._waiting.pop(data["to"]).set_result(data["callback_url"])


def report(url: str, status: str) -> bytes:
    """A report as the vendor signs it."""
    body = json.dumps({"type": "message.report", "data": {"callback_url": url, "status": status}}).encode()
    signed = signing.headers(_KEYS, f"r-{status}-{url[-12:]}", int(time.time()), body)
    path = "/" + url.split("/", 3)[3]
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in signed.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def live(gateway: Client, vendor: Vendor, start: bytes, check: Callable[[str], bytes]) -> float:
    """One life. Gives back the seconds that it took."""
    body = json.loads(start.partition(b"\r\n\r\n")[2])
    began = time.perf_counter()
    address = vendor.expect(body["to"]["phone"])
    verification = json.loads(await gateway.ask(start, b"201"))["id"]
    url = await address
    for status in ("progress", "delivered"):
        await gateway.ask(report(url, status), b"204")
    answer = json.loads(await gateway.ask(check(verification), b"200"))
    assert answer["approved"], answer
    return time.perf_counter() - began


async def lives(
    vendor: Vendor, port: int, number: int, connections: int, starts: Request, check: Callable[[str], bytes]
) -> Result:
    """So many lives, each connection one after the other."""
    result, left = Result(), iter(range(number))

    async def one() -> None:
        gateway = await connected(port)
        for _ in left:
            result.latencies.append(await live(gateway, vendor, starts(), check))
        gateway.wire.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one())
    result.seconds = time.perf_counter() - began
    return result


@asynccontextmanager
async def counted(url: str) -> AsyncIterator[Counter[str]]:
    """Counts what clients ask the store meanwhile, each of which is one round trip: by the script's name, or the
    command's. Looks for due timers are left out, since they come by the clock and for no verification."""
    watcher, teller, seen = client(url), client(url), Counter[str]()
    names = {Script.of(valkey._script(name)).sha: name for name in valkey.SCRIPTS}  # noqa: SLF001 - what a script's hash is
    await teller.echo("here")
    async with watcher.monitor() as monitor:
        yield seen
        await asyncio.sleep(0.1)  # what is left to do after the last answer
        await teller.echo("done")
        while (row := await monitor.next_command())["command"] != "ECHO done":
            words = row["command"].split()
            if row["client_type"] != "lua":
                seen[names.get(words[1], "") if words[0] == "EVALSHA" else words[0]] += 1
    seen.pop("claim", None)
    await watcher.aclose()
    await teller.aclose()
