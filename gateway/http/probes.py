"""Whether the process is alive and able to serve, and what is where."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.models import Alive, Index, Readiness
from gateway.http.rendering import encoded
from gateway.http.surface import Surface
from gateway.store.steps import Unavailable


class Probes:
    """Answers without a key, and says nothing that a stranger could use."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def routes(self) -> list[Route]:
        return [
            Route("/", self.index, methods=["GET"]),
            Route("/livez", self.alive, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def alive(self, _request: Request) -> Response:
        """That it answers is the whole answer: a store that is away is no reason to restart the process."""
        return Response(encoded(Alive(status="alive")), media_type="application/json")

    async def ready(self, _request: Request) -> Response:
        problems = ["stopping"] if self._surface.draining() else []
        try:
            problems += await self._surface.readiness()
        except Unavailable:
            problems.append("the store does not answer")
        found = Readiness(status="unready" if problems else "ready", problems=problems)
        return Response(encoded(found), 503 if problems else 200, media_type="application/json")

    async def index(self, _request: Request) -> Response:
        links = {"openapi": "/openapi.json", "alive": "/livez", "ready": "/readyz"}
        if self._surface.simulator:
            links["simulator"] = "/simulator"
        found = Index(name="otp-gateway", version=self._surface.version, links=links)
        return Response(encoded(found), media_type="application/json")
