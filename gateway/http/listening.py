"""Where the gateway listens: sockets that are bound before anything is started, and the servers on them."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from gateway.http.accepting import Entrance
from gateway.http.protocol import Bounded

_BACKLOG = 2048
_OTHER_FILES = 1_024
"""Files and connections that a process has open beside those of its callers, at the most."""
_UNREAD = 30_000
"""Milliseconds after which the kernel ends a connection whose peer takes nothing of what it was sent."""
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

    def __init__(self, app: ASGIApp, http: Callable[..., Bounded]) -> None:
        super().__init__(_uvicorn(app, http))
        self.servers = []
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, but that connections are taken in by an Entrance."""
        await self.lifespan.startup()
        for each in sockets or ():
            self.servers.append(Entrance(each, _BACKLOG, self._protocol))  # type: ignore[arg-type]  # see Entrance
        self.started = True
        self.up.set()

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state={})  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def allow_files(connections: int) -> None:
    """Let the process have as many connections as it may: the limit that a shell sets is mostly for 1,024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


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
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections have it from the socket that they came in by
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD)
    return listening


def _uvicorn(app: ASGIApp, http: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=http,
        interface="asgi3",  # told, since a method would be taken for the older one
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
