"""What comes in by the door: how many at once, how slowly, and what is turned away before it costs anything."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from structlog import get_logger

from gateway.http import protocol
from gateway.http.call import Asked
from gateway.http.direct import Direct
from gateway.http.openapi import document
from gateway.http.protocol import Bounded
from gateway.http.room import Room
from gateway.http.whole import Door
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from tests.gateway.http.contract import Contract, Reply

BODY = b'{"to": {"phone": "+14155550123"}}'


def post(path: str, body: bytes = BODY, *headers: bytes) -> bytes:
    lines = [b"POST " + path.encode() + b" HTTP/1.1", b"Host: x", *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, b"", body])


START, CHECK = post("/v1/verifications"), post("/v1/verifications/ver_x/check")


@asynccontextmanager
async def serving(
    room: Room, most: int = 100, started: Callable[[], Any] | None = None, idle: float = 5
) -> AsyncIterator[list[int]]:
    """A door with next to nothing behind it. Gives its port, and then a 503 for each start that is turned away."""
    seen: list[int] = []

    async def endpoint(_request: Asked) -> Response:
        async with room:
            if started:
                await started()
        return PlainTextResponse("done")

    async def check(_request: Asked) -> Response:
        return PlainTextResponse("checked")

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("elsewhere")(scope, receive, send)

    surface: Any = SimpleNamespace(room=room, metrics=Metrics(CollectorRegistry(), Labels(), "1"), log=get_logger())
    app = Direct(elsewhere, endpoint, check, check, surface)
    door = Door(room, lambda: seen.append(503), lambda: app)
    http: Any = partial(Bounded, most=most, door=door)
    config = uvicorn.Config(app, http=http, lifespan="off", log_config=None, ws="none", access_log=False)
    config.timeout_keep_alive = idle  # type: ignore[assignment]  # a float serves as well
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen.append(listening.getsockname()[1])
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        yield seen
        server.should_exit = True
        await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)


class Caller:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Caller:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def ask(self, request: bytes = b"") -> Reply:
        self.writer.write(request)
        async with asyncio.timeout(2):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = CIMultiDict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Reply(int(status.split()[1]), headers, body)

    async def closed(self, within: float = 0.5) -> bool:
        try:
            async with asyncio.timeout(within):
                return await self.reader.read(1) == b""
        except TimeoutError:
            return False


async def test_a_start_for_which_there_is_no_room_is_told_so_and_the_connection_goes_on() -> None:
    room = Room(0, 0)
    async with serving(room) as seen, Caller(seen[0]) as caller:
        told = await caller.ask(START)
        Contract(document("1")).hold("POST", "/v1/verifications", told)
        assert (told.status, told.code, told.headers["retry-after"]) == (503, "overloaded", "1")
        assert json.loads(told.body)["instance"] == f"urn:uuid:{told.headers['request-id']}"
        assert (await caller.ask(CHECK)).body == b"checked"
        assert (await caller.ask(START)).status == 503
        room.most = 4
        room.turned(0)
        room.turned(0)
        assert (await caller.ask(START)).body == b"done"
        assert seen[1:] == [503, 503]


TRICKY = b"POST /v1/verifications/ver_x/check HTTP/1.1\r\nX-A: "
CHUNKED = b"POST /v1/verifications HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
PIECES: dict[str, tuple[list[bytes], list[int]]] = {
    # what is sent, piece by piece; the answers to all of it
    "each in one piece": ([START, CHECK, START, START], [503, 200, 503, 503]),
    "two in one piece": ([START + CHECK, START], [503, 200, 503]),
    "a head in two pieces": ([START[:40], START[40:], CHECK], [503, 200]),
    "after a check and half a head": ([CHECK + START[:9], START[9:], CHECK], [200, 503, 200]),
    "blank lines before it": ([CHECK, b"\r\n\r\n", START, CHECK], [200, 503, 200]),
    "in other letters": ([START.replace(b"Content-Length", b"content-LENGTH"), CHECK], [503, 200]),
    "without a length": ([CHUNKED, CHECK], [503, 200]),
    "in what is another's header": ([CHECK + TRICKY, post("/v1/verifications", b"{}"), CHECK], [200, 200, 200]),
    "with two lengths": ([post("/v1/verifications", BODY, b"Content-Length: 3"), CHECK], [400]),
    "with a length that is none": ([START.replace(b"Length: ", b"Length: +")], [400]),
    "with a line feed alone": ([START.replace(b"Host: x\r\n", b"Host: x\nA: b\r\n")], [400]),
}


@pytest.mark.parametrize("parsed", [False, True], ids=["unread", "parsed"])
@pytest.mark.parametrize("what", PIECES)
async def test_however_a_start_comes_each_request_gets_its_own_answer(
    what: str, parsed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same whether those that came in one piece are parsed or not."""
    if parsed:
        monkeypatch.setattr(protocol, "_plain_start", lambda data: False)
    pieces, statuses = PIECES[what]
    async with serving(Room(0, 0)) as seen, Caller(seen[0]) as caller:
        for piece in pieces:
            caller.writer.write(piece)
            await asyncio.sleep(0.004)
        assert [(await caller.ask()).status for _ in statuses] == statuses
        assert await caller.closed(0.02) == (statuses == [400])


async def test_who_forgets_half_a_head_gives_one_caller_the_answer_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the test above."""
    always = property(lambda self: True, lambda self, value: None)
    monkeypatch.setattr(Bounded, "_between", always)
    async with serving(Room(0, 0)) as seen, Caller(seen[0]) as caller:
        for piece in PIECES["in what is another's header"][0]:
            caller.writer.write(piece)
            await asyncio.sleep(0.004)
        assert [(await caller.ask()).status for _ in range(2)] == [200, 503]


async def test_a_start_that_came_in_one_piece_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    monkeypatch.setattr(Bounded, "on_url", lambda self, url: parsed.append(url))
    async with serving(Room(0, 0)) as seen, Caller(seen[0]) as caller:
        assert (await caller.ask(START)).status == 503
    assert parsed == []


async def test_a_connection_whose_starts_are_turned_away_is_in_use() -> None:
    async with serving(Room(0, 0), idle=0.1) as seen, Caller(seen[0]) as caller:
        for _ in range(8):
            assert (await caller.ask(START)).status == 503
            await asyncio.sleep(0.03)
        assert await caller.closed(), "once nobody uses it"


async def test_a_connection_is_kept_for_as_long_as_it_is_used() -> None:
    async with serving(Room(9), idle=0.1) as seen, Caller(seen[0]) as caller:
        for _ in range(8):
            assert (await caller.ask(CHECK)).status == 200
            await asyncio.sleep(0.03)
        assert await caller.closed(), "once nobody uses it"


async def test_a_request_that_takes_longer_than_a_connection_may_rest_is_answered() -> None:
    gate = asyncio.Event()
    async with serving(Room(9), started=gate.wait, idle=0.02) as seen, Caller(seen[0]) as caller:
        assert (await caller.ask(CHECK)).status == 200
        caller.writer.write(START)
        await asyncio.sleep(0.05)
        gate.set()
        assert (await caller.ask()).body == b"done"
        assert await caller.closed()


async def test_who_takes_no_answer_is_hung_up_on() -> None:
    async with serving(Room(0, 0)) as seen:
        connection = socket.create_connection(("127.0.0.1", seen[0]))
        connection.setblocking(False)
        with connection, pytest.raises(ConnectionError):
            await asyncio.wait_for(asking_on(connection), 5)


async def asking_on(connection: socket.socket) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(connection, START)


async def test_starts_that_come_at_once_get_no_more_places_than_there_are_and_give_them_back() -> None:
    room, gate = Room(3, 0), asyncio.Event()
    async with serving(room, started=gate.wait) as seen:
        callers = [Caller(seen[0]) for _ in range(10)]
        asked = [await caller.__aenter__() for caller in callers]
        for caller in asked:
            caller.writer.write(START)
        await until(lambda: len(seen) == 8)
        async with Caller(seen[0]) as other:
            assert (await other.ask(CHECK)).body == b"checked"
        gate.set()
        assert sorted([(await caller.ask()).status for caller in asked]) == [200] * 3 + [503] * 7
        assert not room.full
        assert (room._taken, room._coming) == (0, 0)
        for caller in asked:
            await caller.__aexit__()


async def test_a_body_that_comes_after_its_answer_is_not_waited_for() -> None:
    async with serving(Room(0, 0)) as seen, Caller(seen[0]) as caller:
        assert (await caller.ask(START[:-5])).status == 503
        assert await caller.closed()


async def test_who_asked_to_be_hung_up_on_is_hung_up_on() -> None:
    async with serving(Room(0, 0)) as seen, Caller(seen[0]) as caller:
        told = await caller.ask(post("/v1/verifications", BODY, b"Connection: close"))
        assert (told.status, told.headers["connection"]) == (503, "close")
        assert await caller.closed()


async def test_of_pipelined_starts_each_is_answered() -> None:
    room = Room(1)
    async with serving(room) as seen, Caller(seen[0]) as caller:
        caller.writer.write(START * 3)
        assert [(await caller.ask()).status for _ in range(3)] == [200, 200, 200]
        assert (room._taken, room._coming) == (0, 0)


async def test_one_connection_more_than_may_be_is_answered_and_closed_and_the_others_go_on() -> None:
    async with serving(Room(9), most=2) as seen, Caller(seen[0]) as one, Caller(seen[0]) as two:
        assert [(await caller.ask(CHECK)).status for caller in (one, two)] == [200, 200]
        async with Caller(seen[0]) as third:
            told = await third.ask()
            assert (told.status, told.code, told.headers["retry-after"]) == (503, "overloaded", "1")
            assert await third.closed()
        assert [(await caller.ask(CHECK)).status for caller in (one, two)] == [200, 200]
        one.writer.close()
        await asyncio.sleep(0.01)
        async with Caller(seen[0]) as fourth:
            assert (await fourth.ask(CHECK)).status == 200


DRIBBLES = {
    "nothing": (b"", b"P"),
    "a beginning": (b"POST /v1/verifications HT", b"T"),
    "headers without an end": (b"POST /v1/verifications HTTP/1.1\r\nHost: x\r\nX-A: b\r\n", b"X"),
    "blank lines after a request": (CHECK + b"\r\n", b"\r\n"),
    "half a head after a request": (CHECK + b"POST /v1/ver", b"i"),
}


@pytest.mark.parametrize("pieces", DRIBBLES.values(), ids=DRIBBLES)
async def test_who_dribbles_a_head_is_hung_up_on(pieces: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SLOWEST_HEAD", 0.15)
    first, then = pieces
    async with serving(Room(9)) as seen, Caller(seen[0]) as caller:
        if first.startswith(CHECK):
            assert (await caller.ask(CHECK)).status == 200
        caller.writer.write(first.removeprefix(CHECK))
        await asyncio.sleep(0.1)
        caller.writer.write(then)
        assert await caller.closed()


async def test_a_head_without_a_deadline_would_hold_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SLOWEST_HEAD", 0.1)
    monkeypatch.setattr(Bounded, "_expect_head", lambda self: None)
    async with serving(Room(9)) as seen, Caller(seen[0]) as caller:
        caller.writer.write(b"POST /v1/ver")
        assert not await caller.closed(0.3)
