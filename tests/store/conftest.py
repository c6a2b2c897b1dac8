"""A store with a clock that is told: on the shared server, and on every other kind for the rules that all must keep."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.store.address import Tls
from gateway.store.topology import reach
from tests.store.drafts import Shelf
from tests.support.certificate import certified, served
from tests.support.six import Six
from tests.support.trio import Trio
from tests.support.weather import Weather

EVERYWHERE = {"test_check", "test_create", "test_timers", "test_suppressions", "test_terms"}
"""The modules whose tests hold for every kind of store."""
SPREAD = {"test_purses"}
"""And those that are about what lies in several slots of a cluster."""
KINDS = ("embedded", "redis", "secure", "sentinel", "redis_sentinel", "cluster", "redis_cluster")
OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "shelf" in metafunc.fixturenames:
        everywhere = metafunc.module.__name__.rpartition(".")[2] in EVERYWHERE
        spread = metafunc.module.__name__.rpartition(".")[2] in SPREAD
        kinds = KINDS if everywhere else ("embedded", "cluster", "redis_cluster") if spread else ("embedded",)
        metafunc.parametrize("shelf", kinds, indirect=True)


@pytest.fixture
async def shelf(request: pytest.FixtureRequest, valkey: str, tmp_path: Path) -> AsyncIterator[Shelf]:
    match request.param:
        case "secure":
            async with secure(valkey, tmp_path) as shelf:
                yield shelf
        case "sentinel":
            yield (shelf := behind(request.getfixturevalue("watched")))
        case "cluster":
            yield (shelf := spread(request.getfixturevalue("clustered")))
        case "redis_cluster":
            yield (shelf := spread(request.getfixturevalue("redis_clustered")))
        case "redis_sentinel":
            yield (shelf := behind(request.getfixturevalue("redis_watched")))
        case "redis":
            yield (shelf := Shelf(request.getfixturevalue("redis")))
        case _:
            yield (shelf := Shelf(valkey))
    await shelf.store.close()
    await shelf.client.aclose()


@pytest.fixture
async def apart(clustered: Six) -> AsyncIterator[Shelf]:
    """In the slots of a cluster, whose steps take several scripts."""
    shelf = spread(clustered)
    yield shelf
    await shelf.store.close()
    await shelf.client.aclose()


def spread(cluster: Six) -> Shelf:
    """A store whose keys lie on all servers of the cluster."""
    return Shelf(cluster.url, timeout=10)


def behind(group: Trio) -> Shelf:
    return Shelf(group.primary().url, calls=reach(group.url))


@asynccontextmanager
async def secure(url: str, folder: Path) -> AsyncIterator[Shelf]:
    """Over TLS, as the user who may do no more than the page on operations says that a gateway needs."""
    certificate = certified(folder)
    async with Weather(url, tls=served(*certificate)) as weather:
        shelf = Shelf(url)
        await shelf.store.close()
        rules = least().replace("otp:*", f"{shelf.prefix}:*")
        await shelf.client.execute_command("ACL", "SETUSER", shelf.prefix, "on", ">s3cret", *rules.split())
        there = f"rediss://{shelf.prefix}:s3cret@127.0.0.1:{weather.port}/0"
        yield Shelf(url, prefix=shelf.prefix, calls=reach(there, tls=Tls(certificate[0])), client=shelf.client)
        await shelf.client.execute_command("ACL", "DELUSER", shelf.prefix)


def least() -> str:
    """The rules of the least user, as the page on operations prints them."""
    found = re.search(r"ACL SETUSER otp on >\S+ (.*)", OPERATIONS.read_text())
    assert found
    return found[1]
