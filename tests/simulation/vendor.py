"""A vendor in a simulated world: takes messages, refuses some, and reports late, twice, out of order or never."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from channels.contract import Callback, Cost, ErrorClass, Message, Outcome, Receipt, SendError
from gateway.service.requests import Refused
from gateway.store.steps import Unavailable
from tests.simulation.plan import TARIFF
from tests.support.world import FakeCarrier

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.process import Process
    from tests.simulation.world import World

ERRORS = (
    ErrorClass.PROVIDER_DOWN,
    ErrorClass.TEMPORARY,
    ErrorClass.TEMPORARY,
    ErrorClass.NO_CHANNEL,
    ErrorClass.BAD_DESTINATION,
    ErrorClass.FRAUD,
)


class Vendor(FakeCarrier):
    """The module of a vendor, as one process has it."""

    def __init__(self, process: Process, name: str) -> None:
        super().__init__(name)
        self._process = process
        self._random = process.world.plan.random(f"{process.name} {name}")

    async def send(self, message: Message, *, insist: bool = False) -> Receipt:
        await self._process.cross("before", "send")
        price, purses = TARIFF.price(self.name, message.channel, "") or 0, self._process.world.purses()
        self._note("send", message, code=message.code, to=message.to, price=price, purses=purses)
        await self._answered(message)
        cost = self._take(message)
        await self._process.cross("after", "send")
        return Receipt(f"{self.name}-{message.reference}", cost if self._random.random() < 0.4 else None)

    def read(self, callback: Callback) -> Outcome:
        """A report may name a price, after a semicolon."""
        body, _, cost = callback.body.decode().partition(";")
        (report,) = super().read(replace(callback, body=body.encode())).reports
        return Outcome((replace(report, cost=Cost(int(cost), "USD")),)) if cost else Outcome((report,))

    def _take(self, message: Message) -> Cost:
        """The message is the vendor's now, which will bill it: mostly as its list says. Free stays free."""
        world, price = self._process.world, TARIFF.price(self.name, message.channel, "") or 0
        billed = int(price * self._random.choice((1, 1, 0.5, 1.5)))
        self._note("taken", message, price=price, billed=billed)
        world.inbox.setdefault(message.reference.rpartition(".")[0], []).append(message.code)
        cost = Cost(billed, "USD")
        world.spawn(report_all(world, message, self._random, cost))
        return cost

    def _note(self, what: str, message: Message, **facts: object) -> None:
        self._process.world.history.add(what, ref=message.reference, process=self._process.name, **facts)

    async def _answered(self, message: Message) -> None:
        """Takes its time, or fails: once the message is on its way, or before."""
        world, random = self._process.world, self._random
        timeout = world.plan.pace.lease / 1000 - 2  # as the configuration's own check has it
        if not world.strikes("vendor", random):
            await asyncio.sleep(random.uniform(0.01, 0.5))
            return
        await asyncio.sleep(random.uniform(0, timeout))
        outcome = random.randrange(4)
        if outcome == 0:
            raise SendError(random.choice(ERRORS), "500")
        if outcome == 1:  # it has the message, and the connection breaks
            self._take(message)
            raise SendError(ErrorClass.PROVIDER_DOWN, "deadline", ambiguous=True)
        if outcome == 2:
            raise RuntimeError("a bug in this module")


async def report_all(world: World, message: Message, random: Random, cost: Cost) -> None:
    """What the vendor says of one message: mostly that it was delivered, and sometimes what it cost."""
    priced = f";{cost.micros}" if random.random() < 0.4 else ""
    if not world.strikes("report", random):
        await asyncio.sleep(random.uniform(0, 2))
        await report(world, message, f"delivered{priced}", random)
        return
    kinds = ("delivered", f"delivered{priced}", "failed:temporary", f"failed:no_channel{priced}", "progress", "forged")
    reports = [random.choice(kinds) for _ in range(random.randrange(4))]  # none at all is one of the ways
    random.shuffle(again := [*reports, *(kind for kind in reports if random.random() < 0.3)])
    for kind in again:
        world.spawn(_late(world, message, kind, random))


async def _late(world: World, message: Message, kind: str, random: Random) -> None:
    """Anything from before the send has ended to after the verification has."""
    await asyncio.sleep(random.choice((0.0, random.uniform(0, 5), random.uniform(0, 60))))
    await report(world, message, kind, random)


async def report(world: World, message: Message, kind: str, random: Random) -> None:
    """One callback to any of the processes; repeated a few times while it is answered with an error."""
    assert message.callback_url
    vendor, token = message.callback_url.split("/")[-2:]
    forged = kind == "forged"
    body = "delivered" if forged else kind
    callback = Callback("POST", message.callback_url, {"x-signature": "no" if forged else "signed"}, body.encode())
    for _ in range(3):
        process = world.any_process(random)
        world.history.add("report", ref=message.reference, kind=kind, process=process.name)
        try:
            await world.ask(process.reports.take(vendor, token, callback))
            return
        except Refused:
            return
        except (Unavailable, TimeoutError):
            await asyncio.sleep(random.uniform(1, 5))
