"""One HTTP/1.1 connection to a vendor, and how it is made: an answer belongs to the one request that is under way."""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

import httptools
from aiohappyeyeballs import start_connection

from channels.contract import ErrorClass, SendError

RESPONSE_LIMIT = 64 * 1024
"""Bytes of an answer that are read, and of its head. No vendor's answer to a send comes near it."""

_MOST = 8 * RESPONSE_LIMIT  # with what is around the pieces of a body, and after them
_REMEMBERED = 10.0
"""Seconds for which a server's addresses are not asked for again: a burst opens many connections."""
_HAPPY = 0.25
"""Seconds after which the next address is tried as well: RFC 8305, section 5."""
_CODINGS = (b"gzip", b"deflate")
_COMPRESSED = (b"\x1f", b"\x78")  # how those begin
_EITHER = zlib.MAX_WBITS | 32  # gzip and zlib alike


class Server(NamedTuple):
    """Where a request goes."""

    secure: bool
    host: str
    port: int
    named: str  # as the Host header has it


class Answered(NamedTuple):
    """An answer, as it came."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Connection(asyncio.Protocol):
    """Asks one thing at a time. `gone` is told when it has ended, whoever ended it.

    Answers are read by httptools (llhttp, with which Node.js reads HTTP). It calls what is named on_ something.
    """

    def __init__(self, gone: Callable[[Connection], None]) -> None:
        self.usable = False
        """Whether another request may follow: the last answer came whole, and nothing after it."""
        self.rested = 0.0  # the loop's time at which the last answer had come
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answered] | None = None
        self._transport: asyncio.Transport | None = None

    async def ask(self, request: bytes, seconds: float, *, bodiless: bool = False) -> Answered:
        """The answer to a request. Raises SendError, ambiguous always, since the request was written. `bodiless` is for
        HEAD, whose answer tells the length of a body that does not come."""
        answer: asyncio.Future[Answered] = self._loop.create_future()
        self._answer = answer
        self.usable, self._bodiless = False, bodiless
        self._heard, self._size, self._whole_head = 0, 0, False
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        late = self._loop.call_later(seconds, self._fail, "timeout")
        cast("asyncio.Transport", self._transport).write(request)
        try:
            found = await answer
        except BaseException:  # whoever asked may have given up: what comes for it must be nobody else's
            self.end()
            raise
        finally:
            late.cancel()
        if not self.usable:
            self.end()
        return found

    def end(self) -> None:
        """Hang up at once."""
        self.usable = False
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.usable, self.rested = True, self._loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._answer and not self._answer.done():
            if exc is None and self._whole_head and self._ends_with_the_connection():
                self._done()
            else:
                self._fail("cut_off" if self._whole_head else "reset")
        self._gone(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.end()  # more than was asked for
            return
        self._heard += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("not_http")
        if self._heard > (_MOST if self._whole_head else RESPONSE_LIMIT):
            self._fail("oversized")

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():  # a second answer in the same piece
            self.end()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._whole_head = True
        if self._bodiless and self._parser.get_status_code() >= 200:
            self._done()

    def on_body(self, chunk: bytes) -> None:
        self._body.append(chunk)
        self._size += len(chunk)
        if self._size > RESPONSE_LIMIT:
            self._fail("oversized")

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # RFC 9110, section 15.2: the final answer is still to come
            self._headers, self._whole_head = [], False
        elif self._answer and not self._answer.done():
            self.usable = self._parser.should_keep_alive()
            self.rested = self._loop.time()
            self._done()

    def _ends_with_the_connection(self) -> bool:
        """RFC 9112, section 6.3: a body that says no length is over when the connection is."""
        return {name.lower() for name, _ in self._headers}.isdisjoint((b"content-length", b"transfer-encoding"))

    def _done(self) -> None:
        body, headers = b"".join(self._body), [(str(n, "latin-1"), str(v, "latin-1")) for n, v in self._headers]
        if body[:1] in _COMPRESSED and self._compressed():
            body = self._inflated(body)
        if self._answer and not self._answer.done():
            self._answer.set_result(Answered(self._parser.get_status_code(), headers, body))

    def _compressed(self) -> bool:
        return any(name.lower() == b"content-encoding" and value in _CODINGS for name, value in self._headers)

    def _inflated(self, body: bytes) -> bytes:
        """A body that is compressed although nobody asked for that."""
        swelling = zlib.decompressobj(_EITHER)
        try:
            plain = swelling.decompress(body, RESPONSE_LIMIT + 1)
        except zlib.error:
            plain = b""
        if len(plain) > RESPONSE_LIMIT:
            self._fail("oversized")
        elif not swelling.eof:
            self._fail("cut_off")
        return plain

    def _fail(self, word: str) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(SendError(ErrorClass.PROVIDER_DOWN, word, ambiguous=True))
        self.end()


@cache
def tls() -> ssl.SSLContext:
    """Certificates are checked against the system's authorities, and names against certificates. Made once, since it
    reads all of the authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Servers:
    """Makes connections, and knows where servers are. `secured` says how those are that are to be secure."""

    def __init__(self, secured: Callable[[], ssl.SSLContext] = tls) -> None:
        self._secured = secured
        self._known: dict[Server, tuple[float, list[Any]]] = {}
        self._asking = asyncio.Lock()

    async def connected(self, server: Server, gone: Callable[[Connection], None]) -> Connection:
        """A new connection. Raises OSError, of which ssl.SSLError and socket.gaierror are kinds."""
        loop = asyncio.get_running_loop()
        try:
            reached = await start_connection(await self._places(server), happy_eyeballs_delay=_HAPPY, interleave=1)
        except OSError:
            self._known.pop(server, None)
            raise
        try:
            how: dict[str, Any] = {"ssl": self._secured(), "server_hostname": server.host} if server.secure else {}
            _, connection = await loop.create_connection(lambda: Connection(gone), sock=reached, **how)
        except BaseException:
            reached.close()
            raise
        if not connection.usable:
            raise ConnectionResetError("the server hung up at once")
        return connection

    async def _places(self, server: Server) -> list[Any]:
        loop = asyncio.get_running_loop()
        async with self._asking:  # those who need the same at once ask once
            until, places = self._known.get(server, (0.0, []))
            if until < loop.time():
                places = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
                self._known[server] = loop.time() + _REMEMBERED, places
        return places
