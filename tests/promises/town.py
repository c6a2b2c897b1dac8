"""A gateway process between two vendors of its own and a crowd of callers: what an outage is measured on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.process import Process
from tests.vendors import webhook
from tests.vendors.server import Received, Reply, Vendor


@dataclass
class Sender:
    """A vendor of SMS that notes, by number, when each message came and where its reports go. `down` is what it answers
    while it is down."""

    arrivals: dict[str, list[float]] = field(default_factory=dict)
    callbacks: dict[str, str] = field(default_factory=dict)
    down: Reply | None = None
    expected: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    def __call__(self, received: Received) -> Reply:
        data = received.json["data"]
        self.arrivals.setdefault(data["to"], []).append(time.perf_counter())
        self.callbacks[data["to"]] = data["callback_url"]
        if data["to"] in self.expected:
            self.expected.pop(data["to"]).set_result(None)
        return self.down or webhook.accept(received)

    @property
    def calls(self) -> int:
        return sum(map(len, self.arrivals.values()))


def configuration(one: str, two: str, *, timeout: float, kind: str) -> dict[str, Any]:
    """Two vendors of SMS; a policy that tries both in order, one for each alone, and one that tries the second when a
    second went by without a sign of delivery."""

    def provider(url: str) -> dict[str, Any]:
        return {
            "type": kind,
            "price": {"sms": "0.001 USD"},  # the day's cap is not what these tests are about
            "url": f"{url}/send",
            "channels": ["sms"],
            "secret": {"env": "WEBHOOK_SECRET"},
            "timeout": timeout,
        }

    def step(*providers: str, wait: str = "60s") -> dict[str, Any]:
        return {"channel": "sms", "providers": list(providers), "wait": wait}

    def policy(*steps: dict[str, Any]) -> dict[str, Any]:
        return {"extends": "development", "fallback": list(steps)}

    purposes = ("one", "two", "steps")

    return {
        "mode": "development",
        "apps": {"demo": {"name": "Demo", "policies": {"*": "default", **{name: name for name in purposes}}}},
        "providers": {"one": provider(one), "two": provider(two)},
        "channels": {"sms": {"providers": ["one", "two"]}},
        "policies": {
            "default": policy(step("one", "two")),
            "one": policy(step("one")),
            "two": policy(step("two")),
            "steps": policy(step("one", wait="1s"), step("two")),
        },
    }


class Town:
    """The gateway and the crowd. Numbers are never used twice."""

    def __init__(self, gateway: Process, session: aiohttp.ClientSession, one: Vendor, two: Vendor) -> None:
        self.gateway = gateway
        self.one, self.two = Sender(), Sender()
        one._accept, two._accept = self.one, self.two
        self.vendors = {"one": one, "two": two}
        self._session = session
        self._number = 2_000_000

    async def call(self, path: str, body: Mapping[str, Any], status: int) -> tuple[Any, float]:
        """The answer and the seconds that it took."""
        began = time.perf_counter()
        async with self._session.post(self.gateway.url + path, json=body) as answer:
            content = json.loads(await answer.read())
            assert answer.status == status, content
            return content, time.perf_counter() - began

    async def start(self, purpose: str = "default") -> tuple[str, str, float]:
        """Start one: its number, its id and the moment at which it was asked for."""
        self._number += 1
        number, at = f"+1212{self._number}", time.perf_counter()
        body = {"to": {"phone": number}, "purpose": purpose, "code": "482913"}
        content, _ = await self.call("/v1/verifications", body, 201)
        return number, content["id"], at

    async def check(self, id_: str, code: str = "482913") -> float:
        """Try a code: the seconds that it took."""
        _, took = await self.call(f"/v1/verifications/{id_}/check", {"code": code}, 200)
        return took

    async def report(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """What a vendor's callback is answered."""
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status

    def memory(self) -> float:
        """Megabytes of the gateway's process."""
        lines = Path(f"/proc/{self.gateway.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in self.gateway.metrics().splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in wanted))


@asynccontextmanager
async def town(data: Path, *, deadline: float, kind: str = "webhook") -> AsyncIterator[Town]:
    """Everything running, and stopped afterwards. `kind` is the type of both providers."""
    async with Vendor(webhook.accept) as one, Vendor(webhook.accept) as two:
        config = configuration(one.base_url, two.base_url, timeout=deadline, kind=kind)
        with Process(data, config, WEBHOOK_SECRET=webhook.SECRET) as gateway:
            headers = {"Authorization": f"Bearer {gateway.key}"}
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
                yield Town(gateway, session, one, two)
                await asyncio.to_thread(gateway.stop)  # while the vendors still answer what is under way


async def arrived(sender: Sender, number: str, seconds: float = 20) -> float:
    """When the first message to this number came."""
    if number not in sender.arrivals:
        sender.expected[number] = asyncio.get_running_loop().create_future()
        await asyncio.wait_for(sender.expected[number], seconds)
    return sender.arrivals[number][0]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
