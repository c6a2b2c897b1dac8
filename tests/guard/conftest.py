"""A guarded provider that does as it is told, and a clock for it that only moves when told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import CapturingLogger

from channels.contract import Channel, Message, Receipt, SendError, Wording
from gateway.guard import Guarded
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from tests.support.world import FakeCarrier, Script

MESSAGE = Message(Channel.SMS, "+14155550123", "482913", Wording("482913", "en"), "ver_x.1", 600)


@dataclass
class Bench:
    """One guarded provider, and everything that can be seen of it. Its clock is virtual; its deadlines are not."""

    carrier: FakeCarrier = field(default_factory=lambda: FakeCarrier("one"))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    captured: CapturingLogger = field(default_factory=CapturingLogger)
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    guards: list[Guarded] = field(default_factory=list)

    def guard(self, **how: Any) -> Guarded:
        defaults = {
            "concurrency": 2,
            "timeout": 5.0,
            "metrics": how.get("metrics") or Metrics(self.registry, Labels(carriers={"one": ["sms", "voice"]}), "test"),
            "log": structlog.wrap_logger(self.captured, processors=[lambda _logger, _name, event: ((), event)]),
            "clock": lambda: self.now,
            "sleep": self.sleep,
        }
        self.guards.append(Guarded(self.carrier, "one", **{**defaults, **how}))
        return self.guards[-1]

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def send(self, guard: Guarded, *scripts: Script, message: Message = MESSAGE, **how: Any) -> list[str]:
        """One message for each script, in turn: what was said of each."""
        said = []
        for script in scripts:
            self.carrier.scripts.append(script)
            try:
                await guard.send(message, **how)
                said.append("sent")
            except SendError as error:
                said.append(error.vendor_code or str(error.error))
            if self.carrier.scripts:  # refused before it came to the provider
                self.carrier.scripts.clear()
        return said

    def breaker(self, channel: str = "sms") -> float | None:
        return self.registry.get_sample_value("otp_breaker_state", {"provider": "one", "channel": channel})

    @property
    def in_flight(self) -> float | None:
        return self.registry.get_sample_value("otp_sends_in_flight", {"provider": "one"})

    @property
    def moves(self) -> list[tuple[str, str]]:
        return [(call.kwargs["from_state"], call.kwargs["state"]) for call in self.captured.calls]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for guard in bench.guards:
        guard._circuits.close()


FINE = Receipt()
