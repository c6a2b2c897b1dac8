"""What the use-cases are given by the composition root: policies, apps, keys, store, carriers, telemetry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from channels.contract import Answer, Callback, Cost, Message, Outcome, Receipt
from gateway.core.keys import Keyring
from gateway.core.machine import Pace
from gateway.guard.judge import Judge
from gateway.service.switches import Switches
from gateway.service.traffic import Record
from gateway.store.valkey import Store
from gateway.telemetry.metrics import Metrics
from policies.engine import Policy


class Carrier(Protocol):
    """A provider under guard: as channels.contract.Provider, but no call outlasts its deadline."""

    async def send(self, message: Message, *, insist: bool = False) -> Receipt:
        """`insist` sends through an open breaker."""
        ...

    def refuses(self, message: Message) -> bool:
        """Whether an open breaker would refuse the message now."""
        ...

    def read(self, callback: Callback) -> Outcome: ...

    def answer(self, message: Message | None) -> Answer: ...


@dataclass(frozen=True, slots=True)
class App:
    """A client of the gateway."""

    name: str
    brand: str  # shown in messages
    policies: Mapping[str, str]  # purpose -> policy; "*" is for every other purpose
    locale: str = "en"
    templates: Mapping[str, str] = field(default_factory=dict)

    def policy(self, purpose: str) -> str:
        """The policy for a purpose."""
        return self.policies.get(purpose) or self.policies["*"]


@dataclass(frozen=True, slots=True)
class Times:
    """How long things are kept, in milliseconds."""

    tombstone: int = 86_400_000
    idempotency: int = 86_400_000


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that the use-cases reach the world through."""

    store: Store
    keys: Keyring
    metrics: Metrics
    log: Any  # a structlog logger
    apps: Mapping[str, App]
    policies: Mapping[str, Policy]
    carriers: Mapping[str, Carrier]
    callback_base: str  # the public URL, without a trailing slash
    segments: Mapping[str, int] = field(default_factory=dict)  # channel -> the most segments of one message
    pace: Pace = field(default_factory=Pace)
    times: Times = field(default_factory=Times)
    record: Record | None = None  # of decisions, to be asked again; None when nobody wants it
    most_sends: int = 2_000  # messages under way at once in this process; more is overload
    callbacks: frozenset[str] = frozenset()  # the providers that report back
    judge: Judge = field(default_factory=Judge)
    switches: Switches = field(default_factory=Switches)
    prices: Mapping[tuple[str, str], Cost] = field(default_factory=dict)  # by provider and channel, as configured
