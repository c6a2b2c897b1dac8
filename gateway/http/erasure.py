"""The call that erases what is kept of a destination."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http import body, rendering
from gateway.http.auth import app_of
from gateway.http.models import EraseRequest
from gateway.http.surface import Surface
from gateway.service.requests import understood


class Erasure:
    """The call under /v1/erase. The destination is in its body: addresses of calls end in logs."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def routes(self) -> list[Route]:
        return [Route("/v1/erase", self.erase, methods=["POST"])]

    async def erase(self, request: Request) -> Response:
        app = app_of(self._surface, request)
        wanted, _ = await body.whole(request, self._surface, EraseRequest)
        erased = await self._surface.erasure.erase(app, understood(wanted.to.phone, wanted.to.email))
        return Response(rendering.erased(erased), media_type="application/json")
