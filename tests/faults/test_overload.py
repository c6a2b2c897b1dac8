"""Far more starts than a process can work on: it says so at once, checks keep being answered, and nothing grows."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from pathlib import Path
from typing import Any

from bench.load import post
from tests.faults.flood import Tally, flood
from tests.support.process import Process

SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "3"))
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
        number = f"+1415555{next(self._numbers) % 9_000:04d}"
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


async def test_under_ten_times_the_load_checks_are_answered_and_starts_are_told_to_come_back(data: Path) -> None:
    with Process(data, config()) as gateway:
        crowd = Crowd(gateway)
        capacity = (await crowd.starts(100_000, 16, 1.5)).rate(b"201")
        rest = await crowd.checks()
        before = memory(gateway.process.pid)
        flooded, checks = await asyncio.gather(crowd.starts(max(2_000, 10 * capacity), 1_500), crowd.checks())
        grown = memory(gateway.process.pid) - before
    print(f"\ncapacity {capacity:.0f} starts/s\nflood {flooded.told()}\nchecks at rest {rest.told()}")  # noqa: T201
    print(f"checks under it {checks.told()}\nmemory {grown:+.1f} MB")  # noqa: T201
    assert set(flooded.statuses) == {b"201", b"503"}
    assert flooded.hinted == flooded.statuses[b"503"]
    assert flooded.rate(b"201") > capacity / 50, "some are served all the while"
    assert (set(checks.statuses), checks.unsent) == ({b"200"}, 0)
    assert checks.percentile(b"200", 0.5) < 1
    assert grown < 60
    assert "gateway.overloaded" in gateway.log.read_text()
