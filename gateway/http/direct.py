"""The calls that carry the load, a start, a check and a vendor's report, answered before the router is asked.

The router's list of patterns and its layers of exceptions cost more than everything else that HTTP does for a call. The
same endpoints stand behind the router too, for whoever comes by another spelling of the path.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.call import Asked
from gateway.http.observation import Observed, surrounding
from gateway.http.problems import CAUSES, Problem, answer, respond
from gateway.http.surface import Surface

Endpoint = Callable[[Asked], Awaitable[Response]]

START = "/v1/verifications"
CHECK = START + "/{id}/check"
REPORT = "/callbacks/{provider}/{token}"
EXPECTED = "expected"
"""In the state of a request for which a place is kept in the room."""
_NAME = "[A-Za-z0-9_-]+"  # whatever else stands for an id, a provider or a token is none of ours
_CHECKS = re.compile(f"{START}/({_NAME})/check")
_REPORTS = re.compile(f"/callbacks/({_NAME})/({_NAME})")
_EXPECTED = tuple(CAUSES)


def known(path: str) -> tuple[str, dict[str, str]] | None:
    """The route of one of the three calls, and what the path says there; None for all other paths."""
    if path == START:
        return START, {}
    if found := _CHECKS.fullmatch(path):
        return CHECK, {"id": found[1]}
    if found := _REPORTS.fullmatch(path):
        return REPORT, {"provider": found[1], "token": found[2]}
    return None


class Direct:
    """An ASGI application: the three calls, and everything else by `app`, which observes itself."""

    def __init__(self, app: ASGIApp, start: Endpoint, check: Endpoint, report: Endpoint, surface: Surface) -> None:
        self._app = app
        self._room = surface.room
        self._endpoints = {START: start, CHECK: check, REPORT: report}
        self._surface = surface

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            if scope.get("state", {}).pop(EXPECTED, False):
                self._room.arrived()
            found = known(scope["path"])
            if found:
                route, scope["path_params"] = found
                response, id_ = await self.answer(route, Request(scope, receive))
                headers = [*response.raw_headers, *surrounding(id_)]
                await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
                await send({"type": "http.response.body", "body": response.body})
                return
        await self._app(scope, receive, send)

    async def answer(self, route: str, request: Asked) -> tuple[Response, str]:
        """The answer to one of the three calls, and the id of the request. As `observation.Observation` and the router
        do it for all others."""
        with Observed(self._surface, request.scope, route) as observed:
            try:
                response = await self._endpoints[route](request)
            except _EXPECTED as error:
                response = answer(error, observed.id)
            except Exception as error:  # noqa: BLE001 - the last place: whatever it is, the caller gets a problem
                observed.failed(error)
                response = respond(Problem("internal_error"), observed.id)
            observed.status = response.status_code
        return response, observed.id
