"""The scrape endpoint, for a listener of its own: GET /metrics and nothing else."""

from __future__ import annotations

from typing import cast

from prometheus_client import CollectorRegistry, make_asgi_app
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.telemetry.gathering import CONTENT_TYPE, Gathering


def metrics_app(registry: CollectorRegistry, gathering: Gathering | None = None) -> ASGIApp:
    """An ASGI application that answers GET and HEAD of /metrics, in the format that the scraper asks for; or for all
    workers that are gathered, in the text format."""
    scrape = _gathered(gathering) if gathering else cast(ASGIApp, make_asgi_app(registry))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["path"] != "/metrics":
            await _refuse(send, 404, b"The metrics are at /metrics.\n")
        elif scope["method"] not in ("GET", "HEAD"):
            await _refuse(send, 405, b"Use GET.\n", (b"allow", b"GET, HEAD"))
        else:
            await scrape(scope, receive, send)

    return app


def _gathered(gathering: Gathering) -> ASGIApp:
    async def scrape(_scope: Scope, _receive: Receive, send: Send) -> None:
        await _answer(send, 200, await gathering.exposition(), (b"content-type", CONTENT_TYPE.encode()))

    return scrape


async def _refuse(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    await _answer(send, status, body, (b"content-type", b"text/plain; charset=utf-8"), *headers)


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    size = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, size]})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
