"""A composed gateway over the real store, with a configuration in a file that a test changes and has reloaded."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from structlog.testing import LogCapture

from gateway.config import load
from gateway.core.keys import api_key_hash
from gateway.http.app import Gateway, compose
from gateway.http.reload import Reloads
from tests.gateway.reload import carrier
from tests.gateway.reload.carrier import Carrier

KEY = "otp_shop-key-0123456789abcdefghij"
TYPE = "tests.gateway.reload.carrier:build"


@dataclass
class Answer:
    status: int
    json: Any


@dataclass
class Panel:
    """The gateway, its file and its levers. `say` changes the file; `reload` has it read."""

    gateway: Gateway
    file: Path
    said: dict[str, Any]
    log: LogCapture
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reloads = Reloads(self.gateway, lambda: load(self.file, self.environ))

    async def reload(self, **sections: Any) -> bool:
        """Write these sections over those of the file, and reload it."""
        self.said |= sections
        self.file.write_text(yaml.safe_dump(self.said))
        return await self.reloads.reload()

    @property
    def events(self) -> list[str]:
        return [str(entry["event"]) for entry in self.log.entries]

    def entry(self, event: str) -> Mapping[str, Any]:
        """The last line of that kind."""
        return next(entry for entry in reversed(self.log.entries) if entry["event"] == event)

    async def call(self, method: str, path: str, body: Any = None, *, key: str = KEY, gate: Any = None) -> Answer:
        """A request, as the server hands it over. Its body comes when `gate` opens."""
        return await call(self.gateway, method, path, body, key, gate)

    async def start(self, phone: str = "+14155550123", **fields: Any) -> Answer:
        answer = await self.call("POST", "/v1/verifications", {"to": {"phone": phone}, **fields})
        await asyncio.sleep(0)
        return answer

    async def settle(self) -> None:
        """Let what is being sent and closed end."""
        await self.gateway.engine.ended()
        await asyncio.gather(*self.gateway._retiring)

    def metric(self, name: str, **labels: str) -> float:
        families = self.gateway._frame.metrics._families._registry.collect()
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


async def call(gateway: Gateway, method: str, path: str, body: Any, key: str, gate: asyncio.Event | None) -> Answer:
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }

    async def receive() -> Any:
        if gate:
            await gate.wait()
        return {"type": "http.request", "body": json.dumps(body).encode() if body is not None else b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await gateway.app(scope, receive, send)
    return Answer(sent[0]["status"], json.loads(b"".join(part.get("body", b"") for part in sent[1:])))


def configuration(folder: Path) -> dict[str, Any]:
    """Two providers of texts and calls, one app, one policy."""
    return {
        "mode": "development",
        "store": {"directory": str(folder / "data"), "prefix": f"r{uuid.uuid4().hex[:10]}"},
        "secrets": {"lookup": {"env": "LOOKUP"}, "sealing": [{"id": "k1", "env": "K1"}]},
        "apps": {"shop": {"name": "Shop", "keys": [{"id": "k1", "sha256": api_key_hash(KEY)}]}},
        "providers": {"one": {"type": TYPE}, "two": {"type": TYPE}},
        "channels": {"sms": {"providers": ["one"]}, "voice": {"providers": ["two"]}},
        "policies": {
            "default": {
                "code": {"cooldown": "0s"},
                "countries": {"allow": ["US"]},
                "fallback": [{"channel": "sms", "wait": "30s"}, {"channel": "voice", "wait": "30s"}],
            }
        },
    }


@pytest.fixture
async def panel(valkey: str, tmp_path: Path) -> AsyncIterator[Panel]:
    carrier.BUILT.clear()
    said, file = configuration(tmp_path), tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(said))
    environ = {name: f"{name} {'0123456789abcdef' * 4}" for name in ("LOOKUP", "K1", "K2")}
    log = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[log], cache_logger_on_first_use=False)
    gateway = await compose(load(file, environ), valkey, "http://127.0.0.1:8080")
    panel = Panel(gateway, file, said, log, environ)
    yield panel
    for built in carrier.BUILT:
        built.go.set()
    with suppress(TimeoutError):
        await gateway.drain(1)
    await gateway.close()
    structlog.configure(**before)


@pytest.fixture
def built(panel: Panel) -> list[Carrier]:
    """Every provider that was built, oldest first."""
    del panel
    return carrier.BUILT
