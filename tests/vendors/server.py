"""A vendor on loopback: it records what it is asked, answers what it is told to, and breaks as networks break."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web


class Break(Enum):
    """Where the connection breaks, once the request has been read."""

    SILENCE = "silence"  # no answer until the vendor is closed
    RESET = "reset"  # cut before a byte of the answer
    MIDWAY = "midway"  # cut in the middle of the body
    NOT_HTTP = "not_http"  # an answer that is no HTTP


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> list[tuple[str, str]]:
        """The fields in the order sent, repeated ones included."""
        return parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=bool(self.body))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: Break | None = None


def json_reply(status: int, content: object, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


class Vendor:
    """Answers from `replies` first, in their order, and then by `accept`, which says what a content vendor says.

    An asynchronous context manager: it listens on a port of 127.0.0.1 that the system picks. `gate`, when given, holds
    every answer until it is set; `most_under_way` is the most requests that it ever held at once.
    """

    def __init__(self, accept: Callable[[Received], Reply], *, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.replies: deque[Reply] = deque()
        self.gate: asyncio.Event | None = None
        self.under_way = 0
        self.most_under_way = 0
        self.base_url = ""
        self._accept = accept
        self._tls = tls
        self._closing = asyncio.Event()
        self._arrival = asyncio.Condition()

    async def __aenter__(self) -> Self:
        runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self._runner = runner
        self.base_url = f"{'https' if self._tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        if self.gate:
            self.gate.set()
        await self._runner.cleanup()

    async def reached(self, count: int) -> None:
        """Returns once `count` requests are being held."""
        async with asyncio.timeout(5), self._arrival:
            await self._arrival.wait_for(lambda: self.under_way >= count)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.method, request.path_qs, headers, await request.read())
        self.received.append(received)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        async with self._arrival:
            self._arrival.notify_all()
        try:
            if self.gate:
                await self.gate.wait()
            return await self._answer(request, self.replies.popleft() if self.replies else self._accept(received))
        finally:
            self.under_way -= 1

    async def _answer(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        if reply.broken is Break.SILENCE:
            await self._closing.wait()
        elif reply.broken is Break.MIDWAY:
            return await _cut_midway(request, reply)
        elif reply.broken is Break.NOT_HTTP and request.transport:
            request.transport.write(b"\x00\xff this is no HTTP\r\n\r\n")
            request.transport.close()
        elif reply.broken is Break.RESET and request.transport:
            request.transport.abort()
        return web.Response(status=reply.status, body=reply.body, headers=dict(reply.headers))


async def _cut_midway(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=dict(reply.headers))
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    assert request.transport is not None
    request.transport.abort()
    return response
