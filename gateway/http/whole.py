"""Answers written in one piece: uvicorn's protocol, with a shorter way for those whose every byte is ours."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.http.answer import Header

WHOLE = "whole"
"""In the state of a request: a function that writes the whole answer, of this status, with these headers and body."""


class Whole(HttpToolsProtocol):
    """An answer goes through two messages and a search of each header for what may not stand there, which costs more
    than to make it. Headers that hold nothing of a caller's need none of that."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope["state"][WHOLE] = partial(_write, cycle)
        super()._start_asgi_task(cycle, app)


def _write(cycle: RequestResponseCycle, status: int, headers: Iterable[Header], body: bytes) -> bool:
    """Whether it was written. Not if the client reads slowly or has gone, which uvicorn's own way sees to; and else as
    that does it."""
    if cycle.flow.write_paused or cycle.disconnected or cycle.response_started:
        return False
    cycle.response_started = cycle.response_complete = True
    lines = [b"%s: %s\r\n" % header for header in (*cycle.default_headers, *headers)]
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    cycle.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
