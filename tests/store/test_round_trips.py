"""What a start and a check cost: one command each, and nothing breaks when the server forgets its scripts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.store.valkey import SCRIPTS
from tests.store.drafts import HOUR, Shelf, change, creation, guess, repeat
from tests.support.trips import watching as watched


@asynccontextmanager
async def watching(shelf: Shelf) -> AsyncIterator[list[str]]:
    """The commands that reach the server, or the cluster's servers, from clients."""
    async with watched(*await primaries(shelf)) as commands:
        yield commands


async def primaries(shelf: Shelf) -> list[str]:
    """The addresses of the servers that take writes."""
    if not shelf.url.startswith("redis+cluster"):
        return [shelf.url]
    await shelf.client.initialize()
    return [f"redis://{node.host}:{node.port}" for node in shelf.client.get_primaries()]


async def _warm(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    await shelf.store.check(guess(made))


async def test_a_start_is_one_command_however_many_limits_it_has(shelf: Shelf) -> None:
    await _warm(shelf)
    counters = [shelf.counter(f"d{n}", (5, HOUR, False), (9, 2 * HOUR, False)) for n in range(8)]
    async with watching(shelf) as commands:
        await shelf.store.create(creation(*counters, idempotency=repeat()))
    assert commands == ["EVALSHA"]


@pytest.mark.parametrize("code", ["482913", "000000"])
async def test_a_check_is_one_command(shelf: Shelf, code: str) -> None:
    await _warm(shelf)
    made = creation()
    await shelf.store.create(made)
    async with watching(shelf) as commands:
        await shelf.store.check(guess(made, code, idempotency=repeat()))
    assert commands == ["EVALSHA"]


async def test_a_commit_a_claim_and_a_read_are_one_command_each(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    for _ in range(2):  # the first round loads the scripts
        async with watching(shelf) as commands:
            await shelf.store.claim(1, 10)
            stored, _ = await shelf.store.read(made.id)
            await shelf.store.commit(change(made, stored.verification.version, due=1))
    assert commands == ["EVALSHA"] * 3


async def test_a_store_that_asked_twice_would_be_noticed(shelf: Shelf) -> None:
    """The twin of the tests above."""
    await _warm(shelf)
    async with watching(shelf) as commands:
        await shelf.store.ping()
        await shelf.store.create(creation())
    assert commands == ["PING", "EVALSHA"]


async def test_a_server_that_forgot_its_scripts_is_given_them_again(shelf: Shelf) -> None:
    for _ in range(3):
        await shelf.client.script_flush()
        made = creation(idempotency=repeat(busy=1))
        await shelf.store.create(made)
        await shelf.client.script_flush()
        await shelf.store.claim(1, 1)
        await shelf.client.script_flush()
        stored, _ = await shelf.store.read(made.id)
        await shelf.client.script_flush()
        await shelf.store.commit(change(made, stored.verification.version, due=1))
        await shelf.client.script_flush()
        await shelf.store.keep_answer(repeat(), b"{}")
        await shelf.client.script_flush()
        assert (await shelf.store.check(guess(made))).verdict == "approved"
        await shelf.client.flushdb()


def test_every_script_has_its_file_and_every_file_its_script() -> None:
    from importlib import resources

    files = {f.name.removesuffix(".lua") for f in resources.files("gateway.store").joinpath("lua").iterdir()}
    assert files == {*SCRIPTS, "prelude", "watches", "starting"}


def test_no_script_calls_for_a_time_or_a_key_that_it_was_not_given() -> None:
    """Only the clock reads the time, and keys are named by KEYS or by the base of the slot that a script was given."""
    from gateway.store.valkey import _source

    for name in SCRIPTS:
        source = _source(name)
        assert "'TIME'" not in source
        assert not re.search(r"redis\.call\('\w+', '", source), name
