"""What a start and a check cost at the least: the smallest servers that do a little more each time, from (a) on.

None of them is a gateway. They have one policy with six limits written into the code, one kind of question, no repeats,
no lists, no spend, no fraud rules, no refusals but one, no reload, and forget what went wrong. What they have in common
with the gateway is the work that no start can do without, by the same libraries and the same way to the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import os
import statistics
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgpack
import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from prometheus_client import Counter, Histogram

from bench.__main__ import KEY, LOAD_CORE, PORTS, Measure, check, cpu_of, measured, server, starts
from bench.load import Request, Result, post, run
from gateway.store import embedded
from gateway.store.link import Link, Script, connect
from gateway.telemetry import logs
from policies import destination

RUNGS = (
    "a plain ASGI application",
    "and the body read, the key known, the fields looked at",
    "and the number understood, names and digest made, the code sealed",
    "and one script: six limits, the document, its timer",
    "and a log line and three metrics",
    "and the message handed on, its outcome written by a second script, a second line",
)
"""What a start is made of, each with all before it."""

_KEY = b"k" * 32
_WINDOWS = (600_000, 86_400_000, 3_600_000, 3_600_000, 3_600_000, 3_600_000)
_CREATE = Script.of(
    """
local now, said = redis.call('TIME'), cmsgpack.unpack(ARGV[1])
now = now[1] * 1000 + math.floor(now[2] / 1000)
for n = 2, #KEYS do
  local rule = said.rules[n - 1]
  redis.call('ZREMRANGEBYSCORE', KEYS[n], 0, now - rule[2])
  if redis.call('ZCARD', KEYS[n]) >= rule[1] then return {0, n} end
end
for n = 2, #KEYS do
  redis.call('ZADD', KEYS[n], now, said.id)
  redis.call('PEXPIRE', KEYS[n], said.rules[n - 1][2])
end
redis.call('HSET', KEYS[1], 'b', cmsgpack.pack(said.body), 'd', said.digest, 's', said.sealed, 'l', 5, 't', now)
redis.call('PEXPIRE', KEYS[1], 600000)
redis.call('ZADD', 'floor:timers', now + 15000, said.id)
return {1, now}
"""
)
_JUDGE = Script.of(
    """
local digest = redis.call('HGET', KEYS[1], 'd')
if not digest then return 0 end
if digest ~= ARGV[1] then return redis.call('HINCRBY', KEYS[1], 'l', -1) end
redis.call('DEL', KEYS[1])
redis.call('ZREM', 'floor:timers', KEYS[1])
return 9
"""
)
_COMMIT = Script.of(
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'm', ARGV[1])
redis.call('ZREM', 'floor:timers', KEYS[1])
return 1
"""
)

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Floor:
    """The servers, by the first segment of the path: how many rungs are climbed."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._link: Link | None = None
        self._apps = {hashlib.sha256(KEY.encode()).hexdigest(): "bench"}
        self._box = AESGCM(_KEY)
        self._named = blake2b(key=_KEY, digest_size=12)
        self._tasks: set[asyncio.Task[None]] = set()
        logs.configure("info", "json")
        self._log = structlog.get_logger()
        self._started = Counter("floor_starts", "Starts.", ["app", "country"]).labels("bench", "US")
        self._sent = Counter("floor_sent", "Messages.", ["channel"]).labels("sms")
        self._checked = Counter("floor_checks", "Checks.", ["verdict"]).labels("approved")
        self._seconds = Histogram("floor_seconds", "Durations.", ["route"]).labels("/v1/verifications")

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if scope["type"] != "http":
            return
        rung, _, id_ = scope["path"][1:].partition("/")
        status, answer = await (self._check(id_, scope, receive) if id_ else self._climb(int(rung), scope, receive))
        length = (b"content-length", b"%d" % len(answer))
        headers = [(b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _app(self, scope: dict[str, Any]) -> str | None:
        given = next(value for name, value in scope["headers"] if name == b"authorization")
        return self._apps.get(hashlib.sha256(given[7:]).hexdigest())

    async def _climb(
        self, rungs: int, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]]
    ) -> tuple[int, bytes]:
        answer = {"id": "ver_aaaaaaaaaaaaaaaaaaaaaaa", "status": "pending", "checks_left": 5}
        if rungs > 1:
            app = self._app(scope)
            wanted = json.loads((await receive())["body"])
            number, client = wanted["to"]["phone"], wanted["client"]
            if app is None or not (isinstance(number, str) and isinstance(client["ip"], str)):
                return 400, b"{}"
        if rungs > 2:
            id_, keys, said, sealed = self._made(number, client, wanted["code"])
            answer["id"], answer["to"] = id_, said["body"][0]
        if rungs > 3:
            link = self._link = self._link or connect(self._store)
            allowed, at = await link.run(
                _CREATE, keys, msgpack.packb({**said, "id": id_, "sealed": sealed}, use_bin_type=False)
            )
            if not allowed:
                return 429, b"{}"
            answer["expires_at"] = at + 600_000
        if rungs > 4:
            self._log.info("floor.started", app=app, verification=id_, phone=said["body"][0], policy="default")
            self._started.inc()
            self._seconds.observe(0.001)
        if rungs > 5:
            task = asyncio.create_task(self._carry(keys[0], id_))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return 201, json.dumps(answer).encode()

    async def _check(self, id_: str, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]]) -> tuple[int, bytes]:
        """A key, a digest, one script, a line and the metrics."""
        assert self._link is not None
        self._app(scope)
        digest = hmac.digest(_KEY, f"{id_}:{json.loads((await receive())['body'])['code']}".encode(), "sha256")
        right = await self._link.run(_JUDGE, [f"floor:{{{id_}}}"], digest) == 9
        self._log.info("floor.ended", verification=id_, right=right)
        self._checked.inc()
        self._seconds.observe(0.001)
        return (200 if right else 422), json.dumps({"id": id_, "status": "approved"}).encode()

    def _made(self, number: str, client: dict[str, str], code: str) -> tuple[str, list[str], dict[str, Any], bytes]:
        """An id, the keys of the document and of six counters, what the script is told, and the sealed code."""
        phone = destination.phone(number)
        drawn = os.urandom(30)
        id_ = "ver_" + urlsafe_b64encode(drawn[:18]).decode()
        subjects = (number, number, client["ip"], client["device"], number[:-4], "bench")
        names = [self._name(f"{n}:{subject}") for n, subject in enumerate(subjects)]
        digest = hmac.digest(_KEY, f"{id_}:{code}".encode(), "sha256")
        sealed = drawn[18:] + self._box.encrypt(drawn[18:], code.encode(), id_.encode())
        body = [number[:5] + "*****" + number[-2:], phone.country, "default", "sms"]
        said = {"rules": [[1_000_000, window] for window in _WINDOWS], "body": body, "digest": digest}
        return id_, [f"floor:{{{id_}}}", *(f"floor:{name}" for name in names)], {**said, "body": body}, sealed

    def _name(self, text: str) -> str:
        begun = self._named.copy()
        begun.update(text.encode())
        return begun.hexdigest()

    async def _carry(self, key: str, id_: str) -> None:
        """A provider that accepts and sends nothing, and writing that down."""
        assert self._link is not None
        await self._link.run(_COMMIT, [key], msgpack.packb(["sent", "null", id_]))
        self._log.info("floor.sent", verification=id_, channel="sms", provider="null")
        self._sent.inc()


def app() -> Floor:
    """Served by uvicorn with the gateway's own settings."""
    return Floor(os.environ["BENCH_STORE"])


class Ladder:
    """The rungs in turn, and what each took."""

    def __init__(self, pids: dict[str, int], requests: int) -> None:
        self._pids = pids
        self._requests = requests
        self._numbers = itertools.count(1)
        self.found: dict[str, list[Measure]] = {}

    async def climb(self) -> None:
        """Once."""
        await self._run("(a)", "baseline", lambda: post("/bare", b"{}"), b"200")
        for n, text in enumerate(RUNGS, 1):
            made, path = starts(self._numbers), b"/%d" % n
            started = await self._run(text, "floor", lambda: made().replace(b"/v1/verifications", path, 1), b"201")  # noqa: B023
        ids = iter([json.loads(body)["id"] for body in started.bodies])
        checked = lambda: check(next(ids)).replace(b"/v1/verifications/", b"/7/", 1).replace(b"/check ", b" ", 1)  # noqa: E731
        await self._run("a check: key, digest, one script, a line, metrics", "floor", checked, b"200")

    async def _run(self, text: str, name: str, request: Request, status: bytes) -> Result:
        before = cpu_of(self._pids[name])
        result = await run(PORTS[name], self._requests, 32, request, status=status, keep=True)
        self.found.setdefault(text, []).append(measured(result, cpu_of(self._pids[name]) - before, text))
        return result

    def report(self) -> str:
        """Medians without the first time."""
        lines = [f"{'cpu us':>8}{'rate/(a)':>10}"]
        rate = {text: statistics.median(m.throughput for m in each[1:]) for text, each in self.found.items()}
        for text, each in self.found.items():
            cpu = statistics.median(m.cpu for m in each[1:]) * 1e6
            lines.append(f"{cpu:8.0f}{rate[text] / rate['(a)']:10.2f}  {text}")
        return "\n".join(lines)


async def _climbed(ladder: Ladder, times: int) -> None:
    for _ in range(times + 1):
        await ladder.climb()


def main() -> None:
    os.sched_setaffinity(0, {LOAD_CORE})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otpf")))
        store = embedded.start(folder / "store")
        stack.callback(store.stop)
        quiet = ["--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools", "--factory"]
        pids = {}
        for name, target in (("baseline", "bench.baseline:app"), ("floor", "bench.floor:app")):
            command = [sys.executable, "-m", "uvicorn", *quiet, target, "--port", str(PORTS[name])]
            pids[name] = stack.enter_context(server(name, command, {"BENCH_STORE": store.url}))
        ladder = Ladder(pids, 4000)
        asyncio.run(_climbed(ladder, 5))
        print(ladder.report())


if __name__ == "__main__":
    main()
