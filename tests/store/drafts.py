"""Small creations, tries and changes, so that a test says only what it is about."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.keys import Keyring, new_id
from gateway.core.model import Attempt, AttemptStatus, Status, Verification
from gateway.store.body import pack_body, pack_messages
from gateway.store.document import pack, pack_ending
from gateway.store.link import TIMEOUT, Calls
from gateway.store.steps import Change, Creation, Idempotency, Try
from gateway.store.terms import terms_of
from gateway.store.topology import reach, steps
from gateway.store.valkey import Store
from gateway.store.wants import Counter, Item, Look, Rule, Spend, Wants, caps, common, eye
from policies.model import Step, Watch
from tests.support.servers import looking

APP = "shop"
CODE = "482913"
HOUR, DAY = 3_600_000, 86_400_000
STEPS = (Step("sms", ("one",), 30_000),)
KEYS = Keyring(bytes(32), {"k1": b"s" * 32})


class Clock:
    """A time that is told, in ms. It begins high enough for the scripts' arithmetic to be that of real times."""

    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@dataclass
class Shelf:
    """A store of its own on the shared server, with a clock that is told."""

    url: str
    clock: Clock = field(default_factory=Clock)
    prefix: str = field(default_factory=lambda: f"s{uuid.uuid4().hex[:10]}")

    calls: Calls | None = None  # the way to the store where it is another than to the server
    client: Any = None  # what the test itself looks into the store with
    timeout: float = TIMEOUT  # seconds, where much happens at once

    def __post_init__(self) -> None:
        self.client = self.client or looking(self.url)
        self.store = self.another()

    def another(self, *, timeout: float = 0) -> Store:
        """One more way to the same store."""
        calls = self.calls or reach(self.url, timeout=timeout or self.timeout)
        return Store(calls, prefix=self.prefix, clock=self.clock, steps=steps(self.url))

    def counter(self, name: str, *rules: Rule | tuple[int, int, bool], shard: int = 7) -> Counter:
        return Counter(self.store.limit_key(shard, name), tuple(Rule(*rule) for rule in rules))

    async def keys(self) -> set[str]:
        """Every key of this store, without its prefix."""
        return {key.decode().split(":", 2)[2] async for key in self.client.scan_iter(f"{self.prefix}:*")}

    async def timers(self, shard: int = 7) -> dict[str, int]:
        rows = await self.client.zrange(f"{self.prefix}:{{{shard}}}:due", 0, -1, withscores=True)
        return {member.decode(): int(score) for member, score in rows}


def creation(
    *counters: Counter,
    code: str = CODE,
    shard: int = 7,
    checks: int = 5,
    guesses: tuple[int, int] = (20, DAY),
    target: str = "target",
    context: bytes = b"",
    idempotency: Idempotency | None = None,
    life: int = 600_000,
    id_: str = "",
    looks: tuple[Look, ...] = (),
) -> Creation:
    verification = id_ or new_id(shard)
    v = _verification(verification, life, checks)
    terms = terms_of(v)
    fields: dict[str, object] = {
        "k": "k1",
        "d": KEYS.digest("k1", verification, code),
        "l": len(code),
        "w": int(not code.isdigit()),
        "p": b"phone",
        "P": 1,
        "r": b"",
        "g": target,
        "y": guesses[0],
        "z": guesses[1],
        "a": APP,
        "m": checks,
        "h": KEYS.seal(verification, b"sealed"),
        "b": pack_body(v, "en", terms),
        "E": pack_ending(v.purpose, v.policy, v.zone, v.country),
        "t": pack_messages(v),
        "j": b"",
    }
    if context:
        fields["q"] = context
    wants = Wants(common([counter.group for counter in counters]), tuple(counter.key for counter in counters), looks)
    return Creation(verification, shard, fields, terms, target, life, life + DAY, 15_000, wants, idempotency)


def asking(
    made: Creation,
    *counters: Counter,
    spend: Spend | None = None,
    watches: Sequence[Watch] = (),
    block: bool = False,
    **more: Any,
) -> Creation:
    """The same, which asks for this beside its looks, and beside its counters if none are named."""
    wants = made.wants
    said = common(
        [counter.group for counter in counters] or wants.common.groups,
        [eye(watch) for watch in watches] or wants.common.eyes,
        caps(spend.purses) if spend else wants.common.caps,
        block=block,
    )
    more |= {"counters": tuple(counter.key for counter in counters)} if counters else {}
    more |= {"spend": spend} if spend else {}
    more |= {"watched": watched(watches), "shown": tuple(watch.shown for watch in watches)} if watches else {}
    return replace(made, wants=wants._replace(common=said, **more))


def watched(those: Sequence[Watch]) -> tuple[Item, ...]:
    """What is watched, under names that are those of the rules."""
    return tuple((watch.rule, watch.item) for watch in those)


def _verification(id_: str, life: int, checks: int) -> Verification:
    first = Attempt(1, 0, "sms", "one", AttemptStatus.QUEUED, 0, 0)
    pending = Status.PENDING
    return Verification(id_, 1, APP, "login", "default", "r", pending, STEPS, (first,), 0, life, 0, 0, checks)


def guess(made: Creation, code: str = CODE, **fields: object) -> Try:
    plain = Try(
        id=made.id,
        app=APP,
        digests=KEYS.digests(made.id, code),
        length=len(code),
        letters=not code.isdigit(),
        tombstone=DAY,
    )
    return plain._replace(**fields)


def change(
    made: Creation, version: int, *counters: Counter, status: Status | None = None, due: int = 0, **fields: object
) -> Change:
    return Change(made.id, version, fields, status, due, pack([1, "told"]), DAY, counters)


def repeat(name: str = "again", body: bytes = b"body", busy: int = 0, shard: int = 7) -> Idempotency:
    return Idempotency(name, shard, KEYS.fingerprint(body), DAY, busy)


def wrongs(number: int, but: str = CODE) -> Sequence[str]:
    """Different wrong codes."""
    return [code for code in (f"{n:06d}" for n in range(number + 1)) if code != but][:number]
