"""The calls about blocks: which traffic of an app is held back as abuse, and the app's word that it is none."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http import body, rendering
from gateway.http.auth import app_of
from gateway.http.models import LiftBlockRequest
from gateway.http.surface import Surface


class Blocks:
    """The calls under /v1/blocks."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._blocks = surface.blocks

    def routes(self) -> list[Route]:
        """The calls by address and method."""
        return [
            Route("/v1/blocks", self.read, methods=["GET"]),
            Route("/v1/blocks/lift", self.lift, methods=["POST"]),
        ]

    async def read(self, request: Request) -> Response:
        return await self._left(app_of(self._surface, request))

    async def lift(self, request: Request) -> Response:
        app = app_of(self._surface, request)
        wanted, _ = await body.whole(request, self._surface, LiftBlockRequest)
        await self._blocks.lift(app, wanted.id)
        return await self._left(app)

    async def _left(self, app: str) -> Response:
        return Response(rendering.blocks(await self._blocks.listed(app)), media_type="application/json")
