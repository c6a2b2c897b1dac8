"""The same bytes get the same answers, in the same order, in however many reads they come, and by whichever way."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from structlog import get_logger
from uvicorn.server import ServerState

from gateway.http import headers
from gateway.http.answer import Answer
from gateway.http.body import read
from gateway.http.call import Asked, Call
from gateway.http.direct import Direct
from gateway.http.protocol import Bounded
from gateway.http.room import Room
from gateway.http.whole import Door, Whole
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics

OWN = re.compile(rb"request-id: [^\r]*\r\n|urn:uuid:[-0-9a-f]*")
TURNS = 40
"""Turns of the loop in which all that came is answered: nothing here waits for anything but its turn."""


async def told(request: Asked) -> Response:
    """Which request this is, as the endpoint sees it."""
    body = await read(request, 60, 5)
    said = [request.scope["raw_path"], request.scope["query_string"], body, repr(request.path_params).encode()]
    said += [name + b"=" + value for name, value in request.scope["headers"]]
    said += [headers.first(request, b"x-a", "none").encode(), repr(headers.every(request, b"x-a")).encode()]
    return Answer(b"%s %s" % (hashlib.sha256(b"\n".join(said)).hexdigest()[:16].encode(), body), 201)


async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(b"elsewhere %s %s" % (scope["method"].encode(), body))(scope, receive, send)


class Wire(asyncio.Transport):
    """A transport that keeps what is written, until it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def answers(reads: list[bytes], *, short: bool = True, turns: int = 0) -> tuple[bytes, bool]:
    """What is written in answer to these reads, so many turns of the loop apart, and whether that is the end."""
    surface: Any = SimpleNamespace(
        room=Room(10), metrics=Metrics(CollectorRegistry(), Labels(), "1"), log=get_logger(), trusted_proxies=()
    )
    app = Direct(elsewhere, told, told, told, surface)
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", access_log=False)
    state, wire = ServerState(), Wire()
    door = Door(surface.room, lambda: None, lambda: app) if short else None
    connection = partial(Bounded, most=9, door=door)(config, state, {})
    connection.connection_made(wire)
    for data in reads:
        if not wire.closed:
            connection.data_received(data)
        for _ in range(turns):
            await asyncio.sleep(0)
    for _ in range(TURNS):
        await asyncio.sleep(0)
    connection.connection_lost(None)
    await asyncio.gather(*state.tasks, return_exceptions=True)
    assert (surface.room._taken, surface.room._coming) == (0, 0)
    return OWN.sub(b"", wire.written), wire.closed


PATHS = ("/v1/verifications", "/v1/verifications/ver_x/check", "/callbacks/own/t0ken")
ODD = (
    "/v1/verification%73",
    "/v1/verifications/%76er/check",
    "/v1/verifications/",
    "/elsewhere",
    "http://x/v1/verifications",
)
QUERIES = ("", "?a=b", "?a=%20b?c", "?")
HEADERS = ("", "X-A: b\r\n", "X-A: b\r\nx-a: c\r\n", "X-A:\r\n", "Connection: keep-alive\r\n", "Cookie: a=b\r\n")
ENDS = ("Connection: close\r\n", "Expect: 100-continue\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n")


def request(chance: random.Random) -> bytes:
    """One request, mostly of the kinds that go the short way."""
    method = "POST" if chance.random() < 0.9 else chance.choice(("GET", "PUT", "DELETE"))
    path = chance.choice(PATHS if chance.random() < 0.85 else ODD) + chance.choice(QUERIES)
    version = "1.1" if chance.random() < 0.95 else "1.0"
    body = chance.choice((b"", b"{}", b"x" * 60, b"x" * 61, b'{"code": "1"}')) if method == "POST" else b""
    lines = chance.choice(HEADERS) + (chance.choice(ENDS) if chance.random() < 0.07 else "")
    if chance.random() < 0.25:
        size = chance.randint(1, 9)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        lines += "Transfer-Encoding: chunked\r\n"
    elif body or chance.random() < 0.8:
        lines += f"Content-Length: {len(body)}\r\n"
    blank = "\r\n" if chance.random() < 0.05 else ""
    return f"{blank}{method} {path} HTTP/{version}\r\nHost: x\r\n{lines}\r\n".encode() + body


def split(data: bytes, chance: random.Random) -> list[bytes]:
    ends = [0, *sorted(chance.sample(range(1, len(data)), chance.randint(1, 4))), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


async def differ(seed: int) -> bool:
    """Whether the requests of that seed are answered otherwise than uvicorn's own way answers them in one read. What is
    no HTTP is answered at once, before what came with it: then how much was answered before depends on the reads."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    data = b"".join(request(chance) for _ in range(chance.randint(1, 4)))
    reads, turns = split(data, chance), chance.choice((0, 1, 3, TURNS))
    theirs = await answers([data], short=False)
    if b"malformed_http" in theirs[0]:
        turns = TURNS if turns else 0
        same = await answers(reads, turns=turns) == await answers(reads, turns=turns, short=False)
    else:
        same = await answers(reads, turns=turns) == theirs
    return not same or await answers([data]) != theirs


SEEDS = range(1, 150)


async def test_however_they_come_requests_are_answered_as_uvicorn_answers_them() -> None:
    assert await first() == 0


async def first() -> int:
    """The first seed of which requests are answered otherwise; 0 when there is none."""
    for seed in SEEDS:
        if await differ(seed):
            return seed
    return 0


async def test_a_body_that_is_left_behind_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: what came of a body before its request went the other way is forgotten."""
    monkeypatch.setattr(Whole, "_pass_on", forgetful)
    assert await first()


def forgetful(self: Whole, call: Call) -> None:
    self._call = None
    self._hand_over()


async def test_an_answer_that_overtakes_another_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: a request that came before the last answer goes the short way as well."""
    monkeypatch.setattr(Whole, "_idle", True)
    assert await first()


TRAILED = b"POST %s HTTP/1.1\r\nHost: x\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n%s0\r\n%s\r\n"


@pytest.mark.parametrize("path", [b"/v1/verifications", b"/v1/verification%73"])
@pytest.mark.parametrize("chunk", [b"", b"1\r\nx\r\n"])
@pytest.mark.parametrize("cut", [0, 3, 60])
async def test_a_trailer_is_no_header(path: bytes, chunk: bytes, cut: int) -> None:
    """A proxy that sets a header, as X-Forwarded-For, may pass on what the caller wrote behind the body."""
    with_it, without = (TRAILED % (path, chunk, trailer) for trailer in (b"X-A: c\r\nAuthorization: d\r\n", b""))
    reads = [with_it[: len(with_it) - cut], with_it[len(with_it) - cut :]] if cut else [with_it]
    assert await answers(reads, turns=1) == await answers([without])
