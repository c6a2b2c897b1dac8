"""From the store's URL to the way there: one server, a group that Sentinels watch, or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from gateway.config.model import StoreSettings
from gateway.store.address import Address, Tls
from gateway.store.layout import Layout
from gateway.store.link import MOST, TIMEOUT, Calls, connect
from gateway.store.waiting import Replicas
from gateway.store.whole import Run, Steps, Timed, Whole

if TYPE_CHECKING:  # the `redis` library, which they need, is 5 MB that a single server needs nothing of
    from gateway.store.cluster import Cluster
    from gateway.store.sentinel import Followed

_PORTS = {"sentinel": 26379, "cluster": 6379}


def configured(said: StoreSettings, url: str, *, slack: int = 0) -> Calls:
    """The way to the store that was configured. `url` has the login in it, and the socket of an embedded store; `slack`
    in ms goes on top of the time that a call may take."""
    tls = Tls(said.tls.authority, said.tls.certificate, said.tls.key) if said.tls else None
    return reach(url, timeout=(said.timeout + slack) / 1000, most=said.calls, tls=tls, tag=said.prefix)


def steps(url: str) -> Callable[[Layout, Any, Run, Timed], Steps]:
    """How the store's steps are taken: in one slot, or in the many of a cluster."""
    if _scheme(url) != "cluster":
        return Whole
    from gateway.store.spread import Spread

    return Spread


def waiter(url: str, calls: Calls, number: int, timeout: int) -> Replicas:
    """What waits until replicas have what was written. `calls` is a way to the store of its own; `timeout` in ms."""
    if _scheme(url) != "cluster":
        return Replicas(calls, number, timeout)
    return Replicas(calls, number, timeout, cast("Cluster", calls).home)


def watched(url: str) -> bool:
    """Whether another server takes over when one fails."""
    return "+" in urlsplit(url).scheme


def reach(url: str, *, timeout: float = TIMEOUT, most: int = MOST, tls: Tls | None = None, tag: str = "otp") -> Calls:
    """The way to a store. It connects when it is first used. `timeout` in seconds bounds every call, and `most` is how
    many may be under way.

    redis+sentinel://user:password@host:port,host:port/group/db names the Sentinels, whose own login is in the query as
    sentinel_username and sentinel_password; with rediss+sentinel, TLS leads to them and to the servers.
    redis+cluster://user:password@host:port,host:port names some servers of a cluster. What has no key goes to
    the holder of the slot of `tag`.
    """
    if not watched(url):
        return connect(url, timeout=timeout, most=most, tls=tls)
    return (_clustered if _scheme(url) == "cluster" else _followed)(url, timeout, most, tls, tag)


def _scheme(url: str) -> str:
    return urlsplit(url).scheme.partition("+")[2]


def _clustered(url: str, timeout: float, most: int, tls: Tls | None, tag: str) -> Cluster:
    from gateway.store.cluster import Cluster

    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    secure = (tls or Tls()) if parts.scheme.startswith("rediss") else None
    server = Address(username=unquote(user), password=unquote(password), tls=secure)
    return Cluster(members(hosts, _PORTS["cluster"]), server, tag, timeout=timeout, most=most)


def _followed(url: str, timeout: float, most: int, tls: Tls | None, _tag: str) -> Followed:
    from gateway.store.sentinel import Followed, Sentinels

    parts = urlsplit(url)
    secure = (tls or Tls()) if parts.scheme.startswith("rediss") else None
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    said = parse_qs(parts.query)
    group, _, db = parts.path.strip("/").partition("/")
    watcher = Address(
        username=said.get("sentinel_username", [""])[0], password=said.get("sentinel_password", [""])[0], tls=secure
    )
    server = Address(db=int(db or 0), username=unquote(user), password=unquote(password), tls=secure)
    places = [watcher.at(*place) for place in members(hosts, _PORTS["sentinel"])]
    return Followed(Sentinels(places, group), server, timeout=timeout, most=most)


def members(hosts: str, port: int) -> list[tuple[str, int]]:
    """host:port,host:port with `port` where none is said; an IPv6 address in brackets."""
    found = []
    for text in hosts.split(","):
        parts = urlsplit(f"//{text}")
        found.append((parts.hostname or "", parts.port or port))
    return found
