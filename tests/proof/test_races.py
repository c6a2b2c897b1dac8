"""Many at once, from three real processes: one approval, as many guesses and as many starts as allowed, and no more."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from channels.contract import Message, Receipt
from gateway.service.engine import Engine
from gateway.service.reports import Reports
from gateway.store.steps import Claimed
from gateway.worker import Worker
from tests.proof.planted import TriesAgain
from tests.store.drafts import CODE, HOUR, Shelf, creation, wrongs
from tests.support.world import World

ROUNDS = int(os.environ.get("PROOF_ROUNDS", "20"))
PROCESSES = 3


@dataclass
class Racers:
    """Processes that wait for a race."""

    url: str
    processes: list[subprocess.Popen[str]]

    def race(self, prefix: str, work: str, times: int, store: str = "", **job: Any) -> Counter[str]:
        """Have all of them do this at the same moment, `times` in sum. What came of it, added up."""
        at = time.time() + 0.05
        for number, process in enumerate(self.processes):
            share = times // PROCESSES + (number < times % PROCESSES)
            told = {"url": self.url, "prefix": prefix, "work": work, "times": share, "at": at, "store": store, **job}
            assert process.stdin
            process.stdin.write(json.dumps(told) + "\n")
            process.stdin.flush()
        return sum((self._answer(process) for process in self.processes), Counter())

    def _answer(self, process: subprocess.Popen[str]) -> Counter[str]:
        assert process.stdout
        return Counter(json.loads(process.stdout.readline()))


@pytest.fixture(scope="module")
def racers(valkey: str) -> Iterator[Racers]:
    command = [sys.executable, "-m", "tests.proof.racer"]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(PROCESSES)
    ]
    yield Racers(valkey, processes)
    for process in processes:
        process.communicate()


def created(shelf: Shelf, **fields: Any) -> str:
    """A verification in the store, by the store's own time."""

    async def once() -> str:
        fresh = Shelf(shelf.url, prefix=shelf.prefix)
        made = creation(**fields)
        fresh.store._clock = None
        await fresh.store.create(made)
        await fresh.store.close()
        return made.id

    return asyncio.run(once())


@pytest.fixture
def shelf(valkey: str) -> Shelf:
    return Shelf(valkey)


def approvals(racers: Racers, shelf: Shelf, store: str) -> int:
    counts = racers.race(shelf.prefix, "check", 200, store, id=created(shelf), codes=[CODE])
    assert counts.total() == 200
    return counts["approved"]


def test_of_two_hundred_right_codes_at_once_one_is_approved(racers: Racers, shelf: Shelf) -> None:
    assert [approvals(racers, shelf, "") for _ in range(ROUNDS)] == [1] * ROUNDS


def test_reading_and_then_writing_approves_several(racers: Racers, shelf: Shelf) -> None:
    assert any(approvals(racers, shelf, "read-then-write") > 1 for _ in range(5))


def evaluated(racers: Racers, shelf: Shelf, store: str) -> int:
    """How many of 500 different wrong codes were compared: each that was told wrong, and the one that locked."""
    id_ = created(shelf, guesses=(100, HOUR), target=f"t{time.time_ns()}")
    counts = racers.race(shelf.prefix, "check", 500, store, id=id_, codes=wrongs(500))
    assert (counts.total(), counts["approved"]) == (500, 0)
    return counts["wrong"] + 1


def test_of_five_hundred_wrong_codes_at_once_five_are_looked_at(racers: Racers, shelf: Shelf) -> None:
    rounds = max(3, ROUNDS // 4)
    assert [evaluated(racers, shelf, "") for _ in range(rounds)] == [5] * rounds


def test_reading_and_then_writing_looks_at_many_more(racers: Racers, shelf: Shelf) -> None:
    assert any(evaluated(racers, shelf, "read-then-write") > 5 for _ in range(5))


def passed(racers: Racers, shelf: Shelf, store: str, name: str) -> int:
    counts = racers.race(shelf.prefix, "start", 1_000, store, limits={name: 37, f"{name}-roomy": 900})
    assert counts.total() == 1_000
    return counts["created"]


def test_of_a_thousand_starts_at_once_as_many_pass_as_the_limit_says(racers: Racers, shelf: Shelf) -> None:
    assert passed(racers, shelf, "", "l") == 37
    assert passed(racers, shelf, "", "l") == 0, "and those that were refused spent nothing of the roomy one"
    assert racers.race(shelf.prefix, "start", 900, limits={"l-roomy": 900})["created"] == 900 - 37


def test_looking_and_then_counting_lets_too_many_pass(racers: Racers, shelf: Shelf) -> None:
    assert any(passed(racers, shelf, "check-then-count", f"l{n}") > 37 for n in range(5))


async def sends_of_a_collision(valkey: str, engine: type[Engine]) -> list[int]:
    """Forty verifications whose wait is over, and whose failed reports come at that very moment: the report in one
    process, the timer in another. How many messages each then got after its first."""
    async with World(valkey) as one, World(valkey, prefix=one.prefix, keys=one.keys, clock=one.clock) as other:
        other.engine = engine(other.setup)
        other.worker = Worker(other.setup, other.engine)
        one.reports = Reports(one.setup, one.engine)
        started = [await one.start(phone=f"+141555501{number:02d}") for number in range(40)]
        one.one.scripts = [_slow] * 80
        other.one.scripts = [_slow] * 80
        one.clock.forward(31)
        reports = (_late(number % 10, one.report(v, 1, "failed:no_channel")) for number, v in enumerate(started))
        await asyncio.gather(*reports, other.worker.tick())
        await one.settle()
        await other.settle()
        seconds = Counter(m.reference for m in (*one.sent, *other.sent) if not m.reference.endswith(".1"))
        return [seconds[f"{v.id}.2"] for v in started]


async def _late(milliseconds: int, work: Awaitable[object]) -> None:
    await asyncio.sleep(milliseconds / 1000)
    await work


async def _slow(message: Message) -> Receipt:
    await asyncio.sleep(0.01)
    return Receipt(message.reference)


async def test_a_timer_and_a_failed_report_at_once_send_one_message(valkey: str) -> None:
    for _ in range(max(3, ROUNDS // 4)):
        assert await sends_of_a_collision(valkey, Engine) == [1] * 40


async def sends_around_a_claim(valkey: str, engine: type[Engine], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The same with nothing left to chance: all reports come between the other process's claim and its commits, and
    the messages that they lead to are still under way then."""
    async with World(valkey) as one, World(valkey, prefix=one.prefix, keys=one.keys, clock=one.clock) as other:
        other.engine = engine(other.setup)
        other.worker = Worker(other.setup, other.engine)
        started = [await one.start(phone=f"+141555502{number:02d}") for number in range(8)]
        gate, reports, claim = asyncio.Event(), list[asyncio.Task[Any]](), other.store.claim

        async def held(message: Message) -> Receipt:
            await gate.wait()
            return Receipt(message.reference)

        async def claimed(*args: Any) -> Claimed:
            found = await claim(*args)
            if not reports:
                reports.extend(asyncio.create_task(one.report(v, 1, "failed:no_channel")) for v in started)
                while one.engine.in_flight < len(started):  # noqa: ASYNC110 - the engine tells nobody
                    await asyncio.sleep(0.001)
            return found

        one.one.scripts = [held] * len(started)
        monkeypatch.setattr(other.store, "claim", claimed)
        one.clock.forward(31)
        await other.worker.tick()
        gate.set()
        await asyncio.gather(*reports)
        await other.settle()
        seconds = Counter(m.reference for m in (*one.sent, *other.sent) if not m.reference.endswith(".1"))
        return [seconds[f"{v.id}.2"] for v in started]


async def test_a_report_between_a_claim_and_its_commit_sends_one_message(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await sends_around_a_claim(valkey, Engine, monkeypatch) == [1] * 8


async def test_a_timer_that_is_applied_to_what_others_have_done_sends_twice(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await sends_around_a_claim(valkey, TriesAgain, monkeypatch) == [2] * 8
