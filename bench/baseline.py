"""The baselines: (a) a bare Starlette route that returns small JSON, (b) the same with one script call to the store."""

from __future__ import annotations

import os

from redis.asyncio import BlockingConnectionPool, Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_SCRIPT = """
local n = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], 600000)
redis.call('SET', KEYS[2], ARGV[1], 'PX', 600000)
redis.call('ZADD', KEYS[3], n, ARGV[2])
return {n, ARGV[2]}
"""


async def bare(_: Request) -> JSONResponse:
    return JSONResponse({"id": "ver_aaaaaaaaaaaaaaaaaaaaaaa", "status": "pending", "checks_left": 5})


def app() -> Starlette:
    """Served by uvicorn with the gateway's own settings."""
    pool = BlockingConnectionPool.from_url(os.environ["BENCH_STORE"], max_connections=64)
    script = Redis.from_pool(pool).register_script(_SCRIPT)

    async def scripted(request: Request) -> JSONResponse:
        await request.body()
        number, text = await script(keys=["b:n", "b:v", "b:z"], args=["x" * 300, "ver_aaaaaaaaaaaaaaaaaaaaaaa"])
        return JSONResponse({"id": text.decode(), "status": "pending", "checks_left": number % 5})

    return Starlette(routes=[Route("/bare", bare, methods=["POST"]), Route("/script", scripted, methods=["POST"])])
