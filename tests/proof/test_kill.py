"""A process killed between any two steps: nothing that was acknowledged is lost, and its fallback goes on."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import pytest

from gateway.core.machine import Pace
from gateway.store.link import connect
from gateway.store.valkey import Store
from tests.proof.victim import KEYS, POLICIES, Trap, carrier, real_time
from tests.support.servers import looking
from tests.support.world import World

LEASE = 300
ROUNDS = int(os.environ.get("PROOF_ROUNDS", "20"))

SIDES = ("before", "after")
POINTS = [
    # A life starts two verifications. Each is refused once, calls, waits for a sign, and writes an email: three sends
    # and four commits, of which a claim precedes the third.
    *((f"{side} create", nth) for side in SIDES for nth in (1, 2)),
    *((f"{side} send", nth) for side in SIDES for nth in range(1, 7)),
    *((f"{side} commit", nth) for side in SIDES for nth in range(1, 9)),
    ("after claim", 1),
]
IN_A_CLAIM = [("after claim", 1), ("before send", 3), ("after send", 3), ("before commit", 1), ("after commit", 1)]
"""Points of a life whose first messages hang, so that its own worker takes the work over when their lease ends."""


@dataclass
class Life:
    """What a process told before it was killed."""

    prefix: str
    killed: bool = False
    acknowledged: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)


@dataclass
class Mortals:
    """Where processes to be killed come from."""

    url: str
    process: subprocess.Popen[str]
    lives: int = 0

    def live(self, point: str, nth: int, *, hangs: int = 0, mistake: str = "") -> Life:
        """One process, from its start to its kill."""
        life = Life(f"k{uuid.uuid4().hex[:10]}")
        self.lives += 1
        lease = 30 if hangs else LEASE
        job = {"url": self.url, "prefix": life.prefix, "point": point, "nth": nth, "lease": lease, "hangs": hangs}
        assert self.process.stdin
        self.process.stdin.write(json.dumps({**job, "mistake": mistake, "number": 100 + self.lives}) + "\n")
        self.process.stdin.flush()
        while (told := self._heard())[0] != "ended":
            if told[0] == "sent":
                life.sent[told[1]] += 1
            else:
                life.acknowledged.append(told[1])
        life.killed = told[1] == signal.SIGKILL
        return life

    def _heard(self) -> list[Any]:
        assert self.process.stdout
        heard: list[Any] = json.loads(self.process.stdout.readline())
        return heard


@pytest.fixture(scope="module")
def mortals(valkey: str) -> Iterator[Mortals]:
    command = [sys.executable, "-m", "tests.proof.victim"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    yield Mortals(valkey, process)
    process.communicate()


async def adrift(url: str, life: Life) -> list[str]:
    """What must never be: an acknowledged verification that is not there, or one that is pending without a timer."""
    client = looking(url)
    timers: set[str] = set()
    there, found = set(), []
    async for key in client.scan_iter(f"{life.prefix}:*:due"):
        timers.update(member.decode() for member in await client.zrange(key, 0, -1))
    async for key in client.scan_iter(f"{life.prefix}:*:v:*"):
        id_ = key.decode().rpartition(":")[2]
        there.add(id_)
        if msgpack.unpackb(await client.get(key), raw=True)[b"s"] == b"p" and id_ not in timers:
            found.append(f"{id_} has no timer")
    await client.aclose()
    return found + [f"{id_} is gone" for id_ in life.acknowledged if id_ not in there]


async def go_on(url: str, life: Life, patience: float = 10.0) -> list[str]:
    """Start another process on what was left. Gives back what it did not bring to its last channel in time."""
    async with World(url, prefix=life.prefix, keys=KEYS, pace=Pace(lease=LEASE), policies=POLICIES) as world:
        real_time(world, Store(connect(url), prefix=life.prefix))
        world.one.send = carrier(Trap("", 0), 0)  # type: ignore[method-assign]
        world.worker._poll, world.worker._sweep_at = 0.02, math.inf  # what is lost stays lost
        worker = asyncio.create_task(world.worker.run())
        behind = list(life.acknowledged)
        for _ in range(int(patience / 0.03)):
            behind = [id_ for id_ in behind if not await _written(world, id_)]
            if not behind:
                break
            await asyncio.sleep(0.03)
        world.worker.stop()
        await worker
        await world.setup.store.close()
        return behind


async def _written(world: World, id_: str) -> bool:
    v = await world.verifications.read("shop", id_)
    return (v.current.channel, v.current.status) == ("email", "sent")


async def outcome(url: str, life: Life, patience: float = 10.0) -> tuple[list[str], list[str]]:
    return await adrift(url, life), await go_on(url, life, patience)


async def outcomes(url: str, lives: list[Life]) -> list[tuple[list[str], list[str]]]:
    """Of many at once: most of the time is waiting for leases to end."""
    return await asyncio.gather(*(outcome(url, life) for life in lives))


def test_killed_between_any_two_steps_nothing_acknowledged_is_lost(valkey: str, mortals: Mortals) -> None:
    for _ in range(max(1, ROUNDS // 20)):
        lives = [mortals.live(point, nth) for point, nth in POINTS]
        assert [p for p, life in zip(POINTS, lives, strict=True) if not life.killed] == [], "these were not reached"
        assert dict(zip(POINTS, asyncio.run(outcomes(valkey, lives)), strict=True)) == dict.fromkeys(POINTS, ([], []))
        assert sum(len(life.acknowledged) for life in lives) > len(lives)


def test_killed_in_the_middle_of_a_claim_nothing_is_lost(valkey: str, mortals: Mortals) -> None:
    lives = [mortals.live(point, nth, hangs=2) for point, nth in IN_A_CLAIM]
    assert [p for p, life in zip(IN_A_CLAIM, lives, strict=True) if not life.killed] == []
    assert asyncio.run(outcomes(valkey, lives)) == [([], [])] * len(lives)
    assert all(len(life.acknowledged) == 2 for life in lives)


def test_a_message_is_sent_at_most_once_more_for_each_kill(valkey: str, mortals: Mortals, capfd: Any) -> None:
    lives = [mortals.live("after send", nth) for nth in range(1, 7)]
    capfd.readouterr()
    assert asyncio.run(outcomes(valkey, lives)) == [([], [])] * len(lives)
    again = Counter(json.loads(line)[1] for line in capfd.readouterr().out.splitlines())
    total = sum((life.sent for life in lives), again)
    assert set(total.values()) == {1, 2}
    assert {reference[-2:] for reference in total} == {".1", ".2", ".3"}


@pytest.mark.parametrize(("mistake", "point"), [("pops", "after claim"), ("unarmed", "after create")])
def test_a_timer_that_is_popped_or_never_set_loses_one(valkey: str, mortals: Mortals, mistake: str, point: str) -> None:
    """The twin of the tests above: with the usual mistakes the same search finds what was lost."""
    life = mortals.live(point, 1 if mistake == "pops" else 2, hangs=2, mistake=mistake)
    assert life.killed
    lost, behind = asyncio.run(outcome(valkey, life, patience=3 * LEASE / 1000))
    assert lost
    assert behind


def test_a_store_that_forgets_what_it_acknowledged_is_noticed(valkey: str, mortals: Mortals) -> None:
    life = mortals.live("after create", 2)
    assert asyncio.run(_forget(valkey, life)) == [f"{life.acknowledged[0]} is gone"]


async def _forget(url: str, life: Life) -> list[str]:
    client = looking(url)
    for key in await client.keys(f"{life.prefix}:*:v:{life.acknowledged[0]}"):
        await client.delete(key)
    await client.aclose()
    return await adrift(url, life)


async def test_a_zombies_late_commit_is_refused(valkey: str) -> None:
    """The fence: who lost the lease while it was stopped can't write over what the next holder wrote."""
    assert await _zombie(Store(connect(valkey), prefix=f"z{uuid.uuid4().hex[:10]}")) == "conflict"


async def test_without_the_fence_the_zombie_writes(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store import valkey as module
    from tests.proof import planted

    monkeypatch.setattr(module, "_source", module._source)  # put back what is planted now
    planted.plant("unfenced")
    assert await _zombie(Store(connect(valkey), prefix=f"z{uuid.uuid4().hex[:10]}")) == "committed"


async def _zombie(store: Store) -> str:
    from tests.store.drafts import change, creation

    made = creation()
    await store.create(made)
    zombie = (await store.read(made.id))[0].verification.version
    await store.release([made.id])
    holder = (await store.claim(1_000, 10)).due[0].stored.verification.version
    assert holder > zombie
    result = await store.commit(change(made, zombie, due=store.now() + 1_000))
    await store.close()
    return type(result).__name__.lower()
