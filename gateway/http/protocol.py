"""uvicorn's HTTP protocol with two bounds that it lacks: how long a request's head may be, and how long it may take."""

from __future__ import annotations

import asyncio
import json
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.problems import KINDS, TYPE

LARGEST_HEAD = 32_768
"""Bytes of a request line and its headers, at the most. Ours have a few hundred."""
SLOWEST_HEAD = 10.0
"""Seconds in which they must have come: whoever dribbles them holds a connection for no work."""


def _problem(status: str, code: str) -> bytes:
    """The whole answer to what never became a request: no id, since none was given to it."""
    kind = KINDS[code]
    said = {"type": TYPE + code, "title": kind.title, "status": kind.status, "detail": kind.detail, "code": code}
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {kind.status} {status}\r\ncontent-type: application/problem+json\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


_TOO_LARGE = _problem("Request Header Fields Too Large", "head_too_large")
_NO_HTTP = _problem("Bad Request", "malformed_http")


class Bounded(HttpToolsProtocol):
    """One connection."""

    _head = 0
    _reading_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._reading_head:
            self._head += len(data)
            if self._head > LARGEST_HEAD + 65_536:  # one read may hold a head and the start of its body
                self._refuse()
                return
        super().data_received(data)
        if self._reading_head and self._head > LARGEST_HEAD:
            self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head, self._reading_head = 0, True

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(SLOWEST_HEAD, self.transport.close)

    def _head_is_here(self) -> None:
        self._reading_head = False
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_NO_HTTP)
        self.transport.close()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
