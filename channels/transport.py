"""The HTTP client under the providers: a bounded pool, a hard deadline, and faults told apart by what they left.

A request that never reached the vendor and one that was cut off while it waited for the answer look alike to a caller,
and are not: the second may have sent the message. Every fault therefore says whether it is ambiguous.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Self

import aiohttp

from channels.contract import Context, ErrorClass, ProviderSettings, SendError

RESPONSE_LIMIT = 64 * 1024
"""Bytes of an answer that are read. No vendor's answer to a send comes near it."""

_CONNECT_LIMIT = 5.0  # seconds; aiohttp rounds longer ones up to whole seconds


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
    `concurrency` is how many connections there are at the most. The session is made by the first request, in its loop.
    """

    def __init__(self, *, user_agent: str, timeout: float, concurrency: int) -> None:
        self._user_agent = user_agent
        self._timeout = timeout
        self._concurrency = concurrency
        self._session: aiohttp.ClientSession | None = None

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
        """Ask once: nothing is repeated and no redirect is followed. Raises SendError when no answer came."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(method, url, headers or {}, body)
        except (aiohttp.ClientError, OSError) as error:
            raise fault(error) from None  # the original may quote the URL

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        session = self._open()
        async with session.request(method, url, headers=headers, data=body or None, allow_redirects=False) as response:
            return Reply(response.status, response.headers, await _read(response))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._concurrency),
                # The connection's limit is below the deadline, so that a deadline that passes means: already written.
                timeout=aiohttp.ClientTimeout(total=None, connect=min(self._timeout / 2, _CONNECT_LIMIT)),
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > RESPONSE_LIMIT:
            raise SendError(ErrorClass.PROVIDER_DOWN, "oversized", ambiguous=True)
    return bytes(body)


# Read from the top: the first kind that fits. aiohttp's classes inherit from each other and from OSError, so the
# order is the meaning. The last column says whether the vendor may have acted on the request.
_FAULTS: tuple[tuple[type[Exception], ErrorClass, str, bool], ...] = (
    (aiohttp.InvalidURL, ErrorClass.REQUEST_BUG, "bad_url", False),
    (aiohttp.NonHttpUrlClientError, ErrorClass.REQUEST_BUG, "bad_url", False),
    (aiohttp.ClientConnectorDNSError, ErrorClass.PROVIDER_DOWN, "dns", False),
    (aiohttp.ClientSSLError, ErrorClass.PROVIDER_DOWN, "tls", False),
    (aiohttp.ClientConnectorError, ErrorClass.PROVIDER_DOWN, "refused", False),
    (aiohttp.ConnectionTimeoutError, ErrorClass.PROVIDER_DOWN, "connect_timeout", False),
    (TimeoutError, ErrorClass.PROVIDER_DOWN, "timeout", True),
    (aiohttp.ClientPayloadError, ErrorClass.PROVIDER_DOWN, "cut_off", True),
    (aiohttp.ClientResponseError, ErrorClass.PROVIDER_DOWN, "not_http", True),
    (Exception, ErrorClass.PROVIDER_DOWN, "reset", True),
)


def fault(error: Exception) -> SendError:
    """A network fault in the contract's terms. Its vendor code is one of the ten words of this module."""
    for kind, remedy, word, ambiguous in _FAULTS:
        if isinstance(error, kind):
            return SendError(remedy, word, ambiguous=ambiguous)
    raise AssertionError("the last row fits every exception")


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
