"""The calls that carry the load, a start, a check and a vendor's report, answered before the router is asked.

The router's list of patterns and its layers of exceptions cost more than everything else that HTTP does for a call. The
same endpoints stand behind the router too, for whoever comes by another spelling of the path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.answer import Answer, Header
from gateway.http.observation import Observed
from gateway.http.problems import CAUSES, Problem, answer, respond
from gateway.http.surface import Surface
from gateway.http.whole import WHOLE

Endpoint = Callable[[Request], Awaitable[Response]]

START = "/v1/verifications"
EXPECTED = "expected"
"""In the state of a request for which a place is kept in the room."""
REPORTS = "/callbacks/{provider}/{token}"
_ONE = START + "/"
_CHECK = "/check"
_REPORT = "/callbacks/"
_CHECKS = START + "/{id}" + _CHECK
_EXPECTED = tuple(CAUSES)


class Direct:
    """An ASGI application: the three calls, and everything else by `app`, which observes itself."""

    def __init__(self, app: ASGIApp, start: Endpoint, check: Endpoint, report: Endpoint, surface: Surface) -> None:
        self._app = app
        self._room = surface.room
        self._start = start
        self._check = check
        self._report = report
        self._surface = surface

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            if scope.get("state", {}).pop(EXPECTED, False):
                self._room.arrived()
            known = self._known(scope)
            if known:
                await self._answer(*known, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _known(self, scope: Scope) -> tuple[str, Endpoint] | None:
        """The route that the path of a POST leads to, and who answers there."""
        path: str = scope["path"]
        if path == START:
            return START, self._start
        if path.endswith(_CHECK) and path.startswith(_ONE):
            id_ = path[len(_ONE) : -len(_CHECK)]
            if id_ and "/" not in id_:
                scope["path_params"] = {"id": id_}
                return _CHECKS, self._check
        elif path.startswith(_REPORT):
            provider, _, token = path[len(_REPORT) :].partition("/")
            if provider and token and "/" not in token:
                scope["path_params"] = {"provider": provider, "token": token}
                return REPORTS, self._report
        return None

    async def _answer(self, route: str, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """As `observation.Observation` and the router do it for all the other calls."""
        with Observed(self._surface, scope, route) as observed:
            try:
                response = await endpoint(Request(scope, receive))
            except _EXPECTED as error:
                response = answer(error, observed.id)
            except Exception as error:  # noqa: BLE001 - the last place: whatever it is, the caller gets a problem
                observed.failed(error)
                response = respond(Problem("internal_error"), observed.id)
            observed.status = response.status_code
            await _send(scope, send, response, [*response.raw_headers, *observed.headers])


async def _send(scope: Scope, send: Send, response: Response, headers: list[Header]) -> None:
    whole = scope.get("state", {}).get(WHOLE)
    if whole and isinstance(response, Answer) and whole(response.status_code, headers, response.body):
        return
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
