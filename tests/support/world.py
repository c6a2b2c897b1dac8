"""A small world for the engine: the real store and scripts, the real policies and wording, scripted carriers, and a
clock that moves only when a test moves it."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import CapturingLogger

from channels.contract import (
    Answer,
    Callback,
    Channel,
    Cost,
    DeliveryReport,
    ErrorClass,
    Forged,
    Message,
    Outcome,
    Receipt,
    ReportKind,
    SendError,
)
from gateway.core.keys import Keyring
from gateway.core.machine import Pace
from gateway.core.model import Verification
from gateway.service.engine import Engine
from gateway.service.erasure import Erasure
from gateway.service.lists import Lists
from gateway.service.prices import Prices
from gateway.service.reports import Reports
from gateway.service.requests import Check, Checked, Start
from gateway.service.setup import App, Setup
from gateway.service.suppressions import Suppressions
from gateway.service.suspicion import Blocks
from gateway.service.verifications import Begun, Verifications
from gateway.store.link import Calls
from gateway.store.topology import reach, steps
from gateway.store.valkey import Store
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from gateway.worker import Worker
from policies.engine import Policy, compile_policy
from policies.inheritance import resolve
from policies.money import Tariff
from policies.schema import PolicySettings
from tests.support.servers import looking

PHONE = "+14155550123"
EMAIL = "ana@example.org"
CHANNELS = tuple(Channel)


class Clock:
    """Milliseconds that stand still until moved. Starts at the real time, so that the store's own expiry never comes
    before the tests' one."""

    def __init__(self) -> None:
        import time

        self.now = int(time.time() * 1000)

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


Script = Receipt | SendError | Exception | Callable[[Message], Awaitable[Receipt]]


@dataclass
class FakeCarrier:
    """A provider that does as it is told and remembers every message. The default is to accept."""

    name: str
    scripts: list[Script] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    channels: frozenset[Channel] = frozenset(Channel)
    shared, prices = False, False  # of the class, so that a kind of carrier may say otherwise

    async def send(self, message: Message, *, insist: bool = False) -> Receipt:
        self.sent.append(message)
        script = self.scripts.pop(0) if self.scripts else Receipt(f"{self.name}-{len(self.sent)}")
        if isinstance(script, Exception):
            raise script
        return script if isinstance(script, Receipt) else await script(message)

    def read(self, callback: Callback) -> Outcome:
        """Callbacks of this carrier are `kind[:error]` in the body, signed with the word signed."""
        if callback.headers.get("x-signature") != "signed":
            raise Forged
        kind, _, error = callback.body.decode().partition(":")
        if kind == "answer":
            return Outcome(wants_message=True)
        return Outcome((DeliveryReport(ReportKind(kind), ErrorClass(error) if error else None),))

    async def receive(self, callback: Callback) -> Outcome:
        return self.read(callback)

    def inbound(self, callback: Callback) -> Outcome | None:
        return None

    async def price(self, message_id: str) -> Cost | None:
        return None

    def refuses(self, message: Message) -> bool:
        return False

    def answer(self, message: Message | None) -> Answer:
        return Answer(message.wording.spoken.encode() if message else b"hang up")

    async def close(self) -> None:
        return None


CHEAP = Tariff(prices={(name, channel): {"": 100} for name in ("one", "two") for channel in CHANNELS})
"""Prices so low that the preset's caps are not what a test meets that is about something else."""

POLICY: Mapping[str, Any] = {
    "extends": "default",
    "code": {"cooldown": "0s"},
    "guesses": {"delays": {"after": 100}},
    "limits": {
        "destination-10m": {"amount": 50},
        "destination-day": {"amount": 500},
        "destination-anyone-hour": {"amount": 500},
    },
    "countries": {"allow": ["US", "GB"]},
    "fraud": {
        "rules": {
            "prefix-conversion": {"mode": "monitor"},
            "range-conversion": {"mode": "monitor"},
            "country-conversion": {"mode": "monitor"},
            "adjacent": {"mode": "monitor"},
        }
    },
    "fallback": [
        {"channel": "sms", "wait": "30s"},
        {"channel": "voice", "wait": "45s"},
        {"channel": "email", "wait": "60s"},
    ],
}
"""A policy for tests: roomy limits, no cooldown, many neighbours, three steps."""


def compile_policies(
    raw: Mapping[str, Any], orders: Mapping[str, tuple[str, ...]], tariff: Tariff | None = None
) -> dict[str, Policy]:
    said = {name: PolicySettings.model_validate(resolve(name, raw)) for name in raw}
    return {name: compile_policy(name, settings, orders, tariff=tariff) for name, settings in said.items()}


class World:
    """Everything that the gateway is made of, but for HTTP, configuration and the vendors."""

    def __init__(
        self,
        url: str,
        *,
        policies: Mapping[str, Any] | None = None,
        orders: Mapping[str, Sequence[str]] | None = None,
        pace: Pace | None = None,
        clock: Clock | None = None,
        prefix: str | None = None,
        keys: Keyring | None = None,
        most_sends: int = 2_000,
        tariff: Tariff | None = None,
        calls: Calls | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.prefix = prefix or f"t{uuid.uuid4().hex[:10]}"
        self.client = looking(url)
        self.calls = calls or reach(url)  # the way to the store where it is another than to the server
        self.store = Store(self.calls, prefix=self.prefix, clock=self.clock, steps=steps(url))
        self.keys = keys or Keyring(secrets.token_bytes(32), {"k1": secrets.token_bytes(32)})
        self.one, self.two = FakeCarrier("one"), FakeCarrier("two")
        self.registry = CollectorRegistry()
        self.captured = CapturingLogger()
        tariff = tariff or CHEAP
        orders = orders or dict.fromkeys(CHANNELS, ("one", "two"))
        raw = policies or {"default": POLICY}
        compiled = compile_policies(raw, {c: tuple(p) for c, p in orders.items()}, tariff)
        fraud = {rule for policy in compiled.values() for rule in policy.settings.fraud.rules}
        self.setup = Setup(
            store=self.store,
            keys=self.keys,
            metrics=Metrics(
                self.registry,
                Labels(
                    apps={"shop": ["login"]},
                    carriers={"one": CHANNELS, "two": CHANNELS},
                    caps={"default": ["app-day", "country-day", "whole-month"]},
                    fraud=fraud,
                ),
                "test",
            ),
            log=structlog.wrap_logger(self.captured, processors=[lambda _logger, _name, event: ((), event)]),
            apps={
                "shop": App("shop", "Shop", {"*": "default", **{name: name for name in raw}}),
                "bank": App("bank", "Bank", {"*": "default"}),
            },
            policies=compiled,
            tariff=tariff,
            carriers={"one": self.one, "two": self.two},
            callback_base="https://otp.example",
            pace=pace or Pace(),
            most_sends=most_sends,
            shadow_pause=0,
        )
        self.wire(self.setup)

    def wire(self, setup: Setup) -> None:
        """Build the use-cases over a setup: again, to change one thing of it."""
        self.setup = setup
        self.engine = Engine(setup)
        self.verifications = Verifications(setup, self.engine)
        self.reports = Reports(setup, self.engine)
        self.suppressions = Suppressions(setup)
        self.lists = Lists(setup)
        self.erasure = Erasure(setup, self.engine)
        self.blocks = Blocks(setup)
        self.worker = Worker(setup, self.engine)
        self.prices = Prices(setup, self.engine)

    def with_keys(self, keys: Keyring) -> None:
        self.keys = keys
        self.wire(replace(self.setup, keys=keys))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.engine.drain(1)
        await self.store.close()
        await self.client.aclose()

    async def start(self, **fields: Any) -> Verification:
        """Start, let the first message go out, and give back the verification as it then is."""
        begun = await self.begin(**fields)
        await self.settle()
        return await self.verifications.read(fields.get("app", "shop"), begun.verification.id)

    async def begin(self, **fields: Any) -> Begun:
        """Only start."""
        if "phone" not in fields and "email" not in fields:
            fields["phone"] = PHONE
        return await self.verifications.start(Start(**{"app": "shop", **fields}))

    async def check(self, verification: Verification | str, code: str, **fields: Any) -> Checked:
        id_ = verification if isinstance(verification, str) else verification.id
        return await self.verifications.check(Check(**{"app": "shop", "id": id_, "code": code, **fields}))

    async def settle(self) -> None:
        """Let every send that is under way end."""
        while self.engine._tasks:
            await asyncio.wait(list(self.engine._tasks))

    async def after(self, seconds: float) -> None:
        """Move the clock, run what became due, and let it end."""
        self.clock.forward(seconds)
        await self.worker.tick()
        await self.settle()

    async def report(self, verification: Verification | str, attempt: int, body: str, **how: Any) -> Answer:
        """A vendor's callback about one attempt, by the address that the message carried."""
        id_ = verification if isinstance(verification, str) else verification.id
        message = next(m for m in self.sent if m.reference == f"{id_}.{attempt}")
        assert message.callback_url is not None
        provider, token = message.callback_url.split("/")[-2:]
        answer = await self.reports.take(
            how.get("provider", provider),
            how.get("token", token),
            Callback(
                "POST",
                message.callback_url,
                {"x-signature": how.get("signature", "signed")},
                body.encode(),
                how.get("query", ()),
            ),
        )
        await self.settle()
        return answer

    @property
    def sent(self) -> list[Message]:
        """Every message of every carrier."""
        return [*self.one.sent, *self.two.sent]

    def code(self, verification: Verification | str) -> str:
        """The code, read from a message as a person would."""
        id_ = verification if isinstance(verification, str) else verification.id
        return next(m.code for m in reversed(self.sent) if m.reference.startswith(id_))

    def wrong(self, verification: Verification | str) -> str:
        """A code of the right form that is not it."""
        code = self.code(verification)
        return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [call.kwargs for call in self.captured.calls]
