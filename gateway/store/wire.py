"""One connection to a store, shared by all calls: commands go out in order, and replies come back in that order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

_BATCH = 16
"""Commands that wait to be written, at the most; what is fewer goes out at the end of the loop's tick."""
_SLACK = 0.002
"""Seconds by which a loop may call back early: uvloop's timers have the resolution of a millisecond."""
_NOTHING = object()

Words = tuple[str | bytes | int, ...]
"""A command and its arguments."""


class Fault(Exception):
    """A call to the store that gave no reply."""


class Away(Fault):
    """There is no connection, so the command was not sent."""


class Full(Fault):
    """Too many calls are under way, so the command was not sent."""


class Late(Fault):
    """No reply in time. The command may have run."""


class Cut(Fault):
    """The connection ended while the reply was owed. The command may have run."""


class Refused(Fault):
    """The store answered with an error, of which only the first word is shown: the rest may quote the command."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text.partition(" ")[0])
        self.text = text

    @property
    def word(self) -> str:
        """The kind of error, such as NOSCRIPT."""
        return str(self)


class Wire(asyncio.Protocol):
    """The connection. A reply belongs to the oldest command that is owed one, whether somebody still waits for it or
    not: so a caller who gave up leaves its place in the queue behind, and what comes for it is thrown away.

    `timeout` in seconds bounds every call. A store that answers others meanwhile is only slow, and the wire stays; one
    that says nothing at all for that long is cut off. `lost` is told once when the connection has ended.
    """

    def __init__(self, timeout: float, most: int, lost: Callable[[Wire], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._most = most
        self._lost = lost
        self._reader = hiredis.Reader(replyError=Refused, notEnoughData=_NOTHING)
        self._owed: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._out: list[bytes] = []
        self._heard = 0.0  # when the store last said something, or began to owe something
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport can write

    def ask(self, words: Words) -> asyncio.Future[Any]:
        """Send a command. The future gives its reply, or raises Late, Cut or Refused. Raises Away and Full at once."""
        self._admit(1)
        now = self._loop.time()
        if not self._owed:
            self._heard = now
        reply = self._loop.create_future()
        self._owed.append((reply, now + self._timeout))
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._timeout, self._expire)
        self._out.append(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub leaves int out
        if len(self._out) == 1:
            self._loop.call_soon(self._flush)
        elif len(self._out) >= _BATCH:
            self._flush()
        return reply

    def ask_all(self, commands: Sequence[Words]) -> list[asyncio.Future[Any]]:
        """Send all of them with nothing between, or none: raises Away and Full at once."""
        self._admit(len(commands))
        return [self.ask(words) for words in commands]

    async def close(self) -> None:
        """Take no more commands, wait for the replies that somebody waits for, and hang up."""
        self._open = False
        if waiting := [reply for reply, _ in self._owed if not reply.done()]:
            await asyncio.wait(waiting)
        self._end(Cut("connection closed"))

    def cut(self) -> None:
        """Hang up at once."""
        self._end(Cut("connection cut"))

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                self._deliver(reply)
        except (hiredis.ProtocolError, IndexError):  # not a store, or one that says more than it was asked
            self._end(Cut("what came is no reply"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Cut("connection lost"))

    def _admit(self, commands: int) -> None:
        if not self._open:
            raise Away("not connected")
        if len(self._owed) + commands > self._most:
            raise Full("too many calls under way")

    def _flush(self) -> None:
        if self._out and self._transport:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def _deliver(self, reply: object) -> None:
        waiting, _ = self._owed.popleft()
        if waiting.done():
            return
        if isinstance(reply, Refused):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def _expire(self) -> None:
        """Tell those who have waited too long; they keep their places in the queue."""
        self._timer = None
        now = self._loop.time() + _SLACK
        following = 0.0
        for waiting, deadline in self._owed:
            if deadline > now:
                following = deadline
                break
            if not waiting.done():
                waiting.set_exception(Late("no answer in time"))
        if not self._owed:
            return
        silent = self._heard + self._timeout
        if silent <= now:
            self._end(Cut("no answer to anybody in time"))
        else:
            self._timer = self._loop.call_at(min(silent, following or silent), self._expire)

    def _end(self, fault: Cut) -> None:
        self._open = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        owed, self._owed = self._owed, deque()
        self._out.clear()
        for waiting, _ in owed:
            if not waiting.done():
                waiting.set_exception(fault)
        transport, self._transport = self._transport, None
        if transport:
            transport.abort()
            self._lost(self)
