"""A process killed between any two steps of anything that an app can ask for: what was told stays true, and whoever
asks again gets what it asked for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.service.requests import understood
from gateway.store.spread import Spread
from gateway.store.topology import reach
from gateway.store.valkey import Store
from tests.proof.errands import CODE, begin, errands, world
from tests.proof.test_kill import Life, adrift
from tests.proof.victim import KEYS
from tests.support.servers import looking
from tests.support.six import six


@dataclass
class Told:
    """What a process said before it was killed."""

    prefix: str
    phones: list[str]
    words: list[tuple[str, str]] = field(default_factory=list)
    killed: bool = False

    def of(self, what: str) -> list[str]:
        return [word for said, word in self.words if said == what]


@dataclass
class Mortals:
    url: str
    process: subprocess.Popen[str]
    lives: int = 0

    def live(self, point: str) -> Told:
        """One process, from its start to its kill at this point."""
        self.lives += 1
        phones = [f"+1415556{self.lives:03d}{n}" for n in range(4)]
        told = Told(f"e{uuid.uuid4().hex[:10]}", phones)
        assert self.process.stdin
        assert self.process.stdout
        job = {"url": self.url, "prefix": told.prefix, "point": point, "phones": phones}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        while (said := json.loads(self.process.stdout.readline()))[0] != "ended":
            told.words.append((said[0], said[1]))
        told.killed = said[1] == signal.SIGKILL
        return told


@pytest.fixture(scope="module")
def mortals(valkey: str) -> Iterator[Mortals]:
    with mortal(valkey) as found:
        yield found


@contextmanager
def mortal(url: str) -> Iterator[Mortals]:
    command = [sys.executable, "-m", "tests.proof.errands"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    yield Mortals(url, process)
    process.communicate()


async def wrong_with(url: str, told: Told, *, forgetful: bool = False) -> list[str]:
    """What does not hold after another process was asked for all of it again. A forgetful one knows of no keys."""
    erased = told.of("started")[2:]
    kept = Life(told.prefix, acknowledged=[id_ for id_ in told.of("started") if id_ not in erased])
    found = await adrift(url, kept)
    again = world(url, told.prefix, reach(url))
    if forgetful:
        store = again.setup.store
        create = store.create
        store.create = lambda creation: create(replace(creation, idempotency=None))  # type: ignore[method-assign]
    found += await asked_again(again, told)
    await again.setup.store.close()
    await again.client.aclose()
    return found + await adrift(url, kept)


async def asked_again(again: Any, told: Told) -> list[str]:
    await errands(again, told.phones)
    ids = [(await begin(again, told.phones[n], f"k{n + 1}")).id for n in range(2)]
    found = [f"{id_} was another" for id_ in told.of("started") if id_ != ids[0]]
    verdicts = {
        key: (await again.check(ids[0], code, idempotency_key=key, body=key.encode())).verdict
        for key, code in (("w", "111111"), ("r", CODE))
    }
    if verdicts != {"w": "wrong", "r": "approved"}:
        found.append(f"asked again: {verdicts}")
    if (once_more := (await again.check(ids[0], CODE)).verdict) != "spent":
        found.append(f"one more right code was {once_more}")
    if (await again.verifications.read("shop", ids[1])).status != "canceled":
        found.append("the second was not canceled")
    found += [f"{phone} is not erased" for phone in told.phones[2:3] if await known(again, phone)]
    opted_out = await again.suppressions.search("shop", understood(told.phones[3], None))
    return found + ([] if opted_out.entries else ["the opt-out is not there"])


async def known(again: Any, phone: str) -> bool:
    """Whether erasing it once more finds anything."""
    return bool((await again.erasure.erase("shop", understood(phone, None))).verifications)


def messages(told: Told, output: str) -> Counter[str]:
    """How often each message went out, in both lives."""
    again = [json.loads(line)[1] for line in output.splitlines() if line.startswith('["sent"')]
    return Counter([*told.of("sent"), *again])


def test_killed_between_any_two_steps_of_anything_it_can_be_asked_for(
    valkey: str, mortals: Mortals, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = mortals.live("never")
    steps = int(whole.of("steps")[0])
    assert steps > 15
    points = [f"{side} {number}" for number in range(1, steps + 1) for side in ("before", "after")]
    found = {}
    for point in points:
        told = mortals.live(point)
        capfd.readouterr()
        faults = asyncio.run(wrong_with(valkey, told))
        sent = messages(told, capfd.readouterr().out)
        faults += [f"{ref} went out {n} times" for ref, n in sent.items() if n > 2]
        found[point] = (told.killed, faults)
    assert found == dict.fromkeys(points, (True, []))


def test_a_process_that_forgets_its_callers_keys_is_found(valkey: str, mortals: Mortals) -> None:
    told = mortals.live("after 4")
    faults = asyncio.run(wrong_with(valkey, told, forgetful=True))
    assert f"{told.of('started')[0]} was another" in faults


async def miscounted(url: str, prefix: str) -> list[str]:
    """What is counted too low, in another slot than the verifications that are counted: starts and money."""
    client, found = looking(url), list[str]()
    store = Store(reach(url), prefix=prefix, steps=Spread)
    ids = [key.decode().rpartition(":")[2] async for key in client.scan_iter(f"{prefix}:*:v:*")]
    held = 0
    for id_ in ids:
        held += sum(attempt.held for attempt in (await store.read(id_))[0].verification.attempts)
    purses = [int(await client.hget(key, "s") or 0) async for key in client.scan_iter(f"{prefix}:*:p:*")]
    app = f"{prefix}:{{{KEYS.shard('app shop')}}}:l:*"
    counts = [await client.strlen(key) // 6 async for key in client.scan_iter(app)]
    found += [f"a purse holds {spent} of {held}" for spent in purses if spent < held]
    found += [f"the app has {len(ids)} verifications, {count} counted" for count in counts if count < len(ids)]
    await store.close()
    await client.aclose()
    return found if held and ids and purses and counts else [*found, "nothing was counted"]


async def after(url: str, told: Told) -> list[str]:
    return await miscounted(url, told.prefix) if told.of("started") else []


SPREAD = int(os.environ.get("PROOF_ROUNDS", "20"))
"""Of the steps over a cluster, which are many, about so many are tried."""


def test_killed_between_the_steps_of_a_cluster_nothing_is_counted_too_low_and_whoever_asks_again_is_served(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with six(tmp_path / "c") as cluster, mortal(cluster.url) as mortals:
        whole = mortals.live("never")
        steps = int(whole.of("steps")[0])
        assert steps > 40
        first = [f"{side} {number}" for number in range(1, 11) for side in ("before", "after")]
        later = [f"after {number}" for number in range(11, steps, max(1, 3 * steps // SPREAD))]
        found = {}
        for point in [*first, *later]:
            told = mortals.live(point)
            faults = asyncio.run(after(cluster.url, told))
            capfd.readouterr()
            found[point] = (told.killed, faults + asyncio.run(wrong_with(cluster.url, told)))
        assert found == dict.fromkeys([*first, *later], (True, []))
        assert asyncio.run(too_low(cluster.url, whole.prefix)) == (2, [])


async def too_low(url: str, prefix: str) -> tuple[int, list[str]]:
    """How many of the two kinds of fault are seen where they are planted, and what was wrong before."""
    before, client = await miscounted(url, prefix), looking(url)
    async for key in client.scan_iter(f"{prefix}:*:p:*"):
        await client.hset(key, "s", 1)
    async for key in client.scan_iter(f"{prefix}:{{{KEYS.shard('app shop')}}}:l:*"):
        await client.set(key, (await client.get(key))[-6:])
    await client.aclose()
    return len({fault.split()[1] for fault in await miscounted(url, prefix)}), before
