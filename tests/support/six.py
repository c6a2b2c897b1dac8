"""A cluster of three primaries with a replica each: real processes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redis.crc import key_slot

from tests.support.servers import Server, free_port, server, until

_RANGES = ((0, 5460), (5461, 10922), (10923, 16383))
_SETTINGS = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"]


@dataclass
class Six:
    """The first three are the primaries at the start; each of the others follows one of them."""

    servers: list[Server]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{one.port}" for one in self.servers)

    def primaries(self) -> list[Server]:
        """Who holds slots, by their own word."""
        return [one for one in self.servers if _held(one)]

    def holder(self, tag: str) -> Server:
        """Who holds the slot, by its own word."""
        slot = key_slot(tag.encode())
        return next(one for one in self.servers if slot in _held(one))

    def fullest(self, number: int) -> list[int]:
        """The slots with the most keys: so many, or as many as have any."""
        keys = [key for one in self.primaries() for key in (one.say("KEYS", "*") or b"").split() if b"{" in key]
        return [slot for slot, _ in Counter(key_slot(key) for key in keys).most_common(number)]

    def carry_slot(self, slot: int) -> None:
        """Move a slot to another primary key by key, while it is used."""
        before, other = self._both(slot)
        other.say("CLUSTER", "SETSLOT", str(slot), "IMPORTING", _id(before))
        before.say("CLUSTER", "SETSLOT", str(slot), "MIGRATING", _id(other))
        while keys := _keys(before, slot):
            said = before.say("MIGRATE", "127.0.0.1", str(other.port), '""', "0", "1000", "KEYS", *keys)
            assert said in (b"+OK\r\n", b"+NOKEY\r\n"), said
        for one in (other, before, *self.servers):
            one.say("CLUSTER", "SETSLOT", str(slot), "NODE", _id(other))
        until(lambda: slot in _held(other))

    def move(self, tag: str) -> None:
        """Move the slot of a tag to another primary, while it is used."""
        self.move_slot(key_slot(tag.encode()))

    def _both(self, slot: int) -> tuple[Server, Server]:
        """Who has the slot, and another primary."""
        before = next(one for one in self.servers if slot in _held(one))
        return before, next(one for one in self.servers if one is not before and _held(one))

    def move_slot(self, slot: int) -> None:
        """Move a slot to another primary at once, while it is used."""
        before, other = self._both(slot)
        said = before.say("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", str(slot), str(slot), "NODE", _id(other))
        assert said == b"+OK\r\n", said
        until(lambda: slot in _held(other))

    def settled(self) -> bool:
        return all(
            b"cluster_state:ok" in (one.say("CLUSTER", "INFO") or b"")
            and (one.say("CLUSTER", "NODES") or b"").count(b"connected") == 6
            for one in self.servers
        ) and all(b"state=online" in (one.say("INFO", "replication") or b"") for one in self.servers if _held(one))


@contextlib.contextmanager
def six(folder: Path, *arguments: str, program: Path | None = None) -> Iterator[Six]:
    """For as long as the block lasts."""
    buses = [str(free_port()) for _ in range(6)]
    ports = enumerate(buses)
    cluster = Six(
        [server(folder / f"n{n}", *_SETTINGS, "--cluster-port", bus, *arguments, program=program) for n, bus in ports]
    )
    try:
        for one in cluster.servers:
            one.start()
        _join(cluster.servers, buses[0])
        until(cluster.settled)
        yield cluster
    finally:
        for one in cluster.servers:
            one.kill()


def _join(servers: list[Server], bus: str) -> None:
    for n, one in enumerate(servers):
        one.say("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1))
        one.say("CLUSTER", "MEET", "127.0.0.1", str(servers[0].port), bus)
    for one, (first, last) in zip(servers, _RANGES, strict=False):
        one.say("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
    until(lambda: all((one.say("CLUSTER", "NODES") or b"").count(b"connected") == 6 for one in servers))
    for replica, primary in zip(servers[3:], servers[:3], strict=True):
        until(lambda r=replica, p=primary: r.say("CLUSTER", "REPLICATE", _id(p)) == b"+OK\r\n")  # type: ignore[misc]


def _keys(one: Server, slot: int) -> list[str]:
    said = (one.say("CLUSTER", "GETKEYSINSLOT", str(slot), "20") or b"").decode().split("\r\n")
    return said[2::2]


def _id(one: Server) -> str:
    return (one.say("CLUSTER", "MYID") or b"").split()[1].decode()


def _held(one: Server) -> set[int]:
    """The slots of this primary, as it says itself."""
    lines = (one.say("CLUSTER", "NODES") or b"").splitlines()
    mine = next((line.split() for line in lines if b"myself" in line), [])
    if b"myself,master" not in mine:
        return set()
    spans = [word.split(b"-") for word in mine[8:] if not word.startswith(b"[")]
    return {slot for span in spans for slot in range(int(span[0]), int(span[-1]) + 1)}
