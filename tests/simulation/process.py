"""One process of the gateway in a simulated world: it can die, stand still, lose its store and mistake the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from gateway.service.engine import Engine
from gateway.service.reports import Reports
from gateway.service.setup import App, Setup
from gateway.service.verifications import Verifications
from gateway.store.link import Script
from gateway.store.steps import Unavailable
from gateway.store.valkey import Store
from gateway.store.wire import Away, Fault, Late
from gateway.worker import Worker
from tests.simulation.plan import CARRIERS, SLOWEST, TARIFF
from tests.simulation.vendor import Vendor
from tests.simulation.wire import Direct, Wire

if TYPE_CHECKING:
    from tests.simulation.world import World

PREFIX = "s"
WEIGHTS = {"claim": 0.1, "scan": 0.1, "sweep": 0.1}
"""What every process asks again and again, mostly for nothing: as many faults there would leave no room for others."""
TAKEN = 4
"""And what a claim took is rare, and the most delicate moment that there is."""
STRIKES = {
    ("before", False): ("kill", "slow", "pause", "suspend", "refuse"),
    ("after", False): ("kill", "slow", "pause", "suspend", "lose"),
    ("before", True): ("kill",),
    ("after", True): ("kill", "slow", "pause", "suspend"),
}
"""What can strike on either side of a call to the store, and of a send."""
EXPECTED = frozenset({("provider.fault", "RuntimeError"), ("send.unwritten", "Unavailable")})
"""Errors that belong to a run: a vendor's module that raises what it should not, a store that stayed away for a whole
lease."""


class Process:
    """A gateway: the real engine, worker and use-cases over the real scripts. `cross` stands at every step to the
    outside, where what is wrong with the world comes in."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self._random = world.plan.random(name)
        self._behind = self._random.uniform(-1e6, 1e6)  # its own clock begins anywhere
        self._stands_until = 0.0
        self.store = FaultyStore(self)
        self.setup = Setup(
            store=self.store,
            keys=world.keys,
            metrics=world.lab.metrics,
            log=Log(self),
            apps={"shop": App("shop", "Shop", {"*": "default"})},
            policies={"default": world.policy},
            carriers={vendor: Vendor(self, vendor) for vendor in CARRIERS},
            callback_base="https://otp.example",
            pace=world.plan.pace,
            tariff=TARIFF,
        )
        self.engine = Engine(self.setup)
        self.verifications = Verifications(self.setup, self.engine)
        self.reports = Reports(self.setup, self.engine)
        jitter = world.plan.random(f"{name} worker").random
        pace = world.plan
        self.worker = Worker(self.setup, self.engine, poll=pace.poll, sweep=pace.sweep, jitter=jitter)

    async def cross(self, side: str, step: str, *, weight: float = 1) -> None:
        """A step to the outside, `before` it is taken or `after`: does not come back in a process that has died.

        Nothing stands still right before a send: no program can see to it that it is not stopped between its last look
        at a clock and its first byte to a vendor, so there is nothing to be tested there.
        """
        kinds = STRIKES[side, step == "send"]
        await self._running(stands="pause" in kinds)
        fault = self._fault(kinds, weight)
        if fault:
            self.world.history.add(fault, process=self.name, side=side, step=step)
            await self._suffer(fault)
            await self._running(stands="pause" in kinds)

    def _fault(self, kinds: tuple[str, ...], weight: float) -> str | None:
        if self.world.calm:
            return None
        drawn = self._random.random() / weight
        for kind in kinds:
            drawn -= self.world.plan.faults.get(kind, 0.0)
            if drawn < 0:
                return kind
        return None

    async def _suffer(self, fault: str) -> None:
        match fault:
            case "kill":
                self.die()
            case "pause":
                lease = self.world.plan.pace.lease / 1000
                self._stands_until = self.world.loop.time() + self._random.uniform(0.5, 3) * lease
            case "refuse":
                raise Away
            case "lose":
                raise Late
            case "slow":
                await asyncio.sleep(self._random.uniform(0.001, SLOWEST))
            case "suspend":
                seconds = self._random.choice((2, 20, 60))
                self._behind += seconds
                self._stands_until = self.world.loop.time() + seconds

    async def _running(self, *, stands: bool) -> None:
        while stands and not self.dead and (left := self._stands_until - self.world.loop.time()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)  # and look again: another stop may have come meanwhile
        if self.dead:
            await self.world.loop.create_future()

    def own_time(self) -> float:
        """What it has for a clock."""
        return self.world.loop.time() - self._behind

    def die(self) -> None:
        """As after kill -9: nothing that it has under way takes another step. Another process comes in its place."""
        if not self.dead:
            self.dead = True
            self.world.replace(self)


class FaultyStore(Store):
    """The real store, with a fault before or after any of its calls, and the clock of its process."""

    def __init__(self, process: Process) -> None:
        world = process.world
        calls = Distant(world.lab.wire, self._crossed)
        super().__init__(calls, prefix=PREFIX, clock=world.store_time, own=process.own_time)
        self._process = process
        self._names = {script.sha: name for name, script in self._scripts.items()}
        self._offset = world.store_time() - self.elapsed()  # its host's clock is right when it starts

    def now(self) -> int:
        return int(self.elapsed() + self._offset)

    async def _run(self, name: str, keys: Any, args: dict[str, object]) -> list[Any]:
        """A script runs by the time at which it reaches the store, so what comes before is here, before the time is
        written into its arguments."""
        try:
            await self._process.cross("before", name, weight=WEIGHTS.get(name, 1))
        except Fault as fault:
            raise Unavailable(name) from fault
        return await super()._run(name, keys, args)

    async def _timed(self, name: str, call: Awaitable[Any]) -> Any:
        return await super()._timed(name, self._answered(name, call))

    async def _answered(self, name: str, call: Awaitable[Any]) -> Any:
        reply = await call
        await self._process.cross("after", name, weight=WEIGHTS.get(name, 1))
        return reply

    async def _crossed(self, script: Script, reply: Any) -> None:
        """What a script has done is done, whatever becomes of its answer."""
        name = self._names[script.sha]
        took = name == "claim" and reply[4]
        await self._process.cross("after", name, weight=TAKEN if took else WEIGHTS.get(name, 1))


class Distant(Direct):
    """The way to the server, on which the answer of a script may be lost or late."""

    def __init__(self, wire: Wire, crossed: Callable[[Script, Any], Awaitable[None]]) -> None:
        super().__init__(wire)
        self._crossed = crossed

    async def run(self, script: Script, keys: Sequence[str], argument: bytes) -> Any:
        reply = await super().run(script, keys, argument)
        await self._crossed(script, reply)
        return reply


class Log:
    """Takes what a process logs, and passes on what must not happen whatever goes wrong around it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def info(self, event: str, **facts: Any) -> None:
        """Nobody reads it."""

    warning = info

    def error(self, event: str, **facts: Any) -> None:
        history = self._process.world.history
        history.add("error", process=self._process.name, error=event, **facts)
        lost = any(unarmed.id == facts.get("verification") for unarmed in history.of("unarm"))
        if (event, facts.get("fault")) not in EXPECTED and not (event == "timer.missing" and lost):
            history.faults.append(f"{self._process.name} logged {event} {facts}")
