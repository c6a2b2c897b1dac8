"""No code, number, address or key is anywhere but in the messages: not in a command, a file, a log or an exception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.store import embedded
from gateway.store.plain import client as client_of
from policies import destination
from tests.proof.canaries import CANARIES, CODE, EMAIL, PAYEE, PHONE, Tapped, left_behind, tell
from tests.support.canary import Canary, found
from tests.support.world import POLICY, World

POLICIES = {"default": {**POLICY, "code": {"cooldown": "0s", "length": 10, "alphabet": "digits"}}}


@pytest.fixture
def told(data: Path) -> Any:
    """Runs the stories on a server of their own, which logs everything that it can, and gives back every trace."""

    async def run(plant: Callable[[World], None] = lambda _world: None) -> dict[str, bytes]:
        server = embedded.start(data, fsync="always")
        try:
            return await _traces(server.url, data, plant)
        finally:
            server.stop()

    return run


async def _traces(url: str, folder: Path, plant: Callable[[World], None]) -> dict[str, bytes]:
    client = client_of(url)
    for name, value in {"slowlog-log-slower-than": "0", "slowlog-max-len": "100000", "rdbcompression": "no"}.items():
        await client.config_set(name, value)
    async with World(url, policies=POLICIES) as world:
        plant(world)
        async with Tapped(url) as tap:
            said = await tell(world)
        places = await left_behind(world, client, folder)
    await client.aclose()
    return {**places, "MONITOR": tap.heard, "exceptions and reprs": "\n".join(said).encode()}


async def test_no_secret_leaves_a_trace(told: Any) -> None:
    places = await told()
    assert found(CANARIES, places) == []
    assert {
        "a string",
        "a list",
        "a zset",
        "a hash",
        "the slow log",
        "the files",
        "the log",
        "the metrics",
    } <= places.keys()
    assert b"EVALSHA" in places["MONITOR"]
    assert places["MONITOR"].count(b"EVALSHA") > 15
    assert b"EVALSHA" in places["the slow log"]
    assert b"ver_" in places["the files"], "the append-only file was looked through"
    assert b"verification.approved" in places["the log"]


def _into_the_store(world: World) -> None:
    create = world.store.create

    async def leaky(creation: Any) -> Any:
        return await create(replace(creation, fields={**creation.fields, "leak": PHONE}))

    world.store.create = leaky  # type: ignore[method-assign]


def _into_the_body(world: World) -> None:
    create = world.store.create

    async def leaky(creation: Any) -> Any:
        bare = creation.fields["b"].replace(destination.phone(PHONE).masked.encode(), PHONE.encode())
        return await create(replace(creation, fields={**creation.fields, "b": bare}))

    world.store.create = leaky  # type: ignore[method-assign]


def _into_a_key(world: World) -> None:
    limit_key = world.store.limit_key
    world.store.limit_key = lambda shard, name: limit_key(shard, f"{name}:{EMAIL}")  # type: ignore[method-assign]


def _into_the_log(world: World) -> None:
    world.setup.log.info("check.wrong", code=CODE)


def _into_the_metrics(world: World) -> None:
    world.setup.metrics.policies({PHONE: "1"})


@pytest.mark.parametrize(
    ("plant", "leaks"),
    [
        (
            _into_the_store,
            {"the phone in MONITOR", "the phone in a string", "the phone in the files"},
        ),
        (_into_the_body, {"the phone in MONITOR", "the phone in a string", "the phone in the files"}),
        (_into_a_key, {"the email in MONITOR", "the email in a string", "the email in the slow log"}),
        (_into_the_log, {"the code in the log"}),
        (_into_the_metrics, {"the phone in the metrics"}),
    ],
)
async def test_a_planted_leak_is_found(told: Any, plant: Callable[[World], None], leaks: set[str]) -> None:
    assert leaks <= set(found(CANARIES, await told(plant)))


@pytest.mark.parametrize(
    "text",
    [
        "+14155559327",
        "14155559327",
        "1 (415) 555-9327",
        "%2B14155559327",
        "2b3134313535353539333237",
        "xx KzE0MTU1NTU5MzI3 yy",
        "aCsxNDE1NTU1OTMyNw==",
        "aGgrMTQxNTU1NTkzMjc=",
    ],
)
def test_a_canary_is_known_in_every_dress(text: str) -> None:
    assert found([Canary("it", PHONE)], {"here": text}) == ["it in here"]
    assert found([Canary("it", "quetzalcoatl ltd")], {"here": PAYEE.upper()}) == ["it in here"]


def test_what_is_no_canary_is_not_taken_for_one() -> None:
    assert found(CANARIES, {"here": "+1415*****27 z**@example.org ver_Q7ZK9X 1415555 \x00\xff"}) == []
    with pytest.raises(ValueError, match="turns up by chance"):
        Canary("short", "123456")
