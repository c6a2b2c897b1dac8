"""One process that serves: its listeners and its worker, from the first request that it may take to an orderly end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.config import Settings, load
from gateway.http.app import Gateway, compose
from gateway.http.listening import Listener, allow_files
from gateway.http.protocol import Bounded
from gateway.http.reload import Reloads
from gateway.store import embedded
from gateway.telemetry.gathering import Peers

_YOUNG = 20_000
"""Objects after which the collector looks at what is new: see _settle."""


@dataclass(frozen=True, slots=True)
class Post:
    """What one of several processes has from the parent that started it."""

    peers: Peers
    restarts: int  # of its place
    parted: int  # a descriptor that is at its end when the parent has ended
    loaded: Callable[[], None]  # tells the parent that a configuration was taken over


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process serves."""

    store_url: str
    own_url: str
    api: socket.socket
    metrics: socket.socket | None
    store: embedded.Embedded | None = None  # where it is this process that runs it
    post: Post | None = None  # None when it is the only one


class Orders:
    """What the process was told: to stop, and to hurry about it."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def end(self) -> None:
        """The first time in order, the second at once."""
        (self.hurry if self.stop.is_set() else self.stop).set()

    def end_at_once(self) -> None:
        self.stop.set()
        self.hurry.set()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster loop where there is one; None for the standard library's."""
    try:
        import uvloop
    except ImportError:  # not made for this platform
        return None
    return uvloop.new_event_loop


async def serve(settings: Settings, place: Place, announce: Callable[[], None]) -> None:
    """Serve until told to stop. Calls `announce` once requests are answered. Raises carriers.Unbuildable,
    telemetry.traffic.Unwritable and survey.Unfit before that, and embedded.Lost when the place's store ends by
    itself."""
    post = place.post
    gateway = await compose(
        settings, place.store_url, place.own_url, post.peers if post else None, post.restarts if post else 0
    )
    reloads = Reloads(gateway, lambda: load(settings.path, os.environ), post.loaded if post else None)
    orders = Orders()
    _obey(orders, reloads, post)
    listeners = _listeners(settings, place, gateway)
    serving = [asyncio.create_task(listener.serve(sockets=[bound])) for listener, bound in listeners.items()]
    work = [gateway.worker.run(), gateway.prices.run(), reloads.run(), gateway.watch(), gateway.room.watch()]
    if gateway.gathering:
        work.append(gateway.gathering.run())
    tasks = [asyncio.create_task(each) for each in work]
    try:
        for listener in listeners:
            await listener.up.wait()
        _settle()
        reloads.announce(os.getppid() if post else 0)  # before anybody is told that it serves, and may ask for a reload
        announce()
        if place.store:
            tasks.append(asyncio.create_task(_outlive(place.store, orders.stop)))
        await orders.stop.wait()
        lost = place.store is not None and place.store.process.poll() is not None
        seconds = 0 if lost else settings.config.engine.drain / 1000
        await _end(gateway, seconds, list(listeners), serving, orders.hurry)
        if lost:
            raise embedded.Lost(settings.config.store.directory)
    finally:
        for task in tasks:
            task.cancel()
        reloads.close()
        await gateway.close()


def _listeners(settings: Settings, place: Place, gateway: Gateway) -> dict[Listener, socket.socket]:
    """The API's, and the one for metrics."""
    most = settings.config.server.connections
    allow_files(most)
    listeners = {Listener(gateway.app, partial(Bounded, most=most, door=gateway.door)): place.api}
    if place.metrics:
        listeners[Listener(gateway.metrics, partial(Bounded, most=most))] = place.metrics
    return listeners


def _obey(orders: Orders, reloads: Reloads, post: Post | None) -> None:
    """Have signals, and the end of a parent, do what they are for."""
    loop = asyncio.get_running_loop()
    if post is None:
        _obey_an_operator(loop, orders, reloads)
        return
    # SIGTERM may come twice, from the parent and from whoever stops the whole group: only SIGINT is for haste.
    loop.add_signal_handler(signal.SIGTERM, orders.stop.set)
    loop.add_signal_handler(signal.SIGINT, orders.end_at_once)
    loop.add_signal_handler(signal.SIGHUP, reloads.ask)

    def orphaned() -> None:
        """The next gateway needs the addresses, and what is under way is taken up when its leases end."""
        loop.remove_reader(post.parted)
        orders.end_at_once()

    loop.add_reader(post.parted, orphaned)


def _obey_an_operator(loop: asyncio.AbstractEventLoop, orders: Orders, reloads: Reloads) -> None:
    """The first SIGTERM or Ctrl-C ends the work in order, the second at once. SIGHUP reloads; but when it is the
    terminal's last word to what ran in it, it ends the process as it ends any other."""
    hung_up = terminal()
    loop.add_signal_handler(signal.SIGINT, orders.end)
    loop.add_signal_handler(signal.SIGTERM, orders.end)
    loop.add_signal_handler(signal.SIGHUP, lambda: orders.end() if hung_up() else reloads.ask())


def terminal() -> Callable[[], bool]:
    """Tells whether the terminal that the process runs in has gone since."""
    there = os.isatty(0)
    return lambda: there and not os.isatty(0)


async def _outlive(store: embedded.Embedded, stop: asyncio.Event) -> None:
    """End the gateway when its store has ended: without it nothing can be answered, and nobody would start it again."""
    while store.process.poll() is None:  # noqa: ASYNC110 - the kernel tells a parent by a signal that is not ours to take
        await asyncio.sleep(0.5)
    stop.set()


def _settle() -> None:
    """What start-up made lives as long as the process: no collection need look at it again. What requests make is freed
    by counting references, and only some exceptions make circles. So what is new is looked at after 20,000 objects and
    not 700, which are the objects of a dozen requests in the midst of their work: such a look frees nothing and walks
    through all of them, and through the thousand verifications that are remembered. That took a twentieth of a start.
    The price: circles of up to 20,000 objects, some 2 MB, lie about until then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)


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
