"""What goes the short way, in one piece in and out, is answered as it would be by uvicorn's own."""

from __future__ import annotations

import asyncio
import re
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from structlog import get_logger
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http.answer import Answer, Nothing
from gateway.http.body import read
from gateway.http.call import Asked, Call
from gateway.http.direct import Direct
from gateway.http.problems import Problem
from gateway.http.room import Room
from gateway.http.whole import Door, Whole
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from tests.gateway.http.test_doors import BODY, post

INSTANCE = re.compile(rb"urn:uuid:[-0-9a-f]*")
OWN = re.compile(rb"(date|request-id): [^\r]*\r\n")
START, CHECK = post("/v1/verifications"), post("/v1/verifications/ver_x/check")
REPORT, OTHER_REPORT = post("/callbacks/own/t0ken"), post("/callbacks/own/again?a=b")
LAST = post("/v1/verifications", b"{}", b"Connection: close")
CHUNKED = b"POST /v1/verifications HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
EXPECTING = post("/v1/verifications", b"{}", b"Expect: 100-continue")
ELDER = START.replace(b"HTTP/1.1", b"HTTP/1.0")
QUERY = post("/v1/verifications?a=b")
ENDLESS = b"for ever"
PAUSE = b"<here it is waited for a moment>"


async def start(request: Asked) -> Response:
    body = await read(request, 100, 5)
    if body == ENDLESS:
        await asyncio.Event().wait()
    return Answer(b'{"id":"ver_x","read":%d}' % len(body), 201, ((b"location", b"/v1/verifications/ver_x"),))


async def check(_: Asked) -> Response:
    raise Problem("rate_limited", headers={"Retry-After": "7"})


async def report(request: Asked) -> Response:
    return Nothing(204 if request.path_params["token"] == "t0ken" else 200)


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("elsewhere")(scope, receive, send)


@asynccontextmanager
async def connected(http: type[HttpToolsProtocol]) -> AsyncIterator[tuple[ServerState, StreamReader, StreamWriter]]:
    """A connection to a protocol, with next to nothing behind it."""
    surface: Any = SimpleNamespace(
        room=Room(10), metrics=Metrics(CollectorRegistry(), Labels(), "1"), log=get_logger(), trusted_proxies=()
    )
    app = Direct(elsewhere, start, check, report, surface)
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", access_log=False)
    state, (here, there) = ServerState(), socket.socketpair()
    state.default_headers = [(b"date", b"Mon, 05 Jan 2026 10:00:00 GMT")]
    door = {"door": Door(surface.room, lambda: None, lambda: app)} if issubclass(http, Whole) else {}
    await asyncio.get_running_loop().create_connection(lambda: http(config, state, {}, **door), sock=there)  # type: ignore[arg-type]
    reader, writer = await asyncio.open_connection(sock=here)
    try:
        yield state, reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def said(http: type[HttpToolsProtocol], *requests: bytes, within: float = 5) -> bytes:
    """Everything that comes back to these requests, sent in one piece but for pauses, until the connection is
    closed."""
    async with connected(http) as (_, reader, writer):
        for piece in b"".join(requests).split(PAUSE):
            writer.write(piece)
            await asyncio.sleep(0.002)
        async with asyncio.timeout(within):
            return await reader.read()


REQUESTS: dict[str, tuple[bytes, ...]] = {
    "one": (LAST,),
    "two": (START, LAST),
    "four in a row": (START, CHECK, START, LAST),
    "after one that goes another way": (QUERY, START, LAST),
    "without a body": (REPORT, OTHER_REPORT, LAST),
    "a body in chunks": (CHUNKED, START, LAST),
    "a body in chunks, behind another": (CHECK, CHUNKED, LAST),
    "an older client": (START, ELDER),
    "with a body that is too long": (post("/v1/verifications", b" " * 101),),
    "with a body that is too long, behind another": (START, post("/v1/verifications", b" " * 101)),
    "with a body that is too long, and the last": (post("/v1/verifications", b" " * 101, b"Connection: close"),),
    "a body in chunks first": (CHUNKED, LAST),
    "an upgrade": (post("/v1/verifications", b"{}", b"Connection: upgrade, close", b"Upgrade: h2c"),),
}


def plain(answers: bytes) -> bytes:
    """Without what differs from one request to the next."""
    return INSTANCE.sub(b"", OWN.sub(b"", answers))


@pytest.mark.parametrize("requests", REQUESTS.values(), ids=REQUESTS)
async def test_the_short_way_gives_the_answers_that_uvicorn_would_have_sent(requests: tuple[bytes, ...]) -> None:
    ours, theirs = [plain(await said(http, *requests)) for http in (Whole, HttpToolsProtocol)]
    assert ours == theirs
    assert ours.count(b"HTTP/1.1 ") == len(requests)


@pytest.mark.parametrize("late", [1, len(BODY) - 1, len(BODY), len(BODY) + 2])  # of its last bytes
async def test_a_body_of_which_a_part_comes_later_goes_uvicorns_way(late: int) -> None:
    assert plain(await said(Whole, START[:-late], PAUSE, START[-late:] + LAST)) == plain(await said(Whole, START, LAST))


async def test_a_body_in_thousands_of_chunks_is_not_copied_for_each() -> None:
    """That took 40 ms of everybody's time for each read of 256 kB, before it was known who asks."""
    lengths: list[int] = []

    class Watched(Whole):
        def on_body(self, body: bytes) -> None:
            super().on_body(body)
            lengths.append(len(self._call.body) if self._call else 0)

    head = b"POST /v1/verifications HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answers = await said(Watched, head, b"1\r\n{\r\n" * 90, b"0\r\n\r\n")
    assert b'"read":90' in answers
    assert (len(lengths), max(lengths)) == (90, 1)


async def test_who_expects_to_be_told_to_go_on_is_told() -> None:
    answers = await said(Whole, EXPECTING[:-2], PAUSE, EXPECTING[-2:] + LAST)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"100", b"201", b"201"]


async def test_each_has_an_id_of_its_own_and_a_date() -> None:
    found = OWN.findall(await said(Whole, START, LAST))
    assert found == [b"date", b"request-id"] * 2


async def test_an_answer_that_forgot_to_close_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the first test."""
    write = Whole._write

    def careless(self: Whole, call: Call, answer: bytes) -> None:
        call.keep_alive = True
        write(self, call, answer)

    monkeypatch.setattr(Whole, "_write", careless)
    with pytest.raises(TimeoutError):
        await said(Whole, LAST, within=0.2)


async def test_what_is_broken_off_when_the_server_stops_is_told_that_it_failed() -> None:
    async with connected(Whole) as (server, reader, writer):
        writer.write(post("/v1/verifications", ENDLESS))
        while not server.tasks:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)
        (task,) = server.tasks
        await asyncio.sleep(0)  # it has begun
        task.cancel()
        assert b'"code": "internal_error"' in await reader.read()
    assert (server.tasks, task.cancelled()) == (set(), True)


async def test_what_the_client_no_longer_waits_for_is_answered_to_nobody() -> None:
    async with connected(Whole) as (server, _, writer):
        writer.write(START)
        while not server.tasks:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)
        (connection,) = server.connections
        connection.transport.abort()
        (task,) = server.tasks
        await task
        assert (server.tasks, server.total_requests) == (set(), 1)
