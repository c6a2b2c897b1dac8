"""Connections are taken in many at a time, and none is lost when there are no files for them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from gateway.http import accepting
from gateway.http.accepting import Entrance

CALLERS = 100


class Counted(asyncio.Protocol):
    """Closes what it is given."""

    def __init__(self, seen: list[int]) -> None:
        self._seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._seen.append(1)
        transport.close()


@contextlib.contextmanager
def listening(callers: int = CALLERS) -> Iterator[socket.socket]:
    """A socket, and so many who have connected to it already."""
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1_000))
        for _ in range(callers):
            stack.enter_context(socket.create_connection(one.getsockname()))
        yield one


async def turns(seen: list[int]) -> int:
    """How often the loop goes round until all have come in."""
    for turn in range(10 * CALLERS):
        if len(seen) == CALLERS:
            return turn
        await asyncio.sleep(0)
    raise AssertionError(f"{len(seen)} came in")


async def taken_in(sock: socket.socket) -> int:
    seen: list[int] = []
    entrance = Entrance(sock, 1_000, lambda: Counted(seen))
    number = await turns(seen)
    entrance.close()
    await entrance.wait_closed()
    return number


async def by_uvloop(sock: socket.socket) -> int:
    seen: list[int] = []
    server = await asyncio.get_running_loop().create_server(lambda: Counted(seen), sock=sock, backlog=1_000)
    number = await turns(seen)
    server.close()
    return number


def ran(way: Callable[[socket.socket], Coroutine[Any, Any, int]]) -> int:
    with listening() as sock, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(way(sock))


def test_a_hundred_come_in_within_a_few_turns_of_the_loop() -> None:
    assert ran(taken_in) < 20


def test_uvloop_by_itself_takes_in_one_a_turn() -> None:
    """Why there is an Entrance: without it the test above fails."""
    assert ran(by_uvloop) >= CALLERS - 1


class Scarce:
    """A socket of a process that has no more files at first, and in which a caller has hung up."""

    def __init__(self, true: socket.socket) -> None:
        self._true = true
        self.faults = [errno.EMFILE, errno.ECONNABORTED]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._true, name)

    def accept(self) -> Any:
        if self.faults:
            raise OSError(self.faults.pop(0), "no")
        return self._true.accept()


async def test_who_comes_while_there_are_no_files_is_taken_in_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "_PAUSE", 0.01)
    seen: list[int] = []
    with listening(3) as sock:
        scarce: Any = Scarce(sock)
        entrance = Entrance(scarce, 10, lambda: Counted(seen))
        async with asyncio.timeout(5):
            while len(seen) < 3:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.001)
        entrance.close()
        await entrance.wait_closed()
    assert scarce.faults == []


async def test_what_is_closed_takes_nobody_in() -> None:
    seen: list[int] = []
    with listening(0) as sock:
        entrance = Entrance(sock, 10, lambda: Counted(seen))
        entrance.close()
        with socket.create_connection(sock.getsockname()):
            await asyncio.sleep(0.01)
        await entrance.wait_closed()
    assert seen == []
