"""Where vendors report deliveries and fetch what a call says: no key, but a token in the address and a signature."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.routing import Route

from channels.contract import Callback
from gateway.http import body
from gateway.http.answer import Nothing
from gateway.http.call import Asked
from gateway.http.direct import REPORT
from gateway.http.surface import Surface


class Callbacks:
    """Hands a vendor's request on as it came, and the answer back as it is."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def routes(self) -> list[Route]:
        """One address, by POST and by GET: some vendors fetch a call's words by GET."""
        route = Route(REPORT, self.take, methods=["GET", "POST"])
        route.methods = {"GET", "POST"}  # the router adds HEAD to GET, and a HEAD would be taken for a report
        return [route]

    async def take(self, request: Asked) -> Response:
        raw = await body.read(request, self._surface.max_body, self._surface.body_seconds)
        path = request.path_params
        answer = await self._surface.reports.take(
            path["provider"], path["token"], _callback(request, self._surface, raw)
        )
        if not answer.body:
            return Nothing(answer.status)
        return Response(answer.body, answer.status, media_type=answer.media_type)


def _callback(request: Asked, surface: Surface, raw: bytes) -> Callback:
    """The address is the public one that we gave out: a Host header is the caller's word, and signatures cover it."""
    scope = request.scope
    query = str(scope["query_string"], "latin-1")
    path = str(scope.get("raw_path") or scope["path"].encode(), "latin-1")
    return Callback(
        method=scope["method"],
        url=surface.public_url + path + (f"?{query}" if query else ""),
        headers={str(name, "latin-1"): str(value, "latin-1") for name, value in scope["headers"]},  # ASGI: lower case
        body=raw,
        query=tuple(parse_qsl(query, keep_blank_values=True)) if query else (),
    )
