"""A process killed between any two steps of anything that an app can ask for: what was told stays true, and whoever
asks again gets what it asked for."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.service.requests import understood
from gateway.store.link import connect
from tests.proof.errands import CODE, begin, errands, world
from tests.proof.test_kill import Life, adrift


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
    command = [sys.executable, "-m", "tests.proof.errands"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
    yield Mortals(valkey, process)
    process.communicate()


async def wrong_with(url: str, told: Told, *, forgetful: bool = False) -> list[str]:
    """What does not hold after another process was asked for all of it again. A forgetful one knows of no keys."""
    erased = told.of("started")[2:]
    kept = Life(told.prefix, acknowledged=[id_ for id_ in told.of("started") if id_ not in erased])
    found = await adrift(url, kept)
    again = world(url, told.prefix, connect(url))
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
