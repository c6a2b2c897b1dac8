"""uvicorn's HTTP protocol with bounds that it lacks: how many connections there may be, how long a request's head may
be, and how long it may take."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.http.direct import START
from gateway.http.problems import KINDS, TYPE, alone
from gateway.http.whole import Door, Whole

_START = START.encode()
_ASKS = b"POST %s HTTP/1.1\r\n" % _START
_LENGTH = b"\r\ncontent-length:"
_NOT_PLAIN = (b"transfer-encoding", b"expect", b"upgrade", b"close")
"""Words in a head that may change where a request ends, or what it is answered with."""
LARGEST_HEAD = 32_768
"""Bytes of a request line and its headers, at the most. Ours have a few hundred."""
SLOWEST_HEAD = 10.0
"""Seconds in which they must have come: whoever dribbles them holds a connection for no work."""


class _Answered:
    """Stands where uvicorn looks for the request under way, when it was answered before it became one."""

    response_complete = True
    keep_alive = False
    message_event = asyncio.Event()


_TOO_LARGE = alone("head_too_large")
_NO_HTTP = alone("malformed_http")
_FULL = alone("overloaded")


def _no_room() -> bytes:
    """A whole answer, as every request gets it. Written by hand: it is what must cost least."""
    id_ = str(uuid4()).encode()
    return b"%srequest-id: %s\r\n\r\n%s%s%s" % (_NO_ROOM_HEAD, id_, _NO_ROOM_BODY, id_, _NO_ROOM_END)


def _parts() -> tuple[bytes, bytes, bytes]:
    kind = KINDS["overloaded"]
    said = {"type": TYPE + "overloaded", "title": kind.title, "status": kind.status, "detail": kind.detail}
    body, end = json.dumps({**said, "code": "overloaded", "instance": "urn:uuid:"}).encode()[:-2], b'"}'
    head = (
        f"HTTP/1.1 {kind.status} Service Unavailable\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(body) + 36 + len(end)}\r\nretry-after: 1\r\ncache-control: no-store\r\n"
        "x-content-type-options: nosniff\r\n"
    )
    return head.encode(), body, end


_NO_ROOM_HEAD, _NO_ROOM_BODY, _NO_ROOM_END = _parts()


def _plain_start(data: bytes) -> bool:
    """Whether these bytes are one whole start, no more and no less, said as nearly all are. Whatever is said in another
    way is for the parser: to be wrong about where a request ends would give one caller another's answer."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(_ASKS):
        return False
    head = data[:end].lower()
    if head.count(b"content-length") != 1 or head.count(b"\n") != head.count(b"\r\n"):
        return False
    _, _, after = head.partition(_LENGTH)
    length = after.partition(b"\r\n")[0].strip(b" ")
    whole = len(length) < 10 and length.isdigit() and len(data) == end + 4 + int(length)
    return whole and not any(word in head for word in _NOT_PLAIN)


class Bounded(Whole):
    """One connection, of `most` at once. A start for which there is no room is answered before it is parsed, if it came
    in one piece, and else as soon as its head has come: to make a request of it would cost ten times as much, and
    others would wait for that."""

    _head = 0
    _reading_head = True
    _between = True  # no byte of a request has come that is not answered
    _rested = 0.0  # when it was last answered, by the loop's clock
    _deadline: asyncio.TimerHandle | None = None

    _answered = False

    def __init__(self, *how: Any, most: int, **more: Any) -> None:
        super().__init__(*how, **more)
        self._most = most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        if len(self.connections) > self._most:
            self._refuse(_FULL)
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        if self.timeout_keep_alive_task:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._door and self._door.room.full and self._between and self._idle and _plain_start(data):
            self._turn_away_unread(self._door)
            return
        if self._reading_head:
            self._head += len(data)
            if self._head > LARGEST_HEAD + 65_536:  # one read may hold a head and the start of its body
                self._refuse(_TOO_LARGE)
                return
        super().data_received(data)
        if self._reading_head and self._head:
            self._head_goes_on()
        if self._answered:  # and not all of it has come
            self.transport.close()

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        start = self.url == _START and self.parser.get_method() == b"POST"
        if self._door and start and self._idle and self._door.room.full:
            self._turn_away(self._door)
        else:
            super().on_headers_complete()

    def _turn_away_unread(self, door: Door) -> None:
        door.turned_away()
        self._head_is_here()
        self._reading_head = True  # the next one's
        self._rest()
        self._say_no()

    def _say_no(self) -> None:
        """Who asks on and on and takes no answer is hung up on: what waits to be taken would only grow."""
        self.transport.write(_no_room())
        if self.flow.write_paused:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """As uvicorn's own, but for the timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rest()

    def _unset_keepalive_if_required(self) -> None:
        """Called for all that comes. Timers are left as they are: to cancel one for each request and to make another
        for each answer would cost as much as to write it."""

    def _rest(self) -> None:
        self._rested = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)

    def _keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nobody has used it for so long. While a request is under way or its head has a
        deadline, that is seen to: the next answer makes another timer."""
        self.timeout_keep_alive_task = None
        left = self._rested + self.timeout_keep_alive - self.loop.time()
        if not self._idle or self._deadline:
            return
        if left > 0:
            self._keep_alive(left)
        else:
            super().timeout_keep_alive_handler()

    def _turn_away(self, door: Door) -> None:
        door.turned_away()
        self.cycle = cast("RequestResponseCycle", _Answered)
        if self.parser.should_keep_alive() and not self.transport.is_closing():
            self._answered = True
            self._say_no()
            self.on_response_complete()
        else:
            self._refuse(_FULL)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._head, self._reading_head, self._answered, self._between = 0, True, False, True

    def _head_goes_on(self) -> None:
        """A read has ended in the middle of it. Its time begins here, so that a request that came in one read needs no
        timer, and is not begun anew by blank lines, which may come before it for ever."""
        if self._head > LARGEST_HEAD:
            self._refuse(_TOO_LARGE)
        elif self._deadline is None:
            self._expect_head()

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

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
