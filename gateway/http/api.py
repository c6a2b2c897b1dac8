"""The HTTP application: every route, with what surrounds and what ends each request."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from gateway.http.blocks import Blocks
from gateway.http.callbacks import Callbacks
from gateway.http.direct import Direct
from gateway.http.erasure import Erasure
from gateway.http.lists import Lists
from gateway.http.native import Native
from gateway.http.observation import Observation
from gateway.http.openapi import Document
from gateway.http.probes import Probes
from gateway.http.problems import EXCEPTION_HANDLERS
from gateway.http.simulator import Page
from gateway.http.suppressions import Suppressions
from gateway.http.surface import Surface


def routes(surface: Surface, native: Native, callbacks: Callbacks) -> list[Route]:
    """Every route of this surface."""
    page = Page(surface.simulator).routes() if surface.simulator else []
    return [
        *native.routes(),
        *Suppressions(surface).routes(),
        *Lists(surface).routes(),
        *Erasure(surface).routes(),
        *Blocks(surface).routes(),
        *callbacks.routes(),
        *Probes(surface).routes(),
        *Document(surface.version).routes(),
        *page,
    ]


def application(surface: Surface, more: Sequence[Route] = ()) -> Direct:
    """The ASGI application. `more` are the routes of other surfaces, under the same middleware and exceptions."""
    native, callbacks = Native(surface), Callbacks(surface)
    every = [*routes(surface, native, callbacks), *more]
    templates = {route.endpoint: route.path for route in every}
    app = Starlette(
        routes=every,
        middleware=[Middleware(Observation, surface=surface, templates=templates)],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    app.router.redirect_slashes = False  # a redirect is built from the Host header
    return Direct(app, native.start, native.check, callbacks.take, surface)
