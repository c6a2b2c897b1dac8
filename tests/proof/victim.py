"""An engine that kills itself at a named point, as `kill -9` would: told on its input where, one line a life."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis

from channels.contract import Channel, ErrorClass, Message, Receipt, SendError
from gateway.core.keys import Keyring
from gateway.core.machine import Pace
from gateway.store.link import connect
from gateway.store.valkey import Store
from tests.proof import planted
from tests.support.world import EMAIL, POLICY, World

KEYS = Keyring(b"l" * 32, {"k1": b"s" * 32})
_ORDER = {"sms": "30s", "voice": "100ms", "email": "60s"}
POLICIES = {"default": {**POLICY, "fallback": [{"channel": c, "wait": wait} for c, wait in _ORDER.items()]}}
"""The SMS is refused, the call stays without a sign of delivery, the email is the last word."""


def say(*words: object) -> None:
    """Tell the other side, past every buffer that a kill would lose."""
    os.write(1, (json.dumps(words) + "\n").encode())


class Trap:
    """Kills this process when a point is reached for the n-th time."""

    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._left = nth

    def spring(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Mortal(Store):
    """A store with a trap on both sides of each of its scripts. A claim that takes nothing is no step."""

    def __init__(self, client: Redis, prefix: str, trap: Trap) -> None:
        super().__init__(client, prefix=prefix)
        self._trap = trap

    async def _run(self, name: str, keys: Any, args: dict[str, object]) -> list[Any]:
        if name != "claim":
            self._trap.spring(f"before {name}")
        reply = await super()._run(name, keys, args)
        if name != "claim" or reply[4]:
            self._trap.spring(f"after {name}")
        return reply


def carrier(trap: Trap, hangs: int) -> Any:
    """Refuses SMS as a landline does, takes calls, and tells of each message that it got."""
    left = [hangs]

    async def send(message: Message, **_how: object) -> Receipt:
        trap.spring("before send")
        say("sent", message.reference)
        trap.spring("after send")
        if left[0]:
            left[0] -= 1
            await asyncio.Event().wait()
        if message.channel is Channel.SMS:
            raise SendError(ErrorClass.NO_CHANNEL)
        return Receipt(message.reference)

    return send


def real_time(world: World, store: Store) -> None:
    """Put a world on the store's own clock."""
    world.wire(replace(world.setup, store=store))


async def live(job: dict[str, Any]) -> None:
    """One life: two verifications, a worker, and a trap."""
    trap = Trap(job["point"], job["nth"])
    pace, prefix, url = Pace(lease=job["lease"]), job["prefix"], job["url"]
    async with World(url, prefix=prefix, keys=KEYS, pace=pace, policies=POLICIES) as world:
        real_time(world, Mortal(connect(url), prefix, trap))
        world.one.send = carrier(trap, job["hangs"])  # type: ignore[method-assign]
        # The timers are another gateway's work: this one knows of its own sends, and waits for them.
        other = World(url, prefix=prefix, keys=KEYS, pace=pace, policies=POLICIES)
        real_time(other, Mortal(connect(url), prefix, trap))
        other.one.send = world.one.send  # type: ignore[method-assign]
        other.worker._poll = 0.01
        worker = asyncio.create_task(other.worker.run())
        for number in range(2):
            begun = await world.begin(phone=f"+1415555{job['number']:03d}{number}", email=EMAIL)
            say("acknowledged", begun.verification.id)
        await asyncio.sleep(2)
        worker.cancel()


def main() -> None:
    """Live and die once for each line. Each life is a fork of this process, which has everything imported."""
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            if job["mistake"]:
                planted.plant(job["mistake"])
            asyncio.run(live(job))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say("ended", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


if __name__ == "__main__":
    main()
