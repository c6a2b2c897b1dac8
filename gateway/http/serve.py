"""Runs a gateway: its store, its two listeners, its worker, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from gateway.config import Settings, load
from gateway.http.app import Gateway, compose
from gateway.http.protocol import Bounded
from gateway.http.reload import Reloads
from gateway.store import embedded

_BACKLOG = 2048
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Unbound(Exception):
    """An address to listen on can't be had."""


class Listener(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to whoever runs it: there are two of them in one process."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(_uvicorn(app))
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the gateway listens, once it does."""

    api: str
    metrics: str | None


def run(settings: Settings, announce: Callable[[Addresses], None]) -> None:
    """Serve until SIGTERM or SIGINT. Raises Unbound, embedded.InUse and embedded.NotStarted before serving, and
    embedded.Lost when the embedded store ends by itself: whoever restarts this process restarts both."""
    with contextlib.ExitStack() as stack:
        config = settings.config
        api = stack.enter_context(_bound(config.server.host, config.server.port, "server"))
        metrics = (
            stack.enter_context(_bound(config.metrics.host, config.metrics.port, "metrics"))
            if config.metrics.enabled
            else None
        )
        url, store = settings.store_url, None
        if url == "embedded":
            store = embedded.start(config.store.directory, fsync=config.store.fsync)
            stack.callback(store.stop)
            url = store.url
        addresses = Addresses(_address(api), _address(metrics) if metrics else None)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, url, store, addresses, api, metrics, announce))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not made for this platform
        return None
    return uvloop.new_event_loop


def _bound(host: str, port: int, section: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with its protocol named, asyncio turns Nagle's algorithm off; without, answers may wait 40 ms
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # uvicorn listens only when all is ready, so nobody is answered before that
    except OSError as fault:
        listening.close()
        raise Unbound(
            f"can't listen on {host}:{port}: {fault.strerror}. Stop what listens there, or set {section}.port "
            f"(OTP_GATEWAY__{section.upper()}__PORT) to another port."
        ) from None
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve(
    settings: Settings,
    store_url: str,
    store: embedded.Embedded | None,
    addresses: Addresses,
    api: socket.socket,
    metrics: socket.socket | None,
    announce: Callable[[Addresses], None],
) -> None:
    gateway = await compose(settings, store_url, addresses.api)
    reloads = Reloads(gateway, lambda: load(settings.path, os.environ))
    stop, hurry = asyncio.Event(), asyncio.Event()
    _on_signals(stop, hurry, reloads)
    listeners = {Listener(gateway.app): api}
    if metrics:
        listeners[Listener(gateway.metrics)] = metrics
    serving = [asyncio.create_task(listener.serve(sockets=[bound])) for listener, bound in listeners.items()]
    work = gateway.worker.run(), gateway.prices.run(), reloads.run(), gateway.watch()
    tasks = [asyncio.create_task(each) for each in work]
    try:
        for listener in listeners:
            await listener.up.wait()
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process: no collection need look at it again
        reloads.announce()  # before anybody is told that it serves: who is told may ask for a reload at once
        announce(addresses)
        if store:
            tasks.append(asyncio.create_task(_outlive(store, stop)))
        await stop.wait()
        lost = store is not None and store.process.poll() is not None
        seconds = 0 if lost else settings.config.engine.drain / 1000
        await _end(gateway, seconds, list(listeners), serving, hurry)
        if lost:
            raise embedded.Lost(settings.config.store.directory)
    finally:
        for task in tasks:
            task.cancel()
        reloads.close()
        await gateway.close()


def _on_signals(stop: asyncio.Event, hurry: asyncio.Event, reloads: Reloads) -> None:
    """The first SIGTERM or Ctrl-C ends the work in order, the second at once. SIGHUP reloads; but when it is the
    terminal's last word to what ran in it, it ends the process as it ends any other."""
    loop, terminal = asyncio.get_running_loop(), os.isatty(0)

    def end() -> None:
        (hurry if stop.is_set() else stop).set()

    def hung_up() -> None:
        if terminal and not os.isatty(0):
            end()
        else:
            reloads.ask()

    for number in _SIGNALS:
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, hung_up)


async def _outlive(store: embedded.Embedded, stop: asyncio.Event) -> None:
    """End the gateway when its store has ended: without it nothing can be answered, and nobody would start it again."""
    while store.process.poll() is None:  # noqa: ASYNC110 - the kernel tells a parent by a signal that is not ours to take
        await asyncio.sleep(0.5)
    stop.set()


async def _end(
    gateway: Gateway, seconds: float, listeners: list[Listener], serving: list[asyncio.Task[None]], hurry: asyncio.Event
) -> None:
    """Not ready, claim nothing, answer what was asked, let the sends end, give back the rest: measured until then."""
    deadline = asyncio.get_running_loop().time() + seconds
    hurried = asyncio.create_task(hurry.wait())
    gateway.draining.begun = True
    gateway.log.info("gateway.stopping")
    gateway.worker.stop()
    gateway.engine.begin_draining()
    listeners[0].should_exit = True
    await asyncio.wait([serving[0], hurried], return_when=asyncio.FIRST_COMPLETED)
    listeners[0].force_exit = hurry.is_set()
    left = asyncio.create_task(gateway.drain(max(0.0, deadline - asyncio.get_running_loop().time())))
    await asyncio.wait([left, hurried], return_when=asyncio.FIRST_COMPLETED)
    unfinished = await (left if left.done() else _at_once(gateway, left))
    hurried.cancel()
    for listener in listeners:
        listener.should_exit, listener.force_exit = True, hurry.is_set()
    await asyncio.gather(*serving)
    gateway.log.info("gateway.stopped", unfinished=unfinished)


async def _at_once(gateway: Gateway, drain: asyncio.Task[int]) -> int:
    """Wait for nothing more: what is under way is given back, and another process takes it up."""
    drain.cancel()
    await asyncio.gather(drain, return_exceptions=True)
    return await gateway.drain(0)


def _uvicorn(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=Bounded,
        interface="asgi3",  # told, since a method would be taken for the older one
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
