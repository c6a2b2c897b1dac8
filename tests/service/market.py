"""A market of providers in virtual time: verifications come at a steady pace, each by the order that it is given, and
what becomes of them is told to the judge when it would be known."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from structlog.testing import CapturingLogger

from channels.contract import Cost
from gateway.guard.judge import Judge, Way
from gateway.guard.standing import Terms
from gateway.service import ordering
from gateway.service.setup import Setup
from gateway.service.switches import Switches
from gateway.store.switches import Off
from policies.model import CodeSettings, Decision, Step
from policies.money import Tariff

MINUTE, HOUR = 60, 3600
CODE = CodeSettings(6, "0123456789", 600_000, 5, "same", 30_000)


@dataclass
class Vendor:
    """How a provider does. The shares may be changed while the market runs."""

    delivers: float = 0.95
    converts: float = 0.7  # of those whose message arrives
    price: int | None = None  # micros of a dollar, as its reports name it


@dataclass
class Market:
    """One step of one policy, towards one zone."""

    vendors: Mapping[str, Vendor]
    terms: Terms = field(default_factory=Terms)
    order: str = "fixed"
    weights: tuple[tuple[str, int], ...] = ()
    tariff: Tariff = field(default_factory=Tariff)
    pace: float = 1.0  # verifications a second

    def __post_init__(self) -> None:
        self.ms = 1_800_000_000_000
        self.captured = CapturingLogger()
        log = structlog.wrap_logger(self.captured, processors=[lambda _logger, _name, event: ((), event)])
        self.judge = Judge(self.terms, log=log)
        self.switches = Switches()
        self.first: list[str] = []  # the provider that each verification tried first
        self._chance = random.Random(20)  # noqa: S311 # the same market in every run
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    @property
    def setup(self) -> Setup:
        """As much of a setup as an order is made from."""
        return cast(Setup, self)

    @property
    def store(self) -> Any:
        return self

    def now(self) -> int:
        return self.ms

    def switch_off(self, *names: str) -> None:
        self.switches.off = dict.fromkeys(names, Off(self.ms))

    def run(self, seconds: float) -> list[str]:
        """Let time pass. Returns who was tried first, in turn."""
        since, end = len(self.first), self.ms + int(seconds * 1000)
        while self.ms < end:
            self.ms += int(1000 / self.pace)
            while self._later and self._later[0][0] <= self.ms:
                heapq.heappop(self._later)[2]()
            self._verify()
        return self.first[since:]

    def decision(self) -> Decision:
        step = Step("sms", tuple(self.vendors), 30_000, "", self.order, self.weights)  # type: ignore[arg-type]
        found = ordering.available(self.setup, Decision("default", "r1", None, CODE, (step,)))
        return ordering.arranged(self.setup, found, f"ver_{self._count}", "+14155550123", "US")

    def _verify(self) -> None:
        self._count += 1
        name = self.decision().steps[0].providers[0]
        self.first.append(name)
        vendor, way, queued = self.vendors[name], Way(name, "sms", "1"), self.ms
        arrives = self._chance.random() < vendor.delivers
        verified = arrives and self._chance.random() < vendor.converts
        self._in(5 if arrives else 30, lambda: self.judge.delivered(way, self.ms, arrives))
        self._in(20 if verified else 600, lambda: self.judge.ended(way, queued, self.ms, verified))
        if vendor.price is not None:
            self.judge.paid(way, self.ms, Cost(vendor.price, "USD"))

    def _in(self, seconds: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._later, (self.ms + seconds * 1000, len(self.first) * 2 + seconds % 2, what))

    def turns(self, event: str = "provider.judged") -> list[dict[str, Any]]:
        """What the log says of turns."""
        return [call.kwargs for call in self.captured.calls if call.kwargs["event"] == event]
