"""What surrounds every request: an id, headers that keep answers out of caches, a metric, and an answer to a crash."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from gateway.http.auth import peer
from gateway.http.problems import Problem, respond
from gateway.http.surface import Surface
from gateway.telemetry.redaction import HIDDEN, exception

Header = tuple[bytes, bytes]
_ALWAYS: tuple[Header, ...] = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Observation:
    """Middleware around the whole application. `templates` are the routes' paths by their endpoints."""

    def __init__(self, app: ASGIApp, surface: Surface, templates: Mapping[Any, str]) -> None:
        self._app = app
        self._surface = surface
        self._templates = templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began = str(uuid4()), time.perf_counter()
        complete = (*_ALWAYS, (b"request-id", request_id.encode()))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(message, complete)
            await send(message)

        with bound_contextvars(request=request_id):
            try:
                await self._app(scope, receive, sending)
            except Exception as error:  # noqa: BLE001 - the last place: whatever it is, the caller gets a problem
                self._failed(scope, error)
                if not status:
                    await respond(Problem("internal_error"), request_id)(scope, receive, sending)
            self._count(scope, status, time.perf_counter() - began)

    def _failed(self, scope: Scope, error: Exception) -> None:
        """Its type and its place only: a message may quote what was sent."""
        told = {**exception(error), "message": HIDDEN}
        known = {name: told[name] for name in ("type", "message", "frames")}
        self._surface.log.error("request.failed", route=self._route(scope), exception=known)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route(scope)
        if status == 401:
            client = peer(Request(scope), self._surface.trusted_proxies)
            self._surface.log.info("request.refused", route=route, client=client, problem="unauthenticated")
        self._surface.metrics.http(route, status, seconds)
        self._surface.log.debug("request.answered", route=route, status=status, seconds=round(seconds, 4))

    def _route(self, scope: Scope) -> str:
        return self._templates.get(scope.get("endpoint"), "unknown")


def _complete(message: Message, more: tuple[Header, ...]) -> None:
    """Add these headers, but for those that the answer has."""
    headers = message["headers"]
    there = {name for name, _ in headers}
    message["headers"] = [*headers, *(header for header in more if header[0] not in there)]
