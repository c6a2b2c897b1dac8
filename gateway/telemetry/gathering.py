"""One scrape for several processes: each tells the others its metrics, and whoever is asked answers for all of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

_PATIENCE = 1.0
"""Seconds that a scrape waits for another worker: one that hangs is left out, as one that is being restarted is."""
_MOST = 1 << 24
"""Bytes of one worker's metrics."""

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class Peers:
    """The workers of one gateway. `doors` are sockets on the loopback interface, the n-th of which is the n-th
    worker's."""

    worker: int
    doors: tuple[socket.socket, ...]


class Gathering:
    """The metrics of every worker. Where there is only one process, nothing is gathered and no series has the label
    `worker`."""

    def __init__(self, registry: CollectorRegistry, peers: Peers) -> None:
        self._registry = registry
        self._worker = peers.worker
        self._doors = peers.doors

    async def run(self) -> None:
        """Tell the other workers, for ever."""
        server = await asyncio.start_server(self._tell, sock=self._doors[self._worker], limit=1024)
        async with server:
            await server.serve_forever()

    async def exposition(self) -> bytes:
        """What all workers that answer in time have counted, in the Prometheus text format."""
        others = [n for n in range(len(self._doors)) if n != self._worker]
        told = await asyncio.gather(*(_asked(self._doors[n]) for n in others))
        found = {n: text for n, text in zip(others, told, strict=True) if text}
        found[self._worker] = generate_latest(self._registry)
        return merged(dict(sorted(found.items())))

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                writer.write(generate_latest(self._registry))
                await writer.drain()
        writer.close()


async def _asked(door: socket.socket) -> bytes:
    """What another worker tells; nothing when it is not there."""
    host, port = door.getsockname()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                return await _whole(reader)
            finally:
                writer.close()
    return b""


async def _whole(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the end; nothing when that is too much."""
    found = bytearray()
    while chunk := await reader.read(1 << 16):
        found += chunk
        if len(found) > _MOST:
            return b""
    return bytes(found)


def merged(expositions: Mapping[int, bytes]) -> bytes:
    """The expositions as one: each family once, with the samples of all workers under it, and in each sample the label
    `worker`. Nothing is added up: that is for the query, to which the restart of one worker is then the restart of its
    own counters and not a fall of everybody's."""
    heads: dict[bytes, list[bytes]] = {}
    samples: dict[bytes, list[bytes]] = {}
    for worker, text in expositions.items():
        name, label = b"", b'worker="%d"' % worker
        for line in text.splitlines():
            if not line.startswith(b"#"):
                samples[name].append(_labelled(line, label))
                continue
            name = line.split(b" ", 3)[2]
            lines = heads.setdefault(name, [])
            samples.setdefault(name, [])
            if line not in lines:
                lines.append(line)
    return b"".join(line + b"\n" for name in heads for line in (*heads[name], *samples[name]))


def _labelled(sample: bytes, label: bytes) -> bytes:
    """A name has no brace in it, so the first one opens the labels."""
    name, brace, rest = sample.partition(b"{")
    if brace:
        return name + b"{" + label + b"," + rest
    name, _, value = sample.partition(b" ")
    return name + b"{" + label + b"} " + value
