"""One process of a race: told on its input what to do and when, it does it many times at once and tells what came."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

from gateway.store.link import connect
from gateway.store.steps import Created
from gateway.store.valkey import Store
from tests.proof.planted import STORES
from tests.store.drafts import creation, guess


async def _check(store: Store, job: dict[str, Any], number: int) -> str:
    made = creation(id_=job["id"])
    codes = job["codes"]
    return (await store.check(guess(made, codes[number % len(codes)]))).verdict


async def _start(store: Store, job: dict[str, Any], _number: int) -> str:
    from gateway.store.wants import Counter as Limit
    from gateway.store.wants import Rule

    limits = [Limit(store.limit_key(7, name), (Rule(amount, 3_600_000),)) for name, amount in job["limits"].items()]
    return "created" if isinstance(await store.create(creation(*limits)), Created) else "limited"


async def _run(job: dict[str, Any]) -> Counter[str]:
    store = STORES[job["store"]](connect(job["url"], timeout=30), prefix=job["prefix"])
    work = {"check": _check, "start": _start}[job["work"]]
    # Scripts loaded, connections open, and all processes at the same line before it begins.
    await asyncio.gather(*(store.ping() for _ in range(32)))
    await asyncio.sleep(max(0, job["at"] - time.time()))
    results = await asyncio.gather(*(work(store, job, number) for number in range(job["times"])))
    await store.close()
    return Counter(results)


def main() -> None:
    """Serve jobs until the input ends."""
    for line in sys.stdin:
        counts = asyncio.run(_run(json.loads(line)))
        sys.stdout.write(json.dumps(counts) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
