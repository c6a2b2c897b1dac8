"""`make bench`: boots the gateway and two baselines, loads them in turn, and prints medians and their ratios."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cold, decision, life
from bench.load import Request, Result, post, run
from gateway.store import embedded
from gateway.store.plain import client

KEY = "otp_bench_" + "b" * 32
CODE = "482913"
PORTS = {"gateway": 18080, "baseline": 18081, "life": 18083, "floor": 18084}
SERVER_CORE, LOAD_CORE = 0, 1


@dataclass
class Measure:
    """One repetition of one thing."""

    throughput: float
    p50: float
    p99: float
    cpu: float  # seconds of the server's processor per request


def config(folder: Path, store: str) -> Path:
    """The file that configures the gateway under test."""
    path = folder / "config.yaml"
    path.write_text(json.dumps(document(folder, store)))
    return path


def document(folder: Path, store: str) -> dict[str, Any]:
    """A gateway with everything on: limits, sealing, metrics, logs, timers; and a provider that sends nothing."""
    sms = [{"channel": "sms", "wait": "5m"}]
    return {
        "mode": "development",
        "server": {"port": PORTS["gateway"]},
        "metrics": {"port": 19464},
        "log": {"format": "json"},
        "store": {"url": store, "directory": str(folder)},
        "engine": {"sends": 10_000},
        "apps": {"bench": {"name": "Bench", "keys": [{"id": "k", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}},
        "providers": {"null": {"type": "bench.null:build"}},
        "channels": {"sms": {"providers": ["null"]}},
        "policies": {
            "default": {
                "extends": "development",
                "limits": {"app-hour": {"amount": 10_000_000}},
                "spend": {
                    "caps": {name: {"amount": "100000000 USD"} for name in ("country-day", "app-day", "whole-month")}
                },
                "fallback": sms,
            }
        },
    }


def with_vendor(folder: Path, store: str) -> Path:
    """The file of a gateway that is the same but for its provider, which is reached over HTTP."""
    said = document(folder, store)
    said["server"]["port"], said["metrics"]["port"] = PORTS["life"], 19465
    said["providers"], said["channels"] = {"own": life.PROVIDER}, {"sms": {"providers": ["own"]}}
    path = folder / "life.yaml"
    path.write_text(json.dumps(said))
    return path


@contextmanager
def server(name: str, command: list[str], env: dict[str, str], cores: str = str(SERVER_CORE)) -> Iterator[int]:
    """A server pinned to its cores, answering on its port; gives its process id."""
    process = subprocess.Popen(
        ["taskset", "-c", cores, *command], env={**cold.INSTALLED, **env}, stdout=subprocess.DEVNULL
    )
    try:
        _until_open(PORTS[name], process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    import socket

    for _ in range(400):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise SystemExit(f"the server on port {port} ended with {process.returncode}")
        time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Megabytes of a process in memory."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def starts(numbers: Iterator[int]) -> Request:
    """A start for another number each time, with the app's own code so that it can be checked."""
    auth = f"Authorization: Bearer {KEY}"

    def request() -> bytes:
        n = next(numbers)
        to = f"+1{212 + n // 7_000_000 % 700}{2000000 + n % 7_000_000:07d}"
        client = {"ip": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", "device": f"d{n}"}
        body = {"to": {"phone": to}, "code": CODE, "client": client}
        return post("/v1/verifications", json.dumps(body).encode(), auth)

    return request


def check(verification: str) -> bytes:
    """The right code."""
    auth, body = f"Authorization: Bearer {KEY}", json.dumps({"code": CODE}).encode()
    return post(f"/v1/verifications/{verification}/check", body, auth)


def checks(ids: Iterator[str]) -> Request:
    """The right code for another verification each time."""
    return lambda: check(next(ids))


def measured(result: Result, cpu: float, what: str) -> Measure:
    if result.failures:
        raise SystemExit(f"{what}: {result.failures} answers had another status, the last: {result.refusal.decode()}")
    n = len(result.latencies)
    return Measure(result.throughput, result.percentile(0.5) * 1000, result.percentile(0.99) * 1000, cpu / n)


class Bench:
    """One run: the same number of requests to each, in turn, so that a slow minute of the machine hits all alike."""

    def __init__(self, pids: dict[str, int], store: str, other: str, requests: int, connections: int) -> None:
        self.pids = pids
        self.requests = requests
        self.connections = connections
        self.store = store
        self.other = other  # the store of whole lives
        self.vendor = life.Vendor()
        self.trips: dict[str, dict[str, float]] = {}
        self.sizes: list[float] = []  # bytes of the store for each that was started
        self.numbers = itertools.count(1)
        self.results: dict[str, list[Measure]] = {"bare": [], "script": [], "start": [], "check": [], "life": []}

    async def repetition(self, *, count: bool) -> None:
        body = b'{"to":{"phone":"+12125550123"}}'
        await self._measure("bare", "baseline", lambda: post("/bare", body), b"200", count)
        await self._measure("script", "baseline", lambda: post("/script", body), b"200", count)
        before = await self._used()
        started = await self._measure("start", "gateway", starts(self.numbers), b"201", count, keep=True)
        if count:
            await asyncio.sleep(0.1)  # what a start leaves to do: its send, and writing down how that went
            self.sizes.append((await self._used() - before) / self.requests)
        ids = iter([json.loads(answer)["id"] for answer in started.bodies])
        await self._measure("check", "gateway", checks(ids), b"200", count)
        before_lives = cpu_of(self.pids["life"])
        lived = await self._lives(self.requests // 4, self.connections)
        if count:
            self.results["life"].append(measured(lived, cpu_of(self.pids["life"]) - before_lives, "life"))

    async def _lives(self, number: int, connections: int) -> Result:
        return await life.lives(self.vendor, PORTS["life"], number, connections, starts(self.numbers), check)

    async def count_trips(self, number: int = 50) -> None:
        """What the store is asked for each of a few, one after the other."""
        async with life.counted(self.store) as asked:
            started = await run(PORTS["gateway"], number, 1, starts(self.numbers), status=b"201", keep=True)
        self.trips["start"] = {name: times / number for name, times in asked.items()}
        async with life.counted(self.store) as asked:
            ids = iter([json.loads(answer)["id"] for answer in started.bodies])
            await run(PORTS["gateway"], number, 1, checks(ids), status=b"200")
        self.trips["check"] = {name: times / number for name, times in asked.items()}
        async with life.counted(self.other) as asked:
            await self._lives(number, 1)
        self.trips["life"] = {name: times / number for name, times in asked.items()}

    async def _measure(
        self, what: str, where: str, request: Request, status: bytes, count: bool, keep: bool = False
    ) -> Result:
        before = cpu_of(self.pids[where])
        result = await run(PORTS[where], self.requests, self.connections, request, status=status, keep=keep)
        measure = measured(result, cpu_of(self.pids[where]) - before, what)
        if count:
            self.results[what].append(measure)
        return result

    async def _used(self) -> int:
        store = client(self.store)
        used = int((await store.info("memory"))["used_memory"])
        await store.aclose()
        return used

    def median(self, what: str, pick: Callable[[Measure], float]) -> float:
        return statistics.median(pick(measure) for measure in self.results[what])


def report(bench: Bench, memory: dict[str, float]) -> str:
    """The table that is printed: medians, and ratios to the bare route."""
    lines = [
        f"{'':8}{'req/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'cpu us':>9}{'rate/(a)':>10}{'p99/(a)':>9}{'rate/(b)':>10}",
    ]
    rate = {what: bench.median(what, lambda m: m.throughput) for what in bench.results}
    p99 = {what: bench.median(what, lambda m: m.p99) for what in bench.results}
    for what, label in (("bare", "(a)"), ("script", "(b)"), *((x, x) for x in ("start", "check", "life"))):
        p50, cpu = bench.median(what, lambda m: m.p50), bench.median(what, lambda m: m.cpu) * 1e6
        lines.append(
            f"{label:8}{rate[what]:10.0f}{p50:9.2f}{p99[what]:9.2f}{cpu:9.0f}{rate[what] / rate['bare']:10.2f}"
            f"{p99[what] / p99['bare']:9.2f}{rate[what] / rate['script']:10.2f}"
        )
    lines += ["", *map(trips, bench.trips.items())]
    lines += ["", f"the store, for each live verification: {statistics.median(bench.sizes):.0f} bytes"]
    lines += [*(f"memory of the {name}: {size:.0f} MB" for name, size in memory.items())]
    return "\n".join(lines)


def trips(counted: tuple[str, dict[str, float]]) -> str:
    """A line of the report."""
    what, asked = counted
    each = ", ".join(f"{name} {times:.2f}" for name, times in sorted(asked.items()))
    return f"round trips to the store, {what}: {sum(asked.values()):.2f} ({each})"


async def measure(bench: Bench, repetitions: int) -> None:
    async with bench.vendor.listening():
        await bench.repetition(count=False)
        for _ in range(repetitions):
            await bench.repetition(count=True)
        await bench.count_trips()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--requests", type=int, default=4000, help="requests of each kind in one repetition")
    parser.add_argument("--repetitions", type=int, default=5, help="repetitions, of which the medians are shown")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})  # the store, started from here, inherits it
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otpb")))
        store = embedded.start(folder / "store")
        stack.callback(store.stop)
        path = config(folder, store.url)
        python = sys.executable
        ready = statistics.median(cold.start(document(folder, ""), folder / str(n)) for n in range(3))
        gateway = stack.enter_context(server("gateway", [python, "-m", "gateway", "serve", "--config", str(path)], {}))
        uvicorn = ["-m", "uvicorn", "--factory", "bench.baseline:app", "--port", str(PORTS["baseline"])]
        quiet = ["--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
        baseline = stack.enter_context(server("baseline", [python, *uvicorn, *quiet], {"BENCH_STORE": store.url}))
        idle = memory_of(gateway)
        other = embedded.start(folder / "other")
        stack.callback(other.stop)
        lives = [python, "-m", "gateway", "serve", "--config", str(with_vendor(folder, other.url))]
        pids = {"gateway": gateway, "baseline": baseline}
        pids["life"] = stack.enter_context(server("life", lives, {"BENCH_SECRET": life.SECRET}))
        bench = Bench(pids, store.url, other.url, options.requests, options.connections)
        asyncio.run(measure(bench, options.repetitions))
        memory = {"gateway before": idle, "gateway after": memory_of(gateway), "baseline": memory_of(baseline)}
        print(
            f"Python {platform.python_version()}, {options.connections} connections, medians of {options.repetitions}"
        )
        print(report(bench, memory))
        print(f"ready, with a new store of its own, after {ready:.2f} s (median of 3)")
    print(f"\n{decision.report()}")


if __name__ == "__main__":
    main()
