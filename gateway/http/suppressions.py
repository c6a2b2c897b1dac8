"""The calls about opt-outs: what a destination has opted out of, and the app's own word on it."""

from __future__ import annotations

from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http import body, rendering
from gateway.http.auth import app_of
from gateway.http.models import LiftRequest, SearchRequest, SuppressRequest, To
from gateway.http.surface import Surface
from gateway.service.requests import Destinations, understood
from gateway.service.suppressions import Standing

T = TypeVar("T", SearchRequest, SuppressRequest, LiftRequest)


class Suppressions:
    """The calls under /v1/suppressions. A destination is in the body of each: addresses of calls end in logs."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._suppressions = surface.suppressions

    def routes(self) -> list[Route]:
        """The calls by address."""
        return [
            Route("/v1/suppressions", self.add, methods=["POST"]),
            Route("/v1/suppressions/search", self.search, methods=["POST"]),
            Route("/v1/suppressions/lift", self.lift, methods=["POST"]),
        ]

    async def add(self, request: Request) -> Response:
        app, wanted = await self._asked(request, SuppressRequest)
        to, channels = _destinations(wanted.to), wanted.channels or ()
        return _json(await self._suppressions.add(app, to, channels, wanted.reason))

    async def search(self, request: Request) -> Response:
        app, wanted = await self._asked(request, SearchRequest)
        return _json(await self._suppressions.search(app, _destinations(wanted.to)))

    async def lift(self, request: Request) -> Response:
        app, wanted = await self._asked(request, LiftRequest)
        return _json(await self._suppressions.lift(app, _destinations(wanted.to), wanted.channels or ()))

    async def _asked(self, request: Request, model: type[T]) -> tuple[str, T]:
        app = app_of(self._surface, request)
        return app, (await body.whole(request, self._surface, model))[0]


def _destinations(to: To) -> Destinations:
    return understood(to.phone, to.email)


def _json(found: Standing) -> Response:
    return Response(rendering.standing(found), media_type="application/json")
