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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from gateway.config import apikey
from gateway.store.document import opened, stored
from gateway.store.plain import client as client_of
from gateway.store.terms import unpack_terms
from tests.faults.backing import Backing, single
from tests.simulation.history import History, Kept
from tests.support.process import Process
from tests.support.weather import Weather
from tests.vendors import webhook
from tests.vendors.server import Received, Reply, Vendor, json_reply

LEASE = 3_500
"""Milliseconds: little more than the least that a provider's timeout of a second allows."""
CHECKS, SENDS = 4, 8
PRICES = {"sms": 10_000, "voice": 40_000}
"""Of one message, in millionths of a dollar: calls are reckoned by the minute, and as two."""
KEY = apikey.new()
_SECRETS = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in ("LOOK", "SEAL")}
_MISTAKEN = "tests.faults.bent"


def _policy(cap: Mapping[str, Any], wait: str) -> dict[str, Any]:
    limit = {"amount": SENDS, "window": "24h", "scope": "app", "per": "destination", "counts": "sends"}
    return {
        "extends": None,
        "code": {"expiry": "60s", "checks": CHECKS, "cooldown": "0s"},
        "guesses": {"amount": CHECKS, "window": "24h", "delays": {"after": 100}},
        "limits": {"sends": limit},
        "countries": {"allow": ["US"]},
        "fallback": [{"channel": "sms", "wait": wait}, {"channel": "voice", "wait": wait}],
        "spend": {"caps": {"cap": cap}},
    }


_ROOMY = {"per": "app", "window": "month", "amount": "1000 USD"}
_TIGHT = {"per": "everything", "window": "month", "amount": "0.10 USD"}
"""Used up within a second: those whose purpose is `dear` draw on it."""


def _config(store: Mapping[str, Any], vendor: int, name: str, wait: str) -> dict[str, Any]:
    price = {"sms": {"default": "0.01 USD"}, "voice": {"default": "0.02 USD"}}
    sender = {"url": f"http://127.0.0.1:{vendor}/{name}", "timeout": 1, "channels": ["sms", "voice"], "price": price}
    keys = [{"id": "k1", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
    return {
        "mode": "development",
        "metrics": {"enabled": False},
        "store": {"timeout": "1s", **store},
        "secrets": {"lookup": {"env": "LOOK"}, "sealing": [{"id": "k1", "env": "SEAL"}]},
        "engine": {"lease": f"{LEASE}ms", "poll": "100ms", "min_useful": "5s", "drain": "1s"},
        "apps": {"demo": {"name": "Demo", "keys": keys, "policies": {"*": "default", "dear": "dear"}}},
        "providers": {"own": {"type": "webhook", "secret": {"env": "HOOK"}, **sender}},
        "channels": {"sms": {"providers": ["own"]}, "voice": {"providers": ["own"]}},
        "policies": {"default": _policy(_ROOMY, wait), "dear": _policy(_TIGHT, wait)},
    }


_BILLED = {2: 60, 4: 60, 6: 100, 8: 150}
"""Percent of the listed price, by the last digit of the number. Of the others the vendor does not say."""


@dataclass
class Fleet:
    """All of it. What happens is written into `history`, which `afresh` begins anew."""

    store: Backing
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
        async with self._clients() as clients:
            await asyncio.gather(*(client.flushdb() for client in clients))
        zero = self._zero = int(time.time() * 1000)
        self.codes.clear()
        self.history = History(lambda: int(time.time() * 1000) - zero)
        return self.history

    def hear(self, received: Received) -> Reply:
        """The vendor: it takes most messages, refuses an SMS to some numbers, and reports others as delivered. It bills
        some lower than its list says, and one in ten higher."""
        said = received.json["data"]
        id_, _, _ = said["reference"].rpartition(".")
        self.codes[id_] = said["code"]
        process = received.path.strip("/")
        price, kind = PRICES[said["channel"]], int(said["to"][-1])
        self.history.add("send", ref=said["reference"], code=said["code"], process=process, to=said["to"], price=price)
        if kind == 0 and said["channel"] == "sms":
            return json_reply(422, {"error": "no_channel"})
        billed = price * _BILLED.get(kind, 100) // 100
        self.history.add("taken", ref=said["reference"], process=process, price=price, billed=billed)
        if kind in (1, 2, 3):
            self._later(self._report(said["callback_url"], "delivered" if kind > 1 else "failed"))
        cost = {"cost": {"amount": f"{billed / 1e6:.6f}", "currency": "USD"}} if kind in _BILLED else {}
        return json_reply(202, {"message_id": f"m-{said['reference']}", **cost})

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

    async def keep(self) -> bool:
        """Take down what the store holds. Whether nothing moved meanwhile: what is spent is read before the rest and
        after it."""
        async with self._clients() as clients:
            before = await _purses(clients)
            found = [await _kept(client, self._zero) for client in clients]
            self.history.purses = await _purses(clients)
        self.history.kept = {id_: kept for some in found for id_, kept in some.items()}
        return before == self.history.purses

    @contextlib.asynccontextmanager
    async def _clients(self) -> AsyncIterator[list[Redis]]:
        """One to each server that has the data now."""
        clients = [client_of(url) for url in await asyncio.to_thread(self.store.holders)]
        yield clients
        await asyncio.gather(*(client.aclose() for client in clients))

    def errors(self) -> list[str]:
        """What the gateways logged that nobody should ever read."""
        lines = [line for gateway in self.gateways.values() for line in gateway.log.read_text().splitlines()]
        told = [line for line in lines if "request.failed" in line or "timer.failed" in line or "Traceback" in line]
        return [_where(line) for line in told]


async def _purses(clients: Sequence[Redis]) -> dict[str, int]:
    """What is spent, by the purse's key."""
    spent = {}
    for client in clients:
        async for key in client.scan_iter("*otp*:p:*", count=1_000):
            spent[key.decode()] = int(await client.hget(key, "s") or 0)  # type: ignore[misc] # sync or async
    return spent


async def _kept(client: Redis, zero: int) -> dict[str, Kept]:
    """Every verification that a server has, with its timer."""
    found = {}
    async for key in client.scan_iter("*otp*:v:*", count=1_000):
        shard, _, id_ = key.decode().rpartition(":v:")
        async with client.pipeline(transaction=True) as both:
            data, score = await both.get(key).zscore(f"{shard}:due", id_).execute()
        if data:
            document = opened(data)
            terms = unpack_terms(document.body.terms, await client.get(f"{shard}:t:{document.body.terms}"))
            found[id_] = Kept(stored(id_, document, terms), None if score is None else int(score), zero)
    return found


def _where(line: str) -> str:
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        return f"{said['event']}: {said.get('exception') or said.get('fault')}"
    return line


@contextlib.asynccontextmanager
async def fleet(
    folder: Path,
    *,
    gateways: int = 2,
    wait: str = "2s",
    mistake: str = "",
    on: Callable[[Path], contextlib.AbstractContextManager[Backing]] = single,
) -> AsyncIterator[Fleet]:
    """A fleet that serves. `wait` is what each of its two steps waits."""
    env = {**_SECRETS, "HOOK": webhook.SECRET, "FAULTS_MISTAKE": mistake}
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(on(folder / "s"))
        vendor = await stack.enter_async_context(Vendor(lambda received: one.hear(received)))
        to_store = await stack.enter_async_context(Weather(store.holders()[0]))
        to_vendor = await stack.enter_async_context(Weather(vendor.base_url.replace("http", "redis")))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        one = Fleet(store, vendor, to_store, to_vendor, http)
        for number in range(1, gateways + 1):
            name = f"g{number}"
            way = {"url": store.url or f"redis://127.0.0.1:{to_store.port}/0", **store.settings}
            config = _config(way, to_vendor.port, name, wait)
            one.gateways[name] = Process(folder / name, config, module=_MISTAKEN if mistake else "gateway", **env)
        stack.callback(_end, one)
        await asyncio.gather(*(asyncio.to_thread(gateway.start) for gateway in one.gateways.values()))
        yield one


def _end(one: Fleet) -> None:
    for gateway in one.gateways.values():
        gateway.process.send_signal(signal.SIGCONT)
        gateway.stop(signal.SIGKILL)
