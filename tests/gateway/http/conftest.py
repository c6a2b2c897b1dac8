"""A gateway that listens on a loopback port, and a client that holds every answer to the contract."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import uvicorn
from aiohttp import ClientSession, DummyCookieJar
from multidict import CIMultiDict

from gateway.core.keys import api_key_hash
from gateway.http.api import application
from gateway.http.openapi import document
from gateway.http.protocol import Bounded
from gateway.http.surface import Surface
from gateway.http.whole import Door
from tests.gateway.http.contract import Contract, Reply, leaks
from tests.support.surface import surface_of
from tests.support.world import EMAIL, PHONE, World

KEY, SECOND_KEY, BANK_KEY = "otp_shop-key-0123456789abcd", "otp_shop-key-rotated-in-7890", "otp_bank-key-0123456789abcd"


@dataclass
class State:
    """What the composition root would know."""

    problems: list[str] = field(default_factory=list)
    draining: bool = False


@dataclass
class Api:
    """The gateway as its callers see it. `call` checks every answer; `world` is what lies behind."""

    world: World
    surface: Surface
    state: State
    port: int
    session: ClientSession
    contract: Contract

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = KEY, **headers: str) -> Reply:
        """`body` is JSON, or bytes to be sent as they are."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {key}")
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        async with self.session.request(
            method, f"http://127.0.0.1:{self.port}{path}", data=data, headers=sent, allow_redirects=False
        ) as answer:
            reply = Reply(answer.status, CIMultiDict(answer.headers), await answer.read())
        self.hold(method, path, reply)
        return reply

    def hold(self, method: str, path: str, reply: Reply) -> None:
        self.contract.hold(method, path, reply)
        if path != "/openapi.json":  # its examples are the very ones that the tests send
            assert leaks(reply, {PHONE[1:], EMAIL, KEY, SECOND_KEY, BANK_KEY, *(m.code for m in self.world.sent)}) == []

    async def post(self, path: str, body: Any = None, **how: Any) -> Reply:
        return await self.call("POST", path, body, **how)

    async def get(self, path: str, **how: Any) -> Reply:
        return await self.call("GET", path, **how)

    async def begin(self, **how: Any) -> str:
        """Start a verification by phone, let its first message go out, and give back its address."""
        reply = await self.post("/v1/verifications", how.pop("body", {"to": {"phone": PHONE}}), **how)
        assert reply.status == 201, reply.body
        await self.world.settle()
        return reply.headers["Location"]

    def code(self, address: str) -> str:
        return self.world.code(address.rpartition("/")[2])

    def wrong(self, address: str) -> str:
        return self.world.wrong(address.rpartition("/")[2])


@asynccontextmanager
async def listening(world: World, **changes: Any) -> AsyncIterator[Api]:
    """Serve a world on a free port. `changes` replace fields of the surface."""
    state = State()

    async def readiness() -> list[str]:
        return list(state.problems)

    keys = {api_key_hash(KEY): "shop", api_key_hash(SECOND_KEY): "shop", api_key_hash(BANK_KEY): "bank"}
    surface = surface_of(world, keys, **{"readiness": readiness, "draining": lambda: state.draining, **changes})
    app = application(surface)
    http: Any = partial(Bounded, most=100, door=Door(surface.room, lambda: None, lambda: app))
    config = uvicorn.Config(app, http=http, lifespan="off", log_config=None, ws="none", access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP: without, each answer takes 40 ms more.
    with socket.socket(proto=socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        await server.startup(sockets=[bound])
        async with ClientSession(cookie_jar=DummyCookieJar()) as session:
            yield Api(world, surface, state, bound.getsockname()[1], session, Contract(document("1.2.3")))
        await server.shutdown(sockets=[bound])


@pytest.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with listening(world) as api:
        yield api
