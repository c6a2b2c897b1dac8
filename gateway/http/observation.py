"""What surrounds every request: an id, headers that keep answers out of caches, a metric, and an answer to a crash."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

from gateway.http.answer import Header
from gateway.http.auth import peer
from gateway.http.problems import Problem, respond
from gateway.http.surface import Surface
from gateway.telemetry.redaction import HIDDEN, exception

_ALWAYS: tuple[Header, ...] = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
SURROUNDING = b"".join([b"%b: %b\r\n" % header for header in _ALWAYS]) + b"request-id: "
"""The same headers as they go over the wire, up to the id."""
_REQUEST: ContextVar[str] = ContextVar(STRUCTLOG_KEY_PREFIX + "request")
"""What structlog adds to every line: it knows its variables by the beginning of their names."""
_FIXED = 4 << 76 | 2 << 62  # the version and the variant
_FREE = (1 << 128) - 1 & ~(15 << 76 | 3 << 62)
UNKNOWN = "unknown"
"""The route of what no route leads to."""


def request_id() -> str:
    """A UUID of version 4 (RFC 9562 §5.4). It opens nothing, so it need not be hard to guess."""
    text = f"{random.getrandbits(128) & _FREE | _FIXED:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def surrounding(id_: str) -> tuple[Header, ...]:
    """What stands in the head of every answer, for the request of that id."""
    return (*_ALWAYS, (b"request-id", id_.encode()))


class Observed:
    """A request while it is worked on, as a context manager: log lines in between carry its id. What is raised and
    nobody answered ends here."""

    __slots__ = ("_began", "_scope", "_surface", "_token", "id", "route", "status")

    def __init__(self, surface: Surface, scope: Scope, route: str = UNKNOWN) -> None:
        self._surface = surface
        self._scope = scope
        self._began = time.perf_counter()
        self.route = route
        self.status = 0  # of the answer, once there is one
        self.id = request_id()

    def __enter__(self) -> Observed:
        self._token = _REQUEST.set(self.id)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        known = error is None or isinstance(error, Exception)
        if isinstance(error, Exception):
            self.failed(error)
        if known:
            self._count(time.perf_counter() - self._began)
        _REQUEST.reset(self._token)
        return known

    def failed(self, error: Exception) -> None:
        """Tell of a crash: its type and its place only, since a message may quote what was sent."""
        told = {**exception(error), "message": HIDDEN}
        known = {name: told[name] for name in ("type", "message", "frames")}
        self._surface.log.error("request.failed", route=self.route, exception=known)

    def _count(self, seconds: float) -> None:
        if self.status == 401:
            client = peer(Request(self._scope), self._surface.trusted_proxies)
            self._surface.log.info("request.refused", route=self.route, client=client, problem="unauthenticated")
        self._surface.metrics.http(self.route, self.status, seconds)
        self._surface.log.debug("request.answered", route=self.route, status=self.status, seconds=round(seconds, 4))


class Observation:
    """Middleware around the router. `templates` are the routes' paths by their endpoints."""

    def __init__(self, app: ASGIApp, surface: Surface, templates: Mapping[Any, str]) -> None:
        self._app = app
        self._surface = surface
        self._templates = templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with Observed(self._surface, scope) as observed:
            scope.setdefault("state", {})["request_id"] = observed.id

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    observed.status = message["status"]
                    _complete(message, surrounding(observed.id))
                await send(message)

            try:
                await self._app(scope, receive, sending)
            except Exception as error:  # noqa: BLE001 - the last place: whatever it is, the caller gets a problem
                observed.route = self._route(scope)
                observed.failed(error)
                if not observed.status:
                    await respond(Problem("internal_error"), observed.id)(scope, receive, sending)
            observed.route = self._route(scope)

    def _route(self, scope: Scope) -> str:
        return self._templates.get(scope.get("endpoint"), UNKNOWN)


def _complete(message: Message, more: tuple[Header, ...]) -> None:
    """Add these headers, but for those that the answer has."""
    headers = message["headers"]
    there = {name for name, _ in headers}
    message["headers"] = [*headers, *(header for header in more if header[0] not in there)]
