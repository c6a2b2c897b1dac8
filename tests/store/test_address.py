"""Where a store is: what a URL says, held to what the `redis` library reads out of it."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio.connection import SSLConnection, parse_url

from gateway.store.address import Address, Tls, address

URLS = (
    "redis://",
    "redis://store",
    "redis://store:6380/3",
    "redis://store/3/",
    "redis://store?db=4",
    "redis://store/3?db=4",
    "redis://store/none",
    "redis://ana:p%40ss%2Fword@store:1",
    "redis://:secret@store",
    "redis://ana@store",
    "redis://[::1]:7000/1",
    "redis://STORE.example",
    "rediss://store",
    "unix:///run/a%20folder/valkey.sock",
    "unix:///run/valkey.sock?db=2",
    "unix://ana:secret@/run/valkey.sock",
)


def by_the_library(url: str) -> Address:
    said: dict[str, Any] = dict(parse_url(url))
    names = ("host", "port", "path", "db", "username", "password")
    tls = Tls() if said.get("connection_class") is SSLConnection else None
    return Address(**{name: said[name] for name in names if name in said}, tls=tls)


@pytest.mark.parametrize("url", URLS)
def test_a_url_says_what_it_says_to_the_library(url: str) -> None:
    assert address(url) == by_the_library(url)


def test_two_urls_that_differ_are_told_apart() -> None:
    """The twin: whoever read nothing out of a URL would agree with itself too."""
    assert len({address(url) for url in URLS}) == len(URLS) - 2  # two say the same of the database, in two ways


def test_who_is_trusted_is_said_only_where_tls_is() -> None:
    tls = Tls(authority=None, certificate=None, key=None)
    assert address("redis://store", tls).tls is None
    assert address("rediss://store", tls).tls is tls
