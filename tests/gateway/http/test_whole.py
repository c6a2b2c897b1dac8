"""An answer that is written in one piece is the answer that uvicorn would have sent."""

from __future__ import annotations

import asyncio
import re
import socket
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from structlog import get_logger
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http import whole
from gateway.http.answer import Answer, Nothing
from gateway.http.direct import Direct
from gateway.http.room import Room
from gateway.http.whole import Whole
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from tests.gateway.http.test_doors import post, until

OWN = re.compile(rb"(date|request-id): [^\r]*\r\n")
START, CHECK = post("/v1/verifications"), post("/v1/verifications/ver_x/check")
REPORT, OTHER_REPORT = post("/callbacks/own/t0ken"), post("/callbacks/own/again")
LAST = post("/v1/verifications", b"{}", b"Connection: close")


async def start(_: Request) -> Response:
    return Answer(b'{"id":"ver_x"}', 201, ((b"location", b"/v1/verifications/ver_x"),))


async def check(_: Request) -> Response:
    return PlainTextResponse("no answer of ours, so sent as uvicorn does it")


async def report(request: Request) -> Response:
    return Nothing(204 if request.path_params["token"] == "t0ken" else 200)


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("elsewhere")(scope, receive, send)


async def said(http: type[HttpToolsProtocol], *requests: bytes, within: float = 5) -> bytes:
    """Everything that comes back to these requests, sent in one piece, until the connection is closed."""
    surface: Any = SimpleNamespace(
        room=Room(10), metrics=Metrics(CollectorRegistry(), Labels(), "1"), log=get_logger(), trusted_proxies=()
    )
    app = Direct(elsewhere, start, check, report, surface)
    config = uvicorn.Config(app, http=http, lifespan="off", log_config=None, ws="none", access_log=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"".join(requests))
        try:
            async with asyncio.timeout(within):
                return await reader.read()
        finally:
            writer.close()
            server.should_exit = True
            await asyncio.gather(task, writer.wait_closed())


@pytest.mark.parametrize(
    "requests",
    [(LAST,), (START, LAST), (START, CHECK, START, LAST), (REPORT, OTHER_REPORT, LAST)],
    ids=["one", "two", "four in a row", "without a body"],
)
async def test_an_answer_in_one_piece_is_what_uvicorn_would_have_sent(requests: tuple[bytes, ...]) -> None:
    ours, theirs = [OWN.sub(b"", await said(http, *requests)) for http in (Whole, HttpToolsProtocol)]
    assert ours == theirs
    assert ours.count(b"HTTP/1.1 ") == len(requests)


async def test_each_has_an_id_of_its_own_and_a_date() -> None:
    found = OWN.findall(await said(Whole, START, LAST))
    assert found == [b"date", b"request-id"] * 2


async def test_an_answer_that_forgot_to_close_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the first test."""
    write = whole._write

    def careless(cycle: Any, *answer: Any) -> bool:
        cycle.keep_alive = True
        return write(cycle, *answer)

    monkeypatch.setattr(whole, "_write", careless)
    with pytest.raises(TimeoutError):
        await said(Whole, LAST, within=0.2)
