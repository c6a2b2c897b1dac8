"""A request to one of the calls that carry the load, when all of it came at once."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

from gateway.http.answer import Header


class Call:
    """Has of a request what an endpoint asks of one, and what uvicorn's protocol asks of the one that is under way on a
    connection. To make this costs a tenth of what those two do."""

    __slots__ = (
        "body",
        "disconnected",
        "keep_alive",
        "named",
        "path_params",
        "response_complete",
        "route",
        "scope",
        "task",
    )

    message_event = asyncio.Event()  # set when the connection is lost; nobody waits for it, since the body is here

    def __init__(
        self,
        url: tuple[bytes, bytes],
        found: tuple[str, dict[str, str]],
        headers: list[Header],
        client: tuple[str, int] | None,
        *,
        keep_alive: bool,
    ) -> None:
        """`url` is its path and its query, and `found` what direct.known says of them."""
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "raw_path": url[0],
            "query_string": url[1],
            "headers": headers,
            "client": client,
        }
        self.named = dict(reversed(headers))  # of several with one name the first, as headers.first has it
        self.route, self.path_params = found
        self.body = b""
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self.task: asyncio.Task[None] | None = None


Asked = Request | Call
"""What an endpoint is asked: of these two it needs nothing but headers, what the path says, and the body."""
