"""uvicorn's protocol, with a shorter way for the calls that carry the load: in one piece in, in one piece out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import (
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from gateway.http.answer import Answer, Header
from gateway.http.call import Call
from gateway.http.direct import EXPECTED, START, Direct, known
from gateway.http.observation import SURROUNDING
from gateway.http.problems import alone
from gateway.http.room import Room

_BROKEN_OFF = alone("internal_error")
_CLOSE: Header = (b"connection", b"close")


@dataclass(frozen=True, slots=True)
class Door:
    """Where these calls come in. `turned_away` is told of each start for which there is no room, and `direct` gives
    what answers the others, as it is configured now."""

    room: Room
    turned_away: Callable[[], None]
    direct: Callable[[], Direct]


class Whole(HttpToolsProtocol):
    """One connection. uvicorn makes six objects of each request, and sends the answer as two messages, searching each
    header for what may not stand there: that costs more than to make the answer. Where all of a start, a check or a
    report came in one read, as nearly all do, none of it is needed. All else goes uvicorn's own way: other paths,
    bodies that are still coming, whoever expects `100 Continue` or asks before the last answer."""

    def __init__(self, *how: Any, door: Door | None = None, **more: Any) -> None:
        super().__init__(*how, **more)
        self._door = door
        self._call: Call | None = None  # whose head has come in this read
        self._default: tuple[list[Header], bytes] = ([], b"")  # what uvicorn adds to each answer; new every second

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._call:  # the rest of its body is still to come
            self._pass_on(self._call)

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        self._call = self._called()
        if self._call is None:
            self._hand_over()
        self.headers = []  # what a trailer says behind the body is no header: whoever stands before us has not seen it

    def on_body(self, body: bytes) -> None:
        if self._call and not self._call.body:
            self._call.body = body
            return
        if (
            self._call
        ):  # in chunks, which may be thousands of a few bytes: uvicorn adds them up without copying each time
            self._pass_on(self._call)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._call and self._door:
            call, self._call = self._call, None
            self.cycle = cast("RequestResponseCycle", call)
            self._carry_out(self._door, call)
        else:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._call = None
        super().send_400_response(msg)

    def _called(self) -> Call | None:
        parser = self.parser
        if self._door is None or parser.get_method() != b"POST" or not self._idle:
            return None
        path, _, query = self.url.partition(b"?")
        found = known(path.decode("latin-1"))
        unusual = self.expect_100_continue or parser.get_http_version() != "1.1" or parser.should_upgrade()
        if found is None or unusual or b"#" in query:
            return None
        return Call((path, query), found, self.headers, self.client, keep_alive=parser.should_keep_alive())

    def _pass_on(self, call: Call) -> None:
        """It goes uvicorn's way after all, with what has come of its body."""
        self._call = None
        self.headers = call.scope["headers"]
        self._hand_over()
        self.headers = []
        super().on_body(call.body)

    def _hand_over(self) -> None:
        """What has come of a request goes uvicorn's way from its beginning."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)  # the list that is part of what was begun
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._door and cycle.scope["path"] == START and cycle.scope["method"] == "POST":
            self._door.room.expect()
            cycle.scope["state"][EXPECTED] = True
        super()._start_asgi_task(cycle, app)

    def _carry_out(self, door: Door, call: Call) -> None:
        if call.route == START:
            door.room.expect()
        call.task = self.loop.create_task(self._carried_out(door, call))
        self.tasks.add(call.task)  # uvicorn waits for them when it stops

    async def _carried_out(self, door: Door, call: Call) -> None:
        if call.route == START:
            door.room.arrived()
        try:
            response, id_ = await door.direct().answer(call.route, call)
            if self.flow.write_paused and not call.disconnected:
                await self.flow.drain()
            self._write(call, self._whole(call, response, id_))
        except BaseException:
            call.keep_alive = False
            self._write(call, _BROKEN_OFF)
            raise
        finally:
            self.tasks.discard(call.task)

    def _whole(self, call: Call, response: Response, id_: str) -> bytes:
        if isinstance(response, Answer):
            lines, last = response.lines, False
        else:
            lines, last = _lines(response.raw_headers), _CLOSE in response.raw_headers
        close = b"" if call.keep_alive or last else b"%b: %b\r\n" % _CLOSE
        call.keep_alive = call.keep_alive and not last
        status, default = STATUS_LINE[response.status_code], self._defaults()
        return b"%b%b%b%b%b\r\n%b\r\n%b" % (
            status,
            default,
            lines,
            SURROUNDING,
            id_.encode(),
            close,
            bytes(response.body),
        )

    def _defaults(self) -> bytes:
        headers = self.server_state.default_headers
        if self._default[0] is not headers:
            self._default = headers, _lines(headers)
        return self._default[1]

    def _write(self, call: Call, answer: bytes) -> None:
        if call.response_complete:
            return
        call.response_complete = True
        if not self.transport.is_closing():
            self.transport.write(answer)
            if not call.keep_alive:
                self.transport.close()
        self.on_response_complete()


def _lines(headers: list[Header]) -> bytes:
    if any(HEADER_VALUE_RE.search(value) for _, value in headers):
        raise RuntimeError("a header that would end before its end")
    return b"".join([b"%b: %b\r\n" % header for header in headers])
