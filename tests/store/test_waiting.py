"""An approval is told when a replica has it; else the caller learns that it is not certain, and repeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.store.link import Calls, connect
from gateway.store.steps import Created, Replayed, Unconfirmed
from gateway.store.valkey import Store
from gateway.store.waiting import Replicas
from tests.store.drafts import creation, guess, repeat
from tests.support.servers import Server, running, until


@dataclass
class Pair:
    primary: Server
    replica: Server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("p")
    with (
        running(folder / "a", "--repl-diskless-sync-delay", "0") as one,
        running(folder / "b", "--replicaof", f"127.0.0.1 {one.port}") as two,
    ):
        until(lambda: b"+OK\r\n:1" in (one.say("SET k 1\r\nWAIT 1 1000") or b""))
        yield Pair(one, two)


@pytest.fixture
async def store(pair: Pair) -> AsyncIterator[Store]:
    store = Store(connect(pair.primary.url), replicas=Replicas(connect(pair.primary.url, timeout=5), 1, 100))
    yield store
    await store.close()


async def test_an_approval_that_a_replica_has_is_told(store: Store) -> None:
    made = creation()
    await store.create(made)
    tried = await store.check(guess(made))
    assert (tried.verdict, tried.confirmed) == ("approved", True)


async def test_an_approval_that_no_replica_has_is_not_told_until_one_has_it(store: Store, pair: Pair) -> None:
    made = creation()
    await store.create(made)
    pair.replica.freeze()
    try:
        short = await store.check(guess(made, idempotency=repeat(made.id)))
        again = await store.check(guess(made, idempotency=repeat(made.id)))
    finally:
        pair.replica.thaw()
    for _ in range(20):
        told = await store.check(guess(made, idempotency=repeat(made.id)))
        if told.confirmed:
            break
    assert [(t.verdict, t.confirmed) for t in (short, again, told)] == [
        ("approved", False),
        ("approved", False),
        ("approved", True),
    ]


async def test_a_wrong_code_needs_no_replica(store: Store, pair: Pair) -> None:
    made = creation()
    await store.create(made)
    pair.replica.freeze()
    try:
        assert (await store.check(guess(made, "000000"))).confirmed
    finally:
        pair.replica.thaw()


async def test_while_approvals_wait_nothing_else_does(store: Store, pair: Pair) -> None:
    made = [creation() for _ in range(50)]
    for one in made:
        await store.create(one)
    pair.replica.freeze()
    try:
        checks = [asyncio.create_task(store.check(guess(one))) for one in made]
        await asyncio.sleep(0.02)
        began = time.monotonic()
        await asyncio.gather(*(store.create(creation()) for _ in range(50)))
        assert time.monotonic() - began < 0.08
        assert {t.confirmed for t in await asyncio.gather(*checks)} == {False}
    finally:
        pair.replica.thaw()


async def test_one_wait_serves_everybody_who_asked_meanwhile(pair: Pair) -> None:
    watched = Counting(connect(pair.primary.url))
    store = Store(connect(pair.primary.url), replicas=Replicas(watched, 1, 1000))
    made = [creation() for _ in range(200)]
    await asyncio.gather(*(store.create(one) for one in made))
    assert {t.confirmed for t in await asyncio.gather(*(store.check(guess(one)) for one in made))} == {True}
    assert watched.waits < 50
    await store.close()


class Counting:
    """Calls, counted."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.waits = 0

    async def ask_all(self, *commands: Any) -> list[Any]:
        self.waits += 1
        return await self.calls.ask_all(*commands)

    async def close(self) -> None:
        await self.calls.close()


async def test_starts_wait_where_that_is_wanted_and_a_repetition_tells_what_became_of_them(pair: Pair) -> None:
    waiting = Replicas(connect(pair.primary.url, timeout=5), 1, 100)
    store = Store(connect(pair.primary.url), replicas=waiting, confirm_starts=True)
    key = repeat("a start")
    pair.replica.freeze()
    try:
        for _ in range(2):
            with pytest.raises(Unconfirmed, match=r"^create: too few replicas have it$"):
                await store.create(creation(idempotency=key))
    finally:
        pair.replica.thaw()
    assert isinstance(await store.create(creation(idempotency=key)), Replayed)
    assert isinstance(await store.create(creation()), Created)
    await store.close()


async def test_a_server_that_does_not_have_the_approval_never_vouches_for_it(pair: Pair, valkey: str) -> None:
    """As after a failover: the write went to the old primary, and the wait to the new one, whose replicas are fine."""
    store = Store(connect(valkey), replicas=Replicas(connect(pair.primary.url), 1, 500))
    made = creation()
    await store.create(made)
    tried = await store.check(guess(made))
    assert (tried.verdict, tried.confirmed) == ("approved", False)
    await store.close()


class Unmarked(Replicas):
    """Waits without a write of its own: WAIT then has nothing to wait for."""

    async def _confirmed(self, keys: list[str]) -> list[Any]:
        replies = await self._calls.ask_all(*[("GET", key) for key in keys], ("WAIT", self._number, self._timeout))
        return [*replies[:-1], None, replies[-1]]


class Blind(Replicas):
    """Does not look whether the server that waits has what was written."""

    def _tell(self, batch: list[Any], replies: list[Any]) -> None:
        super()._tell([(key, lambda _: True, answer) for key, _, answer in batch], replies)


async def test_a_wait_without_a_mark_would_be_noticed(pair: Pair) -> None:
    store = Store(connect(pair.primary.url), replicas=Unmarked(connect(pair.primary.url, timeout=5), 1, 100))
    made = creation()
    await store.create(made)
    pair.replica.freeze()
    try:
        assert (await store.check(guess(made))).confirmed, "WAIT went through at once"
    finally:
        pair.replica.thaw()
    await store.close()


async def test_a_wait_that_does_not_look_would_be_noticed(pair: Pair, valkey: str) -> None:
    store = Store(connect(valkey), replicas=Blind(connect(pair.primary.url), 1, 500))
    made = creation()
    await store.create(made)
    assert (await store.check(guess(made))).confirmed, "another server vouched for it"
    await store.close()
