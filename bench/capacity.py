"""`python -m bench.capacity`: what a verification costs in bytes, commands and processor time, and how that grows."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.__main__ import LOAD_CORE, PORTS, SERVER_CORE, checks, config, cpu_of, memory_of, server, starts
from bench.load import Request, Result, run
from gateway.store import embedded
from gateway.store.link import connect
from gateway.store.plain import client as client_of
from gateway.store.valkey import Store

SAMPLE = 1000
"""Verifications that the gateway itself starts; more are copies of theirs, key for key."""
CONNECTIONS = 32
NEVER = 86_400_000

COPY = """
for i = 2, #ARGV do
  local key = ARGV[i]
  redis.call('COPY', key, key .. ARGV[1])
  local prefix, id = key:match('^(.*):v:(.*)$')
  if prefix then redis.call('ZADD', prefix .. ':due', redis.call('TIME')[1] * 1000 + 600000, id .. ARGV[1]) end
end
"""


@dataclass(frozen=True)
class Usage:
    """What was used up until a moment: processor seconds and counts."""

    gateway: float
    store: float
    scripts: int
    script_seconds: float
    commands: int  # inside scripts
    sent: int  # bytes to the store
    answered: int  # and from it

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, name) - getattr(other, name) for name in Usage.__dataclass_fields__))


@dataclass(frozen=True)
class Cost:
    """Of one kind of request."""

    rate: float
    p50: float
    p99: float
    used: Usage
    number: int

    def micros(self, seconds: float) -> float:
        return seconds / self.number * 1e6


class Rig:
    """A gateway on a store, with load."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.client: Any = client_of(url)
        self.numbers = itertools.count(1)
        self.started: list[str] = []
        self._originals: list[bytes] = []

    async def usage(self) -> Usage:
        info = await self.client.info("all")
        rows = {name.removeprefix("cmdstat_"): row for name, row in info.items() if name.startswith("cmdstat_")}
        scripts = rows.get("evalsha", {"calls": 0, "usec": 0})
        inner = sum(row["calls"] for name, row in rows.items() if name not in ("evalsha", "info", "ping", "eval"))
        return Usage(
            sum(cpu_of(pid) for pid in family(self.pid)),
            info["used_cpu_user"] + info["used_cpu_sys"],
            scripts["calls"],
            scripts["usec"] / 1e6,
            inner,
            info["total_net_input_bytes"],
            info["total_net_output_bytes"],
        )

    async def load(self, number: int, request: Request, status: bytes) -> tuple[Cost, Result]:
        before = await self.usage()
        result = await run(PORTS["gateway"], number, CONNECTIONS, request, status=status, keep=True)
        await asyncio.sleep(0.05)  # what a start leaves to do: its send, and writing down how that went
        if result.failures:
            raise SystemExit(f"{result.failures} answers had another status, the last: {result.refusal.decode()}")
        used = await self.usage() - before
        cost = Cost(result.throughput, result.percentile(0.5) * 1e3, result.percentile(0.99) * 1e3, used, number)
        return cost, result

    async def start(self, number: int) -> Cost:
        cost, result = await self.load(number, starts(self.numbers), b"201")
        self.started += [json.loads(answer)["id"] for answer in result.bodies]
        return cost

    async def check(self, number: int) -> Cost:
        """Of those that were started last."""
        ids, self.started = self.started[-number:], self.started[:-number]
        cost, _ = await self.load(number, checks(iter(ids)), b"200")
        return cost

    async def claim(self, rounds: int = 200) -> float:
        """Microseconds of the store for one look for due timers, of which there are none."""
        store = Store(connect(self.url))
        took = []
        for _ in range(rounds):
            began = time.perf_counter()
            await store.claim(NEVER, 64)
            took.append(time.perf_counter() - began)
        await store.close()
        return statistics.median(took) * 1e6

    async def memory(self) -> int:
        return int((await self.client.info("memory"))["used_memory"])

    async def fill(self, live: int, copies: Iterator[int]) -> None:
        """Copy what was started until about `live` more are there."""
        keys = self._originals = self._originals or await self._own_keys()
        for _ in range(max(0, round(live / SAMPLE))):
            suffix = b"~%d" % next(copies)
            for i in range(0, len(keys), 500):
                await self.client.eval(COPY, 0, suffix, *keys[i : i + 500])

    async def _own_keys(self) -> list[bytes]:
        """Keys that each verification has for itself: its document, its counters, what its destination is known by."""
        found = []
        async for key in self.client.scan_iter("*", count=1000):
            kind = key.split(b":")[2]
            small = kind == b"l" and await self.client.strlen(key) < 8 * 6
            if kind in (b"v", b"d") or small:
                found.append(key)
        return found


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@contextmanager
def rig(workers: int, *, persistent: bool) -> Iterator[Rig]:
    """With one worker, the gateway has a core of its own; with more, all cores together with store and load."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otpc")))
        os.sched_setaffinity(0, {LOAD_CORE} if workers == 1 else range(os.cpu_count() or 1))
        store = embedded.start(folder / "store")
        stack.callback(store.stop)
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config(folder, store.url))]
        cores = str(SERVER_CORE) if workers == 1 else f"0-{(os.cpu_count() or 1) - 1}"
        pid = stack.enter_context(server("gateway", [*command, "--workers", str(workers)], {}, cores=cores))
        found = Rig(store.url, pid)
        if not persistent:
            asyncio.run(_forgetful(store.url))
        yield found


async def _forgetful(url: str) -> None:
    """Copies by the million would measure the disk."""
    client: Any = client_of(url)
    await client.config_set("appendonly", "no")
    await client.aclose()


def fresh(rigged: Rig) -> None:
    """Connections belong to a loop, and each measurement has one of its own."""
    rigged.client = client_of(rigged.url)


async def growth(rigged: Rig, sizes: list[int]) -> None:
    """The cost of each step with more and more live verifications in the store."""
    print(
        f"{'live':>10}{'MB':>8}{'bytes each':>12}{'start us':>10}{'check us':>10}{'claim us':>10}{'start p50 ms':>14}"
    )
    fresh(rigged)
    empty, copies, live = await rigged.memory(), itertools.count(1), 0
    await rigged.start(SAMPLE)
    live = SAMPLE
    for size in sizes:
        await rigged.fill(size - live, copies)
        live = max(live, size)
        memory = await rigged.memory()
        started = await rigged.start(SAMPLE)
        checked = await rigged.check(SAMPLE)
        claimed = await rigged.claim()
        print(
            f"{live:10,}{memory / 1e6:8.0f}{(memory - empty) / live:12.0f}"
            f"{started.micros(started.used.script_seconds):10.0f}{checked.micros(checked.used.script_seconds):10.0f}"
            f"{claimed:10.0f}{started.p50:14.1f}",
            flush=True,
        )


async def verification(rigged: Rig, number: int, repetitions: int) -> None:
    """What one costs: a start, with its send, and a check."""
    fresh(rigged)
    await rigged.start(number)
    await rigged.check(number)
    rows: dict[str, list[Cost]] = {"start": [], "check": []}
    for _ in range(repetitions):
        rows["start"].append(await rigged.start(number))
        rows["check"].append(await rigged.check(number))
    for name, costs in rows.items():
        print(f"  {name}  " + summary(costs))
    size = sum(memory_of(pid) for pid in family(rigged.pid))
    print(f"  memory of {len(family(rigged.pid))} gateway processes, shared pages counted for each: {size:.0f} MB")


def summary(costs: list[Cost]) -> str:
    """The medians of several repetitions, on one line."""

    def middle(values: Iterator[float]) -> float:
        return statistics.median(values)

    number = costs[0].number
    return (
        f"{middle(c.rate for c in costs):6.0f}/s  p50 {middle(c.p50 for c in costs):5.1f} ms  "
        f"p99 {middle(c.p99 for c in costs):5.1f} ms  "
        f"cpu: gateway {middle(c.micros(c.used.gateway) for c in costs):4.0f} us, "
        f"store {middle(c.micros(c.used.store) for c in costs):4.0f} us "
        f"({middle(c.micros(c.used.script_seconds) for c in costs):3.0f} in scripts); "
        f"scripts {middle(c.used.scripts / number for c in costs):4.2f} "
        f"of {middle(c.used.commands / number for c in costs):4.1f} commands; "
        f"bytes {middle(c.used.sent / number for c in costs):5.0f} there, "
        f"{middle(c.used.answered / number for c in costs):4.0f} back"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000", help="live verifications; none to leave this out")
    parser.add_argument("--workers", default="1,2", help="numbers of workers; none to leave this out")
    parser.add_argument("--requests", type=int, default=2000, help="of each kind in one repetition")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    for workers in numbers(options.workers):
        with rig(workers, persistent=True) as rigged:
            print(f"one verification, {workers} workers, {CONNECTIONS} connections")
            asyncio.run(verification(rigged, options.requests, options.repetitions))
    if sizes := numbers(options.sizes):
        with rig(1, persistent=False) as rigged:
            print("\nwith more live verifications in the store (no append-only file)")
            asyncio.run(growth(rigged, sizes))


def numbers(text: str) -> list[int]:
    """Numbers that are separated by commas."""
    return [int(one) for one in text.split(",") if one.strip().isdigit()]


if __name__ == "__main__":
    main()
