"""The HTTP client under the providers: a bounded pool, a hard deadline, and faults told apart by what they left.

A request that never reached the vendor and one that was cut off while it waited for the answer look alike to a caller,
and are not: the second may have sent the message. Every fault therefore says whether it is ambiguous.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Self, TypeVar
from urllib.parse import urlsplit

from multidict import CIMultiDict

from channels.connection import RESPONSE_LIMIT, Connection, Server, Servers
from channels.contract import Context, ErrorClass, ProviderSettings, SendError

__all__ = ["RESPONSE_LIMIT", "Reply", "Transport", "basic", "fault", "refused", "retry_after"]

_CONNECT_LIMIT = 5.0
"""Seconds for a free connection. It is below the deadline, so that a deadline that passes means: already written."""
_RESTED = 15.0
"""Seconds for which a connection that nobody uses is kept. Vendors hang up after twenty or more, and who writes at that
very moment doesn't learn whether it arrived."""
_TURNS = 10  # of the loop, in which TLS as well lets go of a connection
_PORTS = {"http": 80, "https": 443}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """A vendor's whole answer, whatever its status. The body may repeat the number and the code: never log one."""

    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in any case
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Transport:
    """One provider's connections. A slow vendor fills its own pool and nobody else's.

    `timeout` is the whole of a request in seconds, from the wait for a free connection to the last byte;
    `concurrency` is how many requests are under way at the most, each on a connection of its own.
    """

    def __init__(self, *, user_agent: str, timeout: float, concurrency: int) -> None:
        self._always = f"User-Agent: {user_agent}\r\nAccept-Encoding: identity"
        self._timeout = timeout
        self._patience = min(timeout / 2, _CONNECT_LIMIT)
        self._places = asyncio.Semaphore(concurrency)
        self._servers = Servers()
        self._open: dict[Connection, Server] = {}
        self._resting: dict[Server, list[Connection]] = {}

    @classmethod
    def of(cls, settings: ProviderSettings, context: Context, *, concurrency: int = 0) -> Self:
        """As a provider's section of the configuration has it, unless it is to have fewer connections."""
        return cls(
            user_agent=context.user_agent,
            timeout=settings.timeout,
            concurrency=concurrency or settings.concurrency,
        )

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Ask once: nothing is repeated, no redirect is followed and no cookie kept. Raises SendError when no answer
        came."""
        origin, target = _split(url)
        server = _server(origin)
        request = self._written(method, target, server, headers or {}, body)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._place(began)
        try:
            connection = self._rested(server, began)
            if connection is None:
                connection = await self._soon(began, self._connected(server))
            left = began + self._timeout - loop.time()
            answer = await connection.ask(request, left, bodiless=method == "HEAD")
            if connection.usable:
                self._resting.setdefault(server, []).append(connection)
        finally:
            self._places.release()
        return Reply(answer.status, CIMultiDict(answer.headers), answer.body)

    async def close(self) -> None:
        """Hang up. What is under way fails."""
        for connection in list(self._open):
            connection.end()
        for _ in range(_TURNS):
            if self._open:
                await asyncio.sleep(0)  # the loop closes what it was told to let go of

    async def _place(self, began: float) -> None:
        if self._places.locked():
            await self._soon(began, self._places.acquire())
        else:
            await self._places.acquire()  # at once

    def _rested(self, server: Server, now: float) -> Connection | None:
        """The connection that was used last, if there is one."""
        resting = self._resting.get(server)
        while resting:
            connection = resting.pop()
            if connection.usable and now - connection.rested < _RESTED:
                return connection
            connection.end()
        return None

    async def _connected(self, server: Server) -> Connection:
        connection = await self._servers.connected(server, self._gone)
        self._open[connection] = server
        return connection

    def _gone(self, connection: Connection) -> None:
        server = self._open.pop(connection, None)
        if server and connection in self._resting.get(server, ()):
            self._resting[server].remove(connection)

    async def _soon(self, began: float, wanted: Awaitable[T]) -> T:
        """What has to be waited for before anything is sent. Raises SendError."""
        try:
            async with asyncio.timeout_at(began + self._patience):
                return await wanted
        except TimeoutError:
            raise SendError(ErrorClass.PROVIDER_DOWN, "connect_timeout") from None
        except OSError as error:
            raise fault(error) from None  # the original may quote the address

    def _written(self, method: str, target: str, server: Server, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {server.named}", self._always]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""])
        if head.count("\n") != len(lines) + 2 or head.count("\r") != len(lines) + 2:
            raise SendError(ErrorClass.REQUEST_BUG, "bad_header")  # a value with a line break in it
        return head.encode() + body


def basic(user: str, password: str) -> str:
    """An Authorization header: RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _split(url: str) -> tuple[str, str]:
    """The origin of a URL, of which a provider has few, and the rest, which may name a person. Raises SendError."""
    at = url.find("/", len("https://"))
    origin, target = (url[:at], url[at:]) if at > 0 else (url, "/")
    if not (url.isascii() and url.isprintable()) or " " in url or "#" in url or "?" in origin:
        raise SendError(ErrorClass.REQUEST_BUG, "bad_url")
    return origin, target


@lru_cache(maxsize=64)
def _server(origin: str) -> Server:
    try:
        parsed = urlsplit(origin)
        port = parsed.port or _PORTS[parsed.scheme]
    except (ValueError, KeyError):
        raise SendError(ErrorClass.REQUEST_BUG, "bad_url") from None
    if not parsed.hostname or "@" in parsed.netloc:
        raise SendError(ErrorClass.REQUEST_BUG, "bad_url")
    return Server(parsed.scheme == "https", parsed.hostname, port, parsed.netloc)


# Read from the top: the first kind that fits. Each of them inherits from the last one.
_FAULTS: tuple[tuple[type[OSError], str], ...] = (
    (socket.gaierror, "dns"),
    (ssl.SSLError, "tls"),
    (OSError, "refused"),
)


def fault(error: OSError) -> SendError:
    """Why there is no connection, in the contract's terms. Nothing was sent."""
    word = next(word for kind, word in _FAULTS if isinstance(error, kind))
    return SendError(ErrorClass.PROVIDER_DOWN, word)


def refused(reply: Reply, error: ErrorClass, code: str = "") -> SendError:
    """A refusal that did arrive. After a 5xx or a 408 nobody knows how far the vendor got: those are ambiguous."""
    ambiguous = reply.status >= 500 or reply.status == 408
    return SendError(error, code, ambiguous=ambiguous, retry_after=retry_after(reply.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to stay away: RFC 9110, section 10.2.3, as a number or as a date.

    A date is measured against the answer's own Date, so that neither clock has to be right.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    until, now = _date(value), _date(headers.get("Date", ""))
    if until is None or now is None:
        return None
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else None
