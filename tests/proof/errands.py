"""A process that does whatever an app can ask for and kills itself at a numbered step, and an app that asks again."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from channels.contract import Callback, Message, Receipt
from gateway.core.machine import Pace
from gateway.service.requests import Denied, Limited, NotFound, NotPending, understood
from gateway.store.spread import Spread
from gateway.store.steps import Unavailable
from gateway.store.topology import reach
from gateway.store.valkey import Store
from gateway.store.whole import Whole
from tests.proof.victim import KEYS, POLICIES, Trap, real_time, say
from tests.support.world import EMAIL, World

CODE, WRONG = "482913", "111111"
LEASE = 300
HOLD = 200
"""ms that what lies in other slots is held for a process that may have died."""


class Steps:
    """The way to the store, with a trap on both sides of every call. Counts them."""

    def __init__(self, url: str, trap: Trap) -> None:
        self._calls: Any = reach(url)
        self._trap = trap
        self.number = 0

    async def ask(self, *words: Any) -> Any:
        return await self._step(lambda: self._calls.ask(*words))

    async def run(self, *what: Any) -> Any:
        return await self._step(lambda: self._calls.run(*what))

    async def scan(self, *what: Any) -> Any:
        return await self._step(lambda: self._calls.scan(*what))

    @property
    def timeout(self) -> float:
        return float(self._calls.timeout)

    async def close(self) -> None:
        await self._calls.close()

    async def _step(self, call: Callable[[], Any]) -> Any:
        self.number += 1
        self._trap.spring(f"before {self.number}")
        number, reply = self.number, await call()
        self._trap.spring(f"after {number}")
        return reply


def world(url: str, prefix: str, calls: Any) -> World:
    """On the store's own clock, with a vendor that takes everything."""

    async def send(message: Message, **_how: object) -> Receipt:
        say("sent", message.reference)
        return Receipt(message.reference)

    made = World(url, prefix=prefix, keys=KEYS, pace=Pace(lease=LEASE), policies=POLICIES)
    apart = partial(Spread, hold=HOLD)
    real_time(made, Store(calls, prefix=prefix, steps=apart if url.startswith("redis+cluster") else Whole))
    made.one.send = send  # type: ignore[method-assign]
    return made


async def errands(world: World, phones: list[str]) -> None:
    """Everything once, in this order, each told of when it is answered. Done again, it asks for the same."""
    first = (await begin(world, phones[0], "k1")).id
    say("started", first)
    await world.settle()
    await report(world, first, "failed:temporary")
    say("reported", first)
    await refusable(world.verifications.resend("shop", first, None))
    await world.settle()
    say("wrong", (await world.check(first, WRONG, idempotency_key="w", body=b"w")).verdict)
    say("right", (await world.check(first, CODE, idempotency_key="r", body=b"r")).verdict)
    second = (await begin(world, phones[1], "k2")).id
    await world.settle()
    await refusable(world.verifications.cancel("shop", second))
    say("canceled", second)
    await begin(world, phones[2], None)
    await world.settle()
    await world.erasure.erase("shop", understood(phones[2], None))
    say("erased", phones[2])
    await world.suppressions.add("shop", understood(phones[3], None))
    say("suppressed", phones[3])


async def begin(world: World, phone: str, key: str | None, tries: int = 5) -> Any:
    """Start one, and again where the answer was 503: a machine that is busy holds up a start for longer than is held
    here what lies in other slots."""
    try:
        begun = await world.begin(phone=phone, email=EMAIL, code=CODE, idempotency_key=key, body=phone.encode())
    except Unavailable:
        if tries == 1:
            raise
        return await begin(world, phone, key, tries - 1)
    return begun.verification


async def report(world: World, id_: str, said: str) -> None:
    """What the vendor says of the first message, at the address that came with it."""
    token = world.keys.token(id_, 1, "one")
    callback = Callback("POST", "https://otp.example", {"x-signature": "signed"}, said.encode(), ())
    await world.reports.take("one", token, callback)
    await world.settle()


async def refusable(asked: Any) -> None:
    """What may have been done already."""
    try:
        await asked
    except (Denied, Limited, NotFound, NotPending):
        return


async def live(job: dict[str, Any]) -> None:
    steps = Steps(job["url"], Trap(job["point"], 1))
    made = world(job["url"], job["prefix"], steps)
    await errands(made, job["phones"])
    say("steps", steps.number)


def main() -> None:
    """Live and die once for each line. Each life is a fork of this process, which has everything imported."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(live(json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say("ended", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


if __name__ == "__main__":
    main()
