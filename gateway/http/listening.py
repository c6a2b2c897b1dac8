"""Where the gateway listens: sockets that are bound before anything is started, and the servers on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from gateway.http.protocol import Bounded

_BACKLOG = 2048
_SPREADS = sys.platform == "linux"
"""Whether the kernel spreads connections over the sockets of one address; elsewhere the newest of them has all."""


class Unbound(Exception):
    """An address to listen on can't be had."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the gateway listens, once it does."""

    api: str
    metrics: str | None


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


def bound(host: str, port: int, section: str) -> socket.socket:
    """A socket that has the address and does not listen yet. Raises Unbound, which names the configuration's `section`
    for it."""
    listening = _socket(host)
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


def own(reserved: socket.socket) -> socket.socket:
    """A socket for one of several processes, on the address that `reserved` holds for all of them.

    Each listens by itself, so that the kernel deals connections out evenly: over a socket that all inherit, whoever
    wakes first takes a burst whole, and keeps it for as long as those connections live.
    """
    if not _SPREADS:
        return reserved
    listening = _socket(reserved.getsockname()[0])
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(reserved.getsockname()[:2])
    return listening


def address(listening: socket.socket) -> str:
    """The URL of a socket, as this machine reaches it."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with its protocol named, asyncio turns Nagle's algorithm off; without, answers may wait 40 ms
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return listening


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
