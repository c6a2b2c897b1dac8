"""Takes connections in, many in each turn of the event loop.

uvloop takes in one in each turn (libuv since 1.45). While turns are long, as under load, a check that comes by a
connection of its own then waits for as many turns as others connected before it, and nobody who waits there is told to
come back.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

_AT_ONCE = 64
"""Connections that are taken in during one turn: some milliseconds of it."""
_PAUSE = 1.0
"""Seconds before the next is taken in, when the process has no more files, or the machine no memory."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Entrance:
    """A listening socket of the running loop, until `close`. Has of asyncio.Server what uvicorn asks of one."""

    def __init__(self, listening: socket.socket, backlog: int, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listening = listening
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._joining: set[asyncio.Task[object]] = set()
        self._later: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        listening.listen(backlog)
        self._open()

    def close(self) -> None:
        """Take no more in."""
        self._loop.remove_reader(self._listening)
        if self._later:
            self._later.cancel()

    async def wait_closed(self) -> None:
        """Wait for those that were being taken in."""
        await asyncio.gather(*self._joining, return_exceptions=True)

    def _open(self) -> None:
        self._loop.add_reader(self._listening, self._take_in)

    def _take_in(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as fault:
                if fault.errno in _EXHAUSTED:
                    self._rest()
                    return
                continue  # the peer of that one has gone already
            self._join(connection)

    def _rest(self) -> None:
        self._loop.remove_reader(self._listening)
        self._later = self._loop.call_later(_PAUSE, self._open)

    def _join(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._connected(connection))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _connected(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it went while it came in
            connection.close()
