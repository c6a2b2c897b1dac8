"""What a fleet keeps its state in: one server, a group that Sentinels watch, or a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import servers
from tests.support.six import six
from tests.support.trio import trio

_DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@dataclass
class Backing:
    """`holders` gives the URLs of the servers that have the data now. `url` is for the gateways; empty when they go
    through the weather before the only server that there is."""

    there: Any  # Server, Trio or Six: what nemeses do things to
    holders: Callable[[], list[str]]
    url: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def single(folder: Path) -> Iterator[Backing]:
    """One that has written down what it answers before it answers, so that a server that was killed must know it."""
    with servers.running(folder, *_DURABLE) as server:
        yield Backing(server, lambda: [server.url])


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[Backing]:
    """A primary, two replicas and three Sentinels. Starts wait for a replica as approvals do, so that whatever was
    acknowledged outlives the primary."""
    with trio(folder) as group:
        yield Backing(group, lambda: [group.primary().url], group.url, {"wait": {"starts": True}})


@contextlib.contextmanager
def heedless(folder: Path) -> Iterator[Backing]:
    """The same, and nothing waits."""
    with watched(folder) as backing:
        backing.settings = {"wait": {"replicas": 0}}
        yield backing


@contextlib.contextmanager
def clustered(folder: Path) -> Iterator[Backing]:
    """Three primaries with a replica each."""
    with six(folder) as cluster:
        yield Backing(cluster, lambda: [one.url for one in cluster.primaries()], cluster.url)
