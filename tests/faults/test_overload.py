"""Far more starts than a process can work on: it says so at once, checks keep being answered, and nothing grows."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import post
from gateway.http.room import LONGEST
from tests.faults.flood import Tally, flood
from tests.support.process import Process

SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "3"))
CALM = 16
"""Callers who wait for their answers, which is what a run is measured against: machines differ, and so does what else
they do at the time."""
LEAST_KEPT = 0.25
"""Of the starts that a second of its processor is good for: the flood's refusals leave 0.6 to 0.8, and 0.4 where many
things share the machine's caches."""
POLICY = {
    "extends": None,
    "code": {"expiry": "10m", "checks": 10, "cooldown": "0s"},
    "guesses": {"amount": 100, "window": "24h", "delays": {"after": 100}},
    "limits": {"sends": {"amount": 1000, "window": "24h", "scope": "app", "per": "destination", "counts": "sends"}},
    "countries": {"allow": ["US"]},
    "fallback": [{"channel": "sms", "wait": "2m"}],
}


def config(**server: Any) -> dict[str, Any]:
    return {
        "mode": "development",
        "server": server,
        "metrics": {"enabled": False},
        "apps": {"demo": {"name": "Demo"}},
        "providers": {"simulator": {"type": "simulator"}},
        "channels": {"sms": {"providers": ["simulator"]}},
        "policies": {"default": POLICY},
    }


class Crowd:
    """Who starts, and who checks."""

    def __init__(self, gateway: Process) -> None:
        self._key = f"Authorization: Bearer {gateway.key}"
        self._numbers = itertools.count()
        self.port = int(gateway.url.rpartition(":")[2])
        self._ids = itertools.cycle([gateway.start_one(f"+1415555{n:04d}")["id"] for n in range(9_900, 9_940)])

    def start(self) -> bytes:
        number = f"+1415555{1_000 + next(self._numbers) % 8_000}"  # some below that are special to the simulator
        return post("/v1/verifications", json.dumps({"to": {"phone": number}}).encode(), self._key)

    def check(self) -> bytes:
        return post(f"/v1/verifications/{next(self._ids)}/check", b'{"code": "000000"}', self._key)

    async def starts(self, rate: float, connections: int, seconds: float = SECONDS) -> Tally:
        return await flood(self.port, self.start, rate=rate, seconds=seconds, connections=connections)

    async def checks(self) -> Tally:
        return await flood(self.port, self.check, rate=50, seconds=SECONDS, connections=50)


def memory(pid: int) -> float:
    """Megabytes that are resident."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def busy(pid: int) -> float:
    """Seconds of a processor that it has used."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]  # in its own code, and in the kernel
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


@dataclass
class Overload:
    """What came of ten times the load that a process had managed before."""

    capacity: float  # starts a second that it had managed
    kept: float  # of what a second of its processor had done, the share that it still did
    rest: Tally
    starts: Tally
    checks: Tally
    grown: float

    def told(self) -> str:
        return (
            f"\ncapacity {self.capacity:.0f} starts/s, {self.kept:.0%} of it under the flood"
            f"\nflood {self.starts.told()}\nchecks at rest {self.rest.told()}"
            f"\nchecks under it {self.checks.told()}\nmemory {self.grown:+.1f} MB"
        )


async def overload(gateway: Process) -> Overload:
    crowd, pid = Crowd(gateway), gateway.process.pid
    await crowd.starts(100_000, CALM, 1.5)  # until the reports of what was sent come back as well
    began = busy(pid)
    calm = await crowd.starts(100_000, CALM, 2)
    capacity, cost = calm.rate(b"201"), (busy(pid) - began) / calm.statuses[b"201"]
    rest = await crowd.checks()
    before, began = memory(pid), busy(pid)
    starts, checks = await asyncio.gather(crowd.starts(max(2_000, 10 * capacity), 1_500), crowd.checks())
    kept = starts.statuses[b"201"] * cost / (busy(pid) - began)
    found = Overload(capacity, kept, rest, starts, checks, memory(pid) - before)
    print(found.told())  # noqa: T201
    return found


def holds(found: Overload) -> bool:
    """Whether checks came before starts, as a ratio: a tenth, and half where many things share the machine."""
    return found.checks.typical(b"200") < found.starts.percentile(b"201", 0.5) * 0.75


async def test_under_ten_times_the_load_checks_are_answered_and_starts_are_told_to_come_back(data: Path) -> None:
    with Process(data, config()) as gateway:
        found = await overload(gateway)
    starts, checks = found.starts, found.checks
    assert set(starts.statuses) == {b"201", b"503"}
    assert starts.hinted == starts.statuses[b"503"]
    assert starts.unsent < starts.offered / 3, "who connects is let in, to be told at least"
    assert found.kept > LEAST_KEPT
    assert set(checks.statuses) == {b"200"}
    assert checks.rate(b"200") > 0.8 * found.rest.rate(b"200")
    assert holds(found)
    assert starts.percentile(b"201", 0.5) < 2 * LONGEST + checks.percentile(b"200", 0.99), "and what the loop was late"
    assert found.grown < 60
    assert "gateway.overloaded" in gateway.log.read_text()


async def test_with_room_for_all_everybody_waits_ever_longer(data: Path) -> None:
    with Process(data, config(), module="tests.faults.roomless") as gateway:
        found = await overload(gateway)
    assert not holds(found)


async def test_callers_that_wait_for_their_answers_are_served_and_never_refused(data: Path) -> None:
    with Process(data, config()) as gateway:
        crowd = Crowd(gateway)
        found = {callers: await crowd.starts(100_000, callers, 1) for callers in (32, 64, 128)}
    judged = [tally for callers, tally in found.items() if awaited(callers, tally) < LONGEST / 2]
    assert judged
    assert all(each.statuses[b"201"] > 0.97 * each.statuses.total() for each in judged), [
        each.told() for each in judged
    ]


def awaited(callers: int, tally: Tally) -> float:
    """Seconds that one of so many waits for the others, as fast as they were answered."""
    return callers * tally.took / tally.statuses.total()
