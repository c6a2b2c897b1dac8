"""The calls about lists: what an app denies and allows, besides what the policy says."""

from __future__ import annotations

from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http import body, rendering
from gateway.http.auth import app_of
from gateway.http.models import EntryRequest, ListRequest
from gateway.http.surface import Surface
from gateway.service.lists import Standing

T = TypeVar("T", ListRequest, EntryRequest)


class Lists:
    """The calls under /v1/lists. An entry is in the body of each: addresses of calls end in logs."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._lists = surface.lists

    def routes(self) -> list[Route]:
        """The calls by address."""
        return [
            Route("/v1/lists", self.add, methods=["POST"]),
            Route("/v1/lists/search", self.search, methods=["POST"]),
            Route("/v1/lists/remove", self.remove, methods=["POST"]),
        ]

    async def add(self, request: Request) -> Response:
        app, wanted = await self._asked(request, ListRequest)
        life = 1000 * (wanted.expires_in or 0)
        return _json(await self._lists.add(app, wanted.entry, wanted.list, wanted.reason, life))

    async def search(self, request: Request) -> Response:
        app, wanted = await self._asked(request, EntryRequest)
        return _json(await self._lists.search(app, wanted.entry))

    async def remove(self, request: Request) -> Response:
        app, wanted = await self._asked(request, EntryRequest)
        return _json(await self._lists.remove(app, wanted.entry))

    async def _asked(self, request: Request, model: type[T]) -> tuple[str, T]:
        app = app_of(self._surface, request)
        return app, (await body.whole(request, self._surface, model))[0]


def _json(found: Standing) -> Response:
    return Response(rendering.listed(found), media_type="application/json")
