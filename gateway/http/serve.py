"""Runs a gateway: its store, the addresses that it listens on, and one process or several that serve there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from gateway.config import Settings
from gateway.http import workers
from gateway.http.listening import Addresses, address, bound
from gateway.http.process import Place, loop_factory, serve
from gateway.store import embedded


def run(settings: Settings, announce: Callable[[Addresses], None]) -> None:
    """Serve until SIGTERM or SIGINT. Raises before serving listening.Unbound, embedded.InUse, embedded.NotStarted,
    carriers.Unbuildable, telemetry.traffic.Unwritable, survey.Unfit and workers.Failed; and embedded.Lost when the
    embedded store ends by itself, and workers.Failed when all workers do, again and again: whoever restarts this
    process restarts them all."""
    with contextlib.ExitStack() as stack:
        config = settings.config
        api = stack.enter_context(bound(config.server.host, config.server.port, "server"))
        metrics = (
            stack.enter_context(bound(config.metrics.host, config.metrics.port, "metrics"))
            if config.metrics.enabled
            else None
        )
        url, store = settings.store_url, None
        if url == "embedded":
            store = embedded.start(config.store.directory, fsync=config.store.fsync)
            stack.callback(store.stop)
            url = store.url
        addresses = Addresses(address(api), address(metrics) if metrics else None)
        place = Place(url, addresses.api, api, metrics, store)
        if config.server.workers > 1:
            workers.run(settings, place, lambda: announce(addresses))
            return
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(settings, place, lambda: announce(addresses)))
