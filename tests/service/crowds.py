"""The default preset, the numbers that pumps and people have, and people who start, type and ask again by chance."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.core.model import Verification
from gateway.service.requests import Denied, Limited
from tests.support.world import World

Worlds = Callable[..., World]
CONVERSION = ("prefix-conversion", "range-conversion", "country-conversion")


def preset(channel: str = "sms", **fraud: Any) -> dict[str, Any]:
    """The default preset, to the United States and by one channel. `country` changes its rule about countries."""
    if "country" in fraud:
        fraud["rules"] = {"country-conversion": fraud.pop("country")}
    raw = {"countries": {"allow": ["US"]}, "fallback": [{"channel": channel, "wait": "60s"}], "fraud": fraud}
    return {"default": raw}


def whole() -> dict[str, Any]:
    """The default preset with all of its fallback."""
    raw = preset()
    del raw["default"]["fallback"]
    return raw


def with_email() -> dict[str, Any]:
    """The preset with an email after the SMS."""
    policies = preset()
    policies["default"]["fallback"].append({"channel": "email", "wait": "60s"})
    return policies


def sequential(start: int = 4155550000) -> Iterator[str]:
    """One number after the other."""
    return (f"+1{start + n}" for n in range(9_000))


def stepping(each: int) -> Iterator[str]:
    """So many numbers of a prefix, then as many of the next."""
    return (f"+1415{200 + n // each:03d}{1000 + n % each:04d}" for n in range(9_000))


def anywhere(seed: int = 1) -> Iterator[str]:
    """Numbers from all over the country."""
    dice = random.Random(seed)  # noqa: S311 - a trace, no secret
    areas = (205, 212, 303, 312, 415, 503, 617, 702, 713, 801)
    while True:
        yield f"+1{dice.choice(areas)}{dice.randrange(200, 900)}{dice.randrange(10_000):04d}"


@dataclass
class People:
    """Starts that come by chance, codes that are typed after a while, and now and then somebody who asks again."""

    world: World
    seed: int
    converts: float
    refused: list[Exception] = field(default_factory=list)
    queue: list[tuple[float, int, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - a trace, no secret
        self.begin = self.world.clock.now

    def at(self, seconds: float, what: str, whom: Any = None) -> None:
        heapq.heappush(self.queue, (seconds, len(self.queue) + self.dice.randrange(10**9), what, whom))

    async def come(self, number: int, within: float, numbers: Iterator[str]) -> int:
        """So many people in so many seconds. How many typed their code."""
        typed = 0
        for _ in range(number):
            self.at(self.dice.uniform(0, within), "start", next(numbers))
        while self.queue:
            seconds, _, what, whom = heapq.heappop(self.queue)
            self.world.clock.now = self.begin + int(seconds * 1000)
            typed += await self.turn(what, whom, seconds)
        return typed

    async def turn(self, what: str, whom: Any, seconds: float) -> bool:
        try:
            if what == "start":
                self.plan(await self.world.start(phone=whom, ip=f"2001:db8:{self.dice.randrange(65536):x}::1"), seconds)
            elif what == "resend":
                await self.world.verifications.resend("shop", whom.id, None)
            else:
                return (await self.world.check(whom, self.world.code(whom))).verdict == "approved"
        except (Denied, Limited) as no:
            self.refused.append(no)
        return False

    def plan(self, v: Verification, seconds: float) -> None:
        types = self.dice.random() < self.converts
        if self.dice.random() < 0.15:
            self.at(seconds + 35, "resend", v)
            self.at(seconds + self.dice.uniform(45, 120), "check", v)
        elif types:
            self.at(seconds + self.dice.uniform(10, 90), "check", v)
