"""A world that one seed decides: processes of the gateway on one store, vendors, people, and what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from channels.contract import Channel
from gateway.core.keys import Keyring, shard_of
from gateway.service.requests import Refused
from gateway.store.document import opened, stored
from gateway.store.steps import Unavailable
from gateway.store.terms import unpack_terms
from gateway.telemetry.labels import Labels
from gateway.telemetry.metrics import Metrics
from policies.engine import Policy
from tests.simulation.checker import Terms
from tests.simulation.history import History, Kept
from tests.simulation.loop import VirtualLoop
from tests.simulation.mutants import Mutant
from tests.simulation.person import Person
from tests.simulation.plan import CARRIERS, GUESSES, SENDS, TARIFF, Plan, policy
from tests.simulation.process import PREFIX, Process
from tests.simulation.wire import Wire
from tests.support.world import compile_policies

T = TypeVar("T")
EPOCH = 1_799_999_980_000
"""The store's time, in ms, when a run begins: a little before an hour ends, by which some of what is spent counts."""
ANSWERED_WITHIN = 30.0
"""Seconds after which whoever asked a process goes away without an answer."""
STANDS = 60_000
"""The longest, in ms, that a process stands still or is missing once nothing goes wrong any more."""


class Lab:
    """What runs share: the connection to the server, which each run empties, and what is costly to make."""

    def __init__(self, url: str) -> None:
        self.wire = Wire(url)
        labels = Labels(apps={"shop": ["login"]}, carriers=dict.fromkeys(CARRIERS, tuple(Channel)))
        self.metrics = Metrics(CollectorRegistry(), labels, "test")


@cache
def compiled(number: int) -> Policy:
    """One of the plan's policies."""
    orders = dict.fromkeys((str(channel) for channel in Channel), CARRIERS)
    return compile_policies({"default": policy(number)}, orders, TARIFF)["default"]


@dataclass
class World:
    """One run."""

    plan: Plan
    lab: Lab
    mutant: Mutant
    inbox: dict[str, list[str]] = field(default_factory=dict)  # verification: the codes that came to its person

    def __post_init__(self) -> None:
        self.loop = VirtualLoop()
        self.history = History(self._ms)
        self.keys = Keyring(b"l" * 32, {"k1": b"s" * 32}, self.plan.random("keys"))
        self.policy = compiled(self.plan.policy)
        self.calm = False  # once it is, nothing goes wrong any more
        self.processes: list[Process] = []
        self._random = self.plan.random("world")
        self._made = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self) -> History:
        """The whole run. What it leaves in the store goes with the next one's beginning."""
        self.lab.wire.call("FLUSHALL")
        self.history.faults += self.loop.play(self._story())
        return self.history

    def terms(self) -> Terms:
        """What must hold of this run."""
        steps, code = self.policy.routes.default, self.policy.code
        lease = self.plan.pace.lease
        return Terms(
            checks=code.checks,
            guesses=GUESSES,
            sends=SENDS,
            ways=sum(len(step.providers) for step in steps),
            lease=lease,
            patience=3 * lease + int(2_000 * self.plan.poll) + STANDS,
            calm=int(self.plan.trouble * 1000),
            new_codes=code.resend == "new",
        )

    def store_time(self) -> int:
        return EPOCH + self._ms()

    def _ms(self) -> int:
        return int(self.loop.time() * 1000)

    def strikes(self, kind: str, random: Random) -> bool:
        """Whether this kind of fault strikes now."""
        return not self.calm and random.random() < self.plan.faults.get(kind, 0.0)

    def spawn(self, story: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Have something happen by itself."""
        task = self.loop.create_task(story)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ask(self, story: Coroutine[Any, Any, T]) -> T:
        """Ask a process, which goes on with it when whoever asked has gone away. Raises TimeoutError then."""
        task = self.spawn(_quietly(story))
        await asyncio.wait([task], timeout=ANSWERED_WITHIN)
        if not task.done():
            raise TimeoutError
        answer, fault = task.result()
        if fault:
            raise fault
        return answer  # type: ignore[no-any-return]

    def any_process(self, random: Random) -> Process:
        """One that a load balancer would still send to."""
        return random.choice([process for process in self.processes if not process.dead] or self.processes)

    def replace(self, dead: Process) -> None:
        """Start another process some time after one has died."""
        self.spawn(self._start_later(0 if self.calm else self._random.uniform(0.1, 20), dead))

    async def _start_later(self, seconds: float, dead: Process) -> None:
        await asyncio.sleep(seconds)
        self.processes.remove(dead)
        self._start()

    def _start(self) -> None:
        self._made += 1
        process = Process(self, f"p{self._made}")
        self.mutant.bend(process)
        self.processes.append(process)
        self.history.add("process", process=process.name)
        self.spawn(process.worker.run())

    async def _story(self) -> None:
        for _ in range(self.plan.processes):
            self._start()
        people = [self.spawn(Person(self, number).live()) for number in range(self.plan.people)]
        self.spawn(self._lose_a_timer())
        self.spawn(self._look(self._random.uniform(5, self.plan.trouble)))
        await asyncio.sleep(self.plan.trouble)
        self.calm = True
        await self._mend(people)
        self.keep()

    async def _mend(self, people: list[asyncio.Task[Any]]) -> None:
        """Wait until every verification must have ended: one that was started last has lived its life, and a process
        has had the time to see to it."""
        for task in people:
            task.cancel()
        await asyncio.sleep(ANSWERED_WITHIN)
        lives = self.policy.code.expiry + 3 * self.plan.pace.lease
        await asyncio.sleep(lives / 1000 + 2 * self.plan.poll)

    async def _look(self, seconds: float) -> None:
        """Look through the store in the middle of everything: what must hold always holds then as well."""
        await asyncio.sleep(seconds)
        for id_, kept in self.read().items():
            if kept.stored.verification.pending and kept.timer is None:
                self.history.add("unarmed", id=id_)

    async def _lose_a_timer(self) -> None:
        if not self.strikes("unarm", self._random):
            return
        await asyncio.sleep(self._random.uniform(5, self.plan.trouble))
        for id_ in sorted(self.read()):
            if self._unarm(id_):
                self.history.add("unarm", id=id_)
                return

    def keep(self) -> None:
        """Take down what the store holds."""
        self.history.kept = self.read()
        self.history.purses = self.purses()

    def purses(self) -> dict[str, int]:
        """What is spent, by the purse's key."""
        keys = sorted(self.lab.wire.call("KEYS", f"{PREFIX}:*:p:*")) if self.policy.settings.spend.caps else ()
        return {key.decode(): int(self.lab.wire.call("HGET", key, "s") or 0) for key in keys}

    def read(self) -> dict[str, Kept]:
        """Every verification in the store, with its timer."""
        found = {}
        for key in sorted(self.lab.wire.call("KEYS", f"{PREFIX}:*:v:*")):
            shard, _, id_ = key.decode().rpartition(":v:")
            score = self.lab.wire.call("ZSCORE", f"{shard}:due", id_)
            timer = None if score is None else int(float(score))
            document = opened(self.lab.wire.call("GET", key))
            name = document.body.terms
            terms = unpack_terms(name, self.lab.wire.call("GET", f"{shard}:t:{name}"))
            found[id_] = Kept(stored(id_, document, terms), timer, EPOCH)
        return found

    def _unarm(self, id_: str) -> bool:
        return bool(self.lab.wire.call("ZREM", f"{PREFIX}:{{{shard_of(id_)}}}:due", id_))


async def _quietly(story: Coroutine[Any, Any, T]) -> tuple[T | None, Exception | None]:
    """What came of a request, for whoever may have gone away by then."""
    try:
        return await story, None
    except (Refused, Unavailable) as fault:
        return None, fault
