"""The two calls that carry the load, a start and a check, answered before the router is asked.

The router's list of patterns and its layers of exceptions cost more than everything else that HTTP does for a call. The
same endpoints stand behind the router too, for whoever comes by another spelling of the path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.problems import CAUSES, answer
from gateway.http.room import Room

Endpoint = Callable[[Request], Awaitable[Response]]

START = "/v1/verifications"
EXPECTED = "expected"
"""In the state of a request for which a place is kept in the room."""
_CHECK = "/check"
_EXPECTED = tuple(CAUSES)


class Direct:
    """An ASGI application: the two calls, and everything else by `app`."""

    def __init__(self, app: ASGIApp, start: Endpoint, check: Endpoint, room: Room) -> None:
        self._app = app
        self._room = room
        self._start = start
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoint(scope)
        if scope.get("state", {}).pop(EXPECTED, False):
            self._room.arrived()
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        scope["endpoint"] = endpoint
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except _EXPECTED as error:
            response = await answer(request, error)
        await response(scope, receive, send)

    def _endpoint(self, scope: Scope) -> Endpoint | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        path: str = scope["path"]
        if path == START:
            return self._start
        id_ = path[len(START) + 1 : -len(_CHECK)]
        if not id_ or "/" in id_ or path != f"{START}/{id_}{_CHECK}":
            return None
        scope["path_params"] = {"id": id_}
        return self._check
