"""Erasing a destination: nothing that is kept of it for the app is left, in the store or in its files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gateway.core.keys import shard_of
from gateway.service.requests import NotFound, understood
from gateway.store import embedded
from tests.service.conftest import Worlds
from tests.support.world import EMAIL, PHONE, World

OTHER = "+14155550199"
MASKED = b"+1415*****23"


async def document(world: World, id_: str) -> bytes:
    data: bytes = await world.client.get(f"{world.prefix}:{{{shard_of(id_)}}}:v:{id_}")
    return data


def body_of(document: bytes) -> bytes:
    body: bytes = msgpack.unpackb(document, raw=True)[b"b"]
    return body


async def kept(world: World) -> dict[bytes, bytes]:
    """Every key of this world with what it holds."""
    read = {
        b"string": world.client.get,
        b"list": lambda key: world.client.lrange(key, 0, -1),
        b"zset": lambda key: world.client.zrange(key, 0, -1),
        b"hash": world.client.hgetall,
    }
    found: dict[bytes, bytes] = {}
    async for key in world.client.scan_iter(f"{world.prefix}:*"):
        holds: Any = await read[await world.client.type(key)](key)
        found[key] = holds if isinstance(holds, bytes) else b" ".join(holds)
    return found


async def gone(world: World, id_: str) -> bool:
    try:
        await world.verifications.read("shop", id_)
    except NotFound:
        return True
    return False


async def test_pending_and_ended_verifications_go_with_whatever_was_kept_of_them(world: World) -> None:
    ended = await world.start()
    await world.check(ended, world.code(ended))
    pending = await world.start(idempotency_key="k", body=b"{}", wait=5_000)
    begun = await world.begin(idempotency_key="waited", body=b"{}", wait=5_000)
    await world.settle()
    await world.verifications.keep_answer(begun, b'{"to": "+1415*****23"}')
    sealed = (await world.store.read(pending.id))[0].sealed
    assert sealed
    assert any(sealed in dump for dump in (await kept(world)).values())
    erased = await world.erasure.erase("shop", understood(PHONE, None))
    assert (erased.phone, erased.verifications, erased.ended) == ("+1415*****23", 3, 2)
    assert all([await gone(world, one.id) for one in (ended, pending, begun.verification)])
    left = await kept(world)
    assert [key for key in left if b":v:" in key or b":i:" in key or b":d:" in key or b":due" in key] == []
    assert not [key for key, dump in left.items() if sealed in dump or MASKED in dump]
    (line,) = [line for line in world.logged if line["event"] == "destination.erased"]
    assert (line["app"], line["phone"], line["verifications"]) == ("shop", "+1415*****23", 3)


async def test_nothing_is_sent_after_it_and_a_new_start_is_a_new_matter(world: World) -> None:
    v = await world.start()
    await world.erasure.erase("shop", understood(PHONE, None))
    sent = len(world.sent)
    await world.after(600)
    assert len(world.sent) == sent
    again = await world.start()
    assert (await world.check(again, world.code(again))).verdict == "approved"
    assert await gone(world, v.id)


async def test_what_the_store_can_tell_only_a_part_of_any_more_is_erased_all_the_same(world: World) -> None:
    v, ended = await world.start(), await world.start(phone=PHONE, email=EMAIL)
    await world.check(ended, world.code(ended))
    async for key in world.client.scan_iter(f"{world.prefix}:*:t:*"):
        await world.client.delete(key)
    world.store._reader._known.clear()
    erased = await world.erasure.erase("shop", understood(PHONE, None))
    assert (erased.verifications, erased.ended) == (2, 0)
    assert await gone(world, v.id)
    assert not [key for key in await kept(world) if b":v:" in key]
    sent = len(world.sent)
    await world.after(600)
    assert len(world.sent) == sent


async def test_other_destinations_and_other_apps_keep_what_is_theirs(world: World) -> None:
    other, bank = await world.start(phone=OTHER), await world.start(app="bank")
    await world.start()
    await world.erasure.erase("shop", understood(PHONE, None))
    assert (await world.verifications.read("shop", other.id)).pending
    assert (await world.verifications.read("bank", bank.id)).pending


async def test_a_verification_with_two_addresses_goes_by_either(world: World) -> None:
    for phone, email in ((PHONE, None), (None, EMAIL), (None, "ana+tag@example.org")):
        v = await world.start(phone=PHONE, email=EMAIL)
        erased = await world.erasure.erase("shop", understood(phone, email))
        assert (erased.verifications, await gone(world, v.id)) == (1, True)


async def test_opt_outs_and_counters_stay_since_they_protect_the_person(world: World) -> None:
    to = understood(PHONE, None)
    await world.suppressions.add("shop", to, ["voice"])
    v = await world.start()
    await world.check(v, world.wrong(v))
    await world.erasure.erase("shop", to)
    assert [entry.channel for entry in (await world.suppressions.search("shop", to)).entries] == ["voice"]
    assert [key for key in await kept(world) if b":g:" in key]
    assert [key for key in await kept(world) if b":l:" in key]


async def test_a_send_that_is_under_way_ends_without_a_trace(world: World) -> None:
    gate = asyncio.Event()

    async def slow(_message: Any) -> Any:
        await gate.wait()
        raise RuntimeError("whatever")

    world.one.scripts = [slow]
    begun = await world.begin()
    await asyncio.sleep(0)
    assert (await world.erasure.erase("shop", understood(PHONE, None))).ended == 1
    gate.set()
    await world.settle()
    assert await gone(world, begun.verification.id)
    assert [line for line in world.logged if line["event"] == "send.abandoned"]


async def test_the_list_ends_with_the_last_that_it_names(world: World) -> None:
    await world.start()
    (key,) = [key for key in await kept(world) if b":d:" in key]
    assert 86_000_000 < await world.client.pttl(key) <= 87_000_000


async def test_an_end_alone_erases_the_ciphertext_and_leaves_what_is_masked(world: World) -> None:
    v = await world.start()
    sealed = (await world.store.read(v.id))[0].sealed
    assert sealed
    await world.verifications.cancel("shop", v.id)
    left = await document(world, v.id)
    assert sealed not in left
    assert PHONE.encode() not in left
    assert MASKED in left


@pytest.fixture
async def own(data: Path) -> AsyncIterator[World]:
    """A world on a server of its own, whose files can be read."""
    server = embedded.start(data, fsync="always")
    async with World(server.url) as world:
        yield world
    server.stop()


async def rewritten(world: World, folder: Path) -> bytes:
    """The append-only file after a rewrite: a snapshot, not compressed."""
    await world.client.config_set("rdbcompression", "no")
    await world.client.config_set("auto-aof-rewrite-percentage", "0")
    await world.client.bgrewriteaof()
    while (await world.client.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110 - the server's, not ours
        await asyncio.sleep(0.005)
    return b"".join(file.read_bytes() for file in (folder / "appendonlydir").iterdir())


async def test_a_rewritten_file_of_the_store_holds_no_ciphertext_and_no_masked_number(own: World, data: Path) -> None:
    v = await own.start()
    sealed = (await own.store.read(v.id))[0].sealed
    assert sealed
    before = await rewritten(own, data)
    assert sealed in before
    body = body_of(await document(own, v.id))
    assert body in before
    await own.erasure.erase("shop", understood(PHONE, None))
    after = await rewritten(own, data)
    assert [what for what in (sealed, body, v.id.encode()) if what in after] == []


async def test_a_list_that_a_start_does_not_write_is_found_out(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store import valkey

    true = valkey._source
    right = "if KEYS[i] ~= KEYS[2] then enlist("
    assert true("create").count(right) == 1
    monkeypatch.setattr(valkey, "_source", lambda name: true(name).replace(right, "if false then enlist("))
    world = worlds()
    v = await world.start()
    assert (await world.erasure.erase("shop", understood(PHONE, None))).verifications == 0
    assert not await gone(world, v.id)
