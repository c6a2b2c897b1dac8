"""Fixtures for every test: a real Valkey, started once, and a world that runs the engine on it in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.store import embedded
from tests.support.installed import installed
from tests.support.servers import running
from tests.support.six import Six, six
from tests.support.trio import Trio, trio
from tests.support.world import World


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server, shared by the session: tests keep apart by their key prefix."""
    server = embedded.start(tmp_path_factory.mktemp("v"))
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def redis_server() -> Path:
    """Debian's Redis, which is about the oldest that is promised to do."""
    return Path(installed("redis-server", "redis-server"))


@pytest.fixture(scope="session")
def redis(redis_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a single Redis."""
    with running(tmp_path_factory.mktemp("r"), program=redis_server) as one:
        yield one.url


@pytest.fixture(scope="session")
def redis_watched(redis_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """A primary, two replicas and three Sentinels, all of the same."""
    with trio(tmp_path_factory.mktemp("rw"), program=redis_server) as group:
        yield group


@pytest.fixture(scope="session")
def redis_clustered(redis_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Six]:
    """A cluster of the same."""
    with six(tmp_path_factory.mktemp("rc"), program=redis_server) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """A primary, two replicas and three Sentinels, for tests that leave them as they are."""
    with trio(tmp_path_factory.mktemp("w")) as group:
        yield group


@pytest.fixture(scope="session")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Six]:
    """Three primaries with a replica each, for tests that leave all of them alive."""
    with six(tmp_path_factory.mktemp("c")) as cluster:
        yield cluster


@pytest.fixture
async def world(valkey: str, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The use-cases over the real store, with scripted carriers and a clock that only moves when told."""
    async with World(valkey) as world:
        yield world


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder for an embedded store, with a path short enough for a Unix socket."""
    return tmp_path / "d"
