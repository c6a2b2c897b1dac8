"""Gateways as processes of their own on one store of its own, with a vendor, and weather on both sides of them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import secrets
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from gateway.config import apikey
from gateway.store.document import unpack_document
from gateway.store.plain import client as client_of
from tests.simulation.history import History, Kept
from tests.support import servers
from tests.support.process import Process
from tests.support.servers import Server
from tests.support.weather import Weather
from tests.vendors import webhook
from tests.vendors.server import Received, Reply, Vendor, json_reply

LEASE = 3_500
"""Milliseconds: little more than the least that a provider's timeout of a second allows."""
CHECKS, SENDS = 4, 8
KEY = apikey.new()
_SECRETS = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in ("LOOK", "SEAL")}
_MISTAKEN = "tests.faults.bent"


def _policy() -> dict[str, Any]:
    limit = {"amount": SENDS, "window": "24h", "scope": "app", "per": "destination", "counts": "sends"}
    return {
        "extends": None,
        "code": {"expiry": "60s", "checks": CHECKS, "cooldown": "0s"},
        "guesses": {"amount": CHECKS, "window": "24h", "delays": {"after": 100}},
        "limits": {"sends": limit},
        "countries": {"allow": ["US"]},
        "fallback": [{"channel": "sms", "wait": "2s"}, {"channel": "voice", "wait": "2s"}],
    }


def _config(store: int, vendor: int, name: str) -> dict[str, Any]:
    sender = {"url": f"http://127.0.0.1:{vendor}/{name}", "timeout": 1, "channels": ["sms", "voice"]}
    return {
        "mode": "development",
        "metrics": {"enabled": False},
        "store": {"url": f"redis://127.0.0.1:{store}/0", "timeout": "1s"},
        "secrets": {"lookup": {"env": "LOOK"}, "sealing": [{"id": "k1", "env": "SEAL"}]},
        "engine": {"lease": f"{LEASE}ms", "poll": "100ms", "min_useful": "5s", "drain": "1s"},
        "apps": {"demo": {"name": "Demo", "keys": [{"id": "k1", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}},
        "providers": {"own": {"type": "webhook", "secret": {"env": "HOOK"}, **sender}},
        "channels": {"sms": {"providers": ["own"]}, "voice": {"providers": ["own"]}},
        "policies": {"default": _policy()},
    }


@dataclass
class Fleet:
    """All of it. What happens is written into `history`, which `afresh` begins anew."""

    server: Server
    vendor: Vendor
    to_store: Weather
    to_vendor: Weather
    http: aiohttp.ClientSession
    gateways: dict[str, Process] = field(default_factory=dict)
    history: History = field(default_factory=lambda: History(lambda: 0))
    codes: dict[str, str] = field(default_factory=dict)  # what people have read, by verification
    _zero: int = 0
    _reporting: set[asyncio.Task[None]] = field(default_factory=set)

    async def afresh(self) -> History:
        """An empty store and an empty history."""
        client = client_of(self.server.url)
        await client.flushdb()
        await client.aclose()
        zero = self._zero = int(time.time() * 1000)
        self.codes.clear()
        self.history = History(lambda: int(time.time() * 1000) - zero)
        return self.history

    def hear(self, received: Received) -> Reply:
        """The vendor: it takes most messages, refuses an SMS to some numbers, and reports others as delivered."""
        said = received.json["data"]
        id_, _, _ = said["reference"].rpartition(".")
        self.codes[id_] = said["code"]
        process = received.path.strip("/")
        self.history.add("send", ref=said["reference"], code=said["code"], process=process, to=said["to"])
        kind = int(said["to"][-1])
        if kind == 0 and said["channel"] == "sms":
            return json_reply(422, {"error": "no_channel"})
        if kind in (1, 2, 3):
            self._later(self._report(said["callback_url"], "delivered" if kind > 1 else "failed"))
        return json_reply(202, {"message_id": f"m-{said['reference']}"})

    def _later(self, story: Any) -> None:
        task = asyncio.get_running_loop().create_task(story)
        self._reporting.add(task)
        task.add_done_callback(self._reporting.discard)

    async def _report(self, url: str, status: str) -> None:
        """Told once. If it is lost, then it is lost."""
        body = webhook.report(status, callback_url=url)
        signed = webhook.callback(body, at=str(int(time.time()))).headers
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            await self.http.post(url, data=body, headers=dict(signed), timeout=aiohttp.ClientTimeout(2))

    async def kill(self, name: str) -> None:
        """As the machine does that has no memory left, and as its supervisor does then."""
        self.history.add("kill", process=name)
        await asyncio.to_thread(self.gateways[name].stop, signal.SIGKILL)
        await asyncio.to_thread(self.gateways[name].start)
        self.history.add("up", process=name)

    async def pause(self, name: str, seconds: float) -> None:
        self.history.add("pause", process=name)
        self.gateways[name].process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.gateways[name].process.send_signal(signal.SIGCONT)
        self.history.add("up", process=name)

    @contextlib.asynccontextmanager
    async def unreliable(self) -> AsyncIterator[None]:
        """What the store is asked for in this block may be lost, or done without a word."""

        async def note() -> None:
            for _ in itertools.count():
                self.history.add("lose")
                await asyncio.sleep(0.2)

        noting = asyncio.create_task(note())
        yield
        noting.cancel()
        self.history.add("lose")

    async def read(self) -> dict[str, Kept]:
        """Every verification in the store, with its timer."""
        client, found = client_of(self.server.url), {}
        async for key in client.scan_iter("otp:*:v:*", count=1_000):
            shard, _, id_ = key.decode().rpartition(":v:")
            async with client.pipeline(transaction=True) as both:
                document, score = await both.get(key).zscore(f"{shard}:due", id_).execute()
            if document:
                timer = None if score is None else int(score)
                found[id_] = Kept(unpack_document(id_, document), timer, self._zero)
        await client.aclose()
        return found

    def errors(self) -> list[str]:
        """What the gateways logged that nobody should ever read."""
        lines = [line for gateway in self.gateways.values() for line in gateway.log.read_text().splitlines()]
        told = [line for line in lines if "request.failed" in line or "timer.failed" in line or "Traceback" in line]
        return [_where(line) for line in told]


def _where(line: str) -> str:
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        return f"{said['event']}: {said.get('exception') or said.get('fault')}"
    return line


@contextlib.asynccontextmanager
async def fleet(folder: Path, *, gateways: int = 2, mistake: str = "") -> AsyncIterator[Fleet]:
    """A fleet that serves. Its store has written down what it answers before it answers, so that a store that was
    killed must know it."""
    env = {**_SECRETS, "HOOK": webhook.SECRET, "FAULTS_MISTAKE": mistake}
    async with contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(servers.running(folder / "s", "--appendonly", "yes", "--appendfsync", "always"))
        vendor = await stack.enter_async_context(Vendor(lambda received: one.hear(received)))
        to_store = await stack.enter_async_context(Weather(server.url))
        to_vendor = await stack.enter_async_context(Weather(vendor.base_url.replace("http", "redis")))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        one = Fleet(server, vendor, to_store, to_vendor, http)
        for number in range(1, gateways + 1):
            name = f"g{number}"
            config = _config(to_store.port, to_vendor.port, name)
            one.gateways[name] = Process(folder / name, config, module=_MISTAKEN if mistake else "gateway", **env)
        stack.callback(_end, one)
        await asyncio.gather(*(asyncio.to_thread(gateway.start) for gateway in one.gateways.values()))
        yield one


def _end(one: Fleet) -> None:
    for gateway in one.gateways.values():
        gateway.process.send_signal(signal.SIGCONT)
        gateway.stop(signal.SIGKILL)
