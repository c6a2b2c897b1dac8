"""What the use-cases are given by the composition root: policies, apps, keys, store, carriers, telemetry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from channels.contract import Answer, Callback, Cost, Message, Outcome, Receipt
from gateway.core.keys import Keyring
from gateway.core.machine import Pace
from gateway.guard.judge import Judge
from gateway.service.lists import Filled
from gateway.service.switches import Switches
from gateway.service.traffic import Record
from gateway.service.vigilance import FailedChecks, Vigilance
from gateway.store.valkey import Store
from gateway.telemetry.metrics import Metrics
from policies.engine import Policy
from policies.model import Counter, Counts, Limit, MailWord
from policies.money import Tariff


class Carrier(Protocol):
    """A provider under guard: as channels.contract.Provider, but no call outlasts its deadline."""

    async def send(self, message: Message, *, insist: bool = False) -> Receipt:
        """`insist` sends through an open breaker."""
        ...

    def refuses(self, message: Message) -> bool:
        """Whether an open breaker would refuse the message now."""
        ...

    @property
    def shared(self) -> bool:
        """Whether reports come to one address for all messages, and bring their tokens."""
        ...

    @property
    def prices(self) -> bool:
        """Whether `price` is worth asking."""
        ...

    async def receive(self, callback: Callback) -> Outcome:
        """Read a callback. Raises Forged, and Unread."""
        ...

    def inbound(self, callback: Callback) -> Outcome | None:
        """Read what came to the inbound address. Raises Forged; None when the provider has no such address."""
        ...

    async def price(self, message_id: str) -> Cost | None:
        """What a message cost, as far as the vendor knows by now. Raises SendError."""
        ...

    def answer(self, message: Message | None) -> Answer: ...


@dataclass(frozen=True, slots=True)
class App:
    """A client of the gateway."""

    name: str
    brand: str  # shown in messages
    policies: Mapping[str, str]  # purpose -> policy; "*" is for every other purpose
    locale: str = "en"
    templates: Mapping[str, str] = field(default_factory=dict)
    failed_checks: FailedChecks | None = None  # None: not watched

    def policy(self, purpose: str) -> str:
        """The policy for a purpose."""
        return self.policies.get(purpose) or self.policies["*"]


@dataclass(frozen=True, slots=True)
class Times:
    """How long things are kept, in milliseconds."""

    tombstone: int = 86_400_000
    idempotency: int = 86_400_000


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back the counters remember. Policies share them: one that looks back a minute must not make them forget
    what another counts by the day."""

    counters: Mapping[tuple[str, str, str], tuple[int, int]]  # (scope, per, counts) -> (most, longest window in ms)
    guesses: tuple[int, int]

    def of(self, counted: Limit | Counter) -> tuple[int, int]:
        return self.counters.get(_shared_by(counted.scope, counted.per, counted.counts), (1, 1))


def reach(policies: Mapping[str, Policy]) -> Reach:
    """The farthest that any of these policies looks back, for each kind of counter."""
    counters: dict[tuple[str, str, str], tuple[int, int]] = {}
    for name, policy in policies.items():
        for per, counts, scope, amount, window in _looks(name, policy):
            key = _shared_by(scope, per, counts)
            most, longest = counters.get(key, (1, 1))
            counters[key] = (max(most, amount), max(longest, window))
    amounts, windows = zip(*((p.guesses.amount, p.guesses.window) for p in policies.values()), strict=True)
    return Reach(counters, (max(amounts), max(windows)))


def _looks(name: str, policy: Policy) -> Iterator[tuple[str, str, str, int, int]]:
    scopes = {"policy": f"/{name}", "app": "app", "all": ""}
    for limit in policy.settings.limits.values():
        amount = max(limit.amount, limit.missing or 0)
        yield "+".join(limit.per), limit.counts, scopes[limit.scope], amount, limit.window
    yield "destination", Counts.STARTS, scopes["policy"], max(1, len(policy.code.waits)), policy.code.waits_window


def _shared_by(scope: str, per: str, counts: str) -> tuple[str, str, str]:
    """A limit's scope is empty, an app's name, or app/policy: the app does not matter for how far back it looks."""
    policy = scope.partition("/")[2]
    return (f"/{policy}" if policy else "app" if scope else "", per, counts)


async def nobody_asks(domain: str) -> MailWord:
    """What is known of a domain's mail without asking."""
    return "unknown"


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
    judge: Judge = field(default_factory=Judge)
    switches: Switches = field(default_factory=Switches)
    vigilance: Vigilance = field(default_factory=Vigilance)
    filled: Filled = field(default_factory=Filled)
    mail: Callable[[str], Awaitable[MailWord]] = nobody_asks  # whether a domain takes mail
    test_codes: Mapping[str, str] = field(default_factory=dict, repr=False)  # by number or mailbox; none in production
    tariff: Tariff = field(default_factory=Tariff)  # what the policies were compiled with
    shadow_pause: float = 0.3  # seconds that a message in shadow takes, about
    reach: Reach = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reach", reach(self.policies))

    def shard_of_app(self, app: str) -> int:
        """Where all lies that is counted over a whole app: what a start asks for there, it asks for at once."""
        return self.keys.shard(f"app {app}")

    @property
    def shard_of_money(self) -> int:
        """Where all purses lie: a start draws on several, and mostly on the one that is everybody's."""
        return self.keys.shard("money")
