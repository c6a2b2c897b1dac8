"""A plain client of the `redis` library, for what is asked seldom: what a server is, and how it is set up."""

from __future__ import annotations

from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.store.address import Address, Tls, address


def client(url: str, *, timeout: float = 2.0, tls: Tls | None = None) -> Redis:
    """For a redis://, rediss:// or unix:// URL. `timeout` in seconds bounds every connect and every call, and nothing
    is repeated."""
    return client_at(address(url, tls), timeout=timeout)


def client_at(place: Address, *, timeout: float = 2.0) -> Redis:
    """For a server whose address is known."""
    tls = place.tls or Tls()
    return Redis(
        host=place.host,
        port=place.port,
        unix_socket_path=place.path or None,
        ssl=place.tls is not None,
        ssl_ca_certs=_text(tls.authority),
        ssl_certfile=_text(tls.certificate),
        ssl_keyfile=_text(tls.key),
        db=place.db,
        username=place.username or None,
        password=place.password or None,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        protocol=2,
    )


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
