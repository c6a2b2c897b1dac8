"""A vendor in a simulated world: takes messages, refuses some, and reports late, twice, out of order or never."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from channels.contract import Callback, ErrorClass, Message, Receipt, SendError
from gateway.service.requests import Refused
from gateway.store.steps import Unavailable
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
        world = self._process.world
        world.history.add("send", ref=message.reference, code=message.code, process=self._process.name, to=message.to)
        await self._answered(message)
        world.inbox.setdefault(message.reference.rpartition(".")[0], []).append(message.code)
        world.spawn(report_all(world, message, self._random))
        await self._process.cross("after", "send")
        return Receipt(f"{self.name}-{message.reference}")

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
            world.inbox.setdefault(message.reference.rpartition(".")[0], []).append(message.code)
            world.spawn(report_all(world, message, random))
            raise SendError(ErrorClass.PROVIDER_DOWN, "deadline", ambiguous=True)
        if outcome == 2:
            raise RuntimeError("a bug in this module")


async def report_all(world: World, message: Message, random: Random) -> None:
    """What the vendor says of one message: mostly that it was delivered."""
    if not world.strikes("report", random):
        await asyncio.sleep(random.uniform(0, 2))
        await report(world, message, "delivered", random)
        return
    kinds = ("delivered", "failed:temporary", "failed:no_channel", "progress", "forged")
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
