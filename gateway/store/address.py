"""Where a store is and how one gets in: read from its URL, and opened as a wire that is ready for commands."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from gateway.store.wire import Fault, Refused, Wire, Words


class Replica(Fault):
    """What answers there is no primary: it can't be written to."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom to trust, and what to show. Left out: whom the system trusts, and nothing."""

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises OSError (ssl.SSLError is one) for a file that can't be used."""
        context = ssl.create_default_context(cafile=self.authority)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Address:
    """One server. `path` is its Unix socket and goes before `host`."""

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    tls: Tls | None = None

    def at(self, host: str, port: int) -> Address:
        """The same way in, elsewhere."""
        return replace(self, host=host, port=port)


def address(url: str, tls: Tls | None = None) -> Address:
    """What a redis://, rediss:// or unix:// URL says: the database is its path, or `db` in its query. `tls` is for
    rediss:// alone."""
    parts = urlsplit(url)
    local = parts.scheme == "unix"
    db = parse_qs(parts.query).get("db", ["" if local else parts.path.strip("/")])[0]
    return Address(
        host=unquote(parts.hostname or "localhost"),
        port=parts.port or 6379,
        path=unquote(parts.path) if local else "",
        db=int(db) if db.isdecimal() else 0,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=(tls or Tls()) if parts.scheme == "rediss" else None,
    )


async def open_wire(place: Address, made: Callable[[], Wire], *, primary: bool = False) -> Wire:
    """Connect, log in, choose the database, and see that the server serves: one that still loads its data refuses.

    `primary` asks for the server's role as well. Raises Fault and OSError, and leaves nothing open then.
    """
    wire = await _connect(place, made)
    try:
        replies = await asyncio.gather(*wire.ask_all(_greeting(place, primary)))
    except BaseException:
        wire.cut()
        raise
    if primary and replies[-1][0] != b"master":
        wire.cut()
        raise Replica("a replica")
    return wire


async def _connect(place: Address, made: Callable[[], Wire]) -> Wire:
    loop = asyncio.get_running_loop()
    if place.path:
        _, wire = await loop.create_unix_connection(made, place.path)
        return wire
    context = place.tls.context() if place.tls else None
    transport, wire = await loop.create_connection(made, place.host, place.port, ssl=context)
    if connected := transport.get_extra_info("socket"):  # so that a peer that vanished is noticed even at rest
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return wire


def _greeting(place: Address, primary: bool) -> list[Words]:
    user = (place.username,) if place.username else ()
    login: list[Words] = [("AUTH", *user, place.password)] if place.password else []
    choice: list[Words] = [("SELECT", place.db)] if place.db else []
    return [*login, *choice, ("PING",), *([("ROLE",)] if primary else [])]


def hopeless(fault: Exception) -> bool:
    """Whether to try again is of no use: the store refuses the user, or its certificate is not to be trusted."""
    if isinstance(fault, Refused):
        return fault.word in ("WRONGPASS", "NOAUTH", "NOPERM", "ERR")
    return isinstance(fault, ssl.SSLCertVerificationError)
