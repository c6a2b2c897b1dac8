"""In a cluster: the slot is found and followed, moves under load without an error, and fails over without a lost
approval."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.core.model import Purse
from gateway.store.cluster import slot_of
from gateway.store.link import Script
from gateway.store.spread import Spread
from gateway.store.steps import Creation, Unavailable
from gateway.store.topology import reach, waiter
from gateway.store.valkey import Store
from gateway.store.wants import Counter, Rule, Spend
from gateway.store.wire import Late, Refused
from tests.store.drafts import DAY, HOUR, asking, creation
from tests.store.traffic import WITHIN, Traffic
from tests.support.six import Six, six

FOREIGN = 12
"""A shard in which no verification of a test lies."""
SCRIPT = Script.of("return redis.call('INCR', KEYS[1])")


def wanting(store: Store) -> Creation:
    """A start whose limit and money lie in other slots."""
    counter = Counter(store.limit_key(FOREIGN, "ip"), (Rule(10**6, HOUR),))
    purse = Purse(store.purse_key(FOREIGN + 1, "app"), "app", 10**9, store.now() + DAY, False)
    made = creation(counter, shard=random.randrange(10))  # noqa: S311 - which shard is no secret
    return asking(made, spend=Spend((purse,), 30))


async def test_slots_move_while_they_are_used_and_nobody_notices(clustered: Six) -> None:
    calls = reach(clustered.url, tag="{7}")
    store = Store(calls, prefix="moved", steps=Spread)
    traffic = Traffic(store, wanting)
    await traffic.run(lambda: [clustered.move(f"{{{shard}}}") for shard in (FOREIGN, 7)], calls)
    told, approvals = await traffic.told()
    await store.close()
    assert set(traffic.answers) == {"done"}, told
    assert (approvals, traffic.slowest < WITHIN) == (0, True), told
    assert " 0 of " in told


async def test_a_server_that_has_not_the_slot_leads_to_the_one_that_has(clustered: Six) -> None:
    calls = reach(clustered.url, tag="{led}")
    holder = clustered.holder("{led}")
    await calls.ask("PING")
    wrong = next(("127.0.0.1", one.port) for one in clustered.servers if one is not holder)
    calls._homes[slot_of("{led}")] = wrong  # type: ignore[attr-defined]
    assert await calls.run(SCRIPT, ["{led}:n"], b"") == 1
    assert await calls.run(SCRIPT, ["{led}:n"], b"") == 2
    await calls.close()


async def test_a_slot_on_its_way_is_asked_for_where_it_goes(clustered: Six) -> None:
    """As in a move key by key: what is not here any more is asked for there, with the word that it takes."""
    from redis.crc import key_slot

    slot, here = str(key_slot(b"{way}")), clustered.holder("{way}")
    there = next(one for one in clustered.servers if one is not here and b"master" in (one.say("ROLE") or b""))
    ids = [(one.say("CLUSTER", "MYID") or b"").split()[1].decode() for one in (here, there)]
    calls = reach(clustered.url, tag="{way}")
    await calls.ask("PING")
    there.say("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    here.say("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    try:
        assert await calls.run(SCRIPT, ["{way}:new"], b"") == 1
        assert (there.say("CLUSTER", "COUNTKEYSINSLOT", slot), here.say("CLUSTER", "COUNTKEYSINSLOT", slot)) == (
            b":1\r\n",
            b":0\r\n",
        )
    finally:
        for one in (there, here):
            one.say("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    await calls.close()


async def test_keys_of_several_slots_are_an_error_and_not_repeated_for_ever(clustered: Six) -> None:
    calls = reach(clustered.url, tag="{one}")
    with pytest.raises(Refused, match=r"^CROSSSLOT$"):
        await calls.ask("MGET", "{one}:a", "{two}:b")
    await calls.close()


async def test_a_cluster_that_is_away_is_told_in_time() -> None:
    calls = reach("redis+cluster://127.0.0.1:1,127.0.0.1:2", timeout=0.3)
    async with asyncio.timeout(2):
        with pytest.raises(Late):
            await calls.ask("PING")
        with pytest.raises(Unavailable):
            await Store(calls).ping()
    await calls.close()


async def test_when_its_holder_freezes_everybody_is_answered_in_time_and_no_told_approval_is_lost(
    tmp_path: Path,
) -> None:
    with six(tmp_path / "c") as cluster:
        calls = reach(cluster.url, tag="{7}")
        store = Store(calls, prefix="otp", replicas=waiter(cluster.url, reach(cluster.url), 1, 400), steps=Spread)
        traffic = Traffic(store, wanting)
        await traffic.run(lambda: cluster.holder("{7}").freeze(), calls)
        told, approvals = await traffic.told()
        await store.close()
    print(told)  # noqa: T201 - the classification, for whoever runs it with -s
    assert traffic.slowest < WITHIN, told
    assert approvals == 0, told
    assert len(traffic.approved) > 50, told
