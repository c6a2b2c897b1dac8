"""Whoever is told to wait and does is not told to wait again: every Retry-After, of starts and resends, is kept."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from gateway.service.requests import Limited, Refused
from tests.support.world import POLICY, World

Worlds = Callable[..., World]

TIGHT: dict[str, Any] = {
    **POLICY,
    "code": {"cooldown": "20s", "cooldown_growth": 2, "cooldown_max": "5m"},
    "limits": {
        "destination-10m": {"amount": 4},
        "destination-day": {"amount": 9, "window": "1h"},
        "ip-hour": {"amount": 7, "window": "20m"},
    },
}
PEOPLE = ["+14155550123", "+14155550124"]


async def refused(ask: Callable[[], Awaitable[object]]) -> Limited | None:
    try:
        await ask()
    except Limited as no:
        return no
    except Refused:
        return None  # there is nothing to wait for
    return None


@pytest.mark.parametrize("seed", range(6))
async def test_who_waits_as_long_as_a_refusal_says_is_not_refused_again(worlds: Worlds, seed: int) -> None:
    dice, world = random.Random(seed), worlds(policies={"default": TIGHT})  # noqa: S311 - no secret
    ids: list[str] = []
    told: list[tuple[str, str | None]] = []
    for _ in range(60):
        world.clock.forward(dice.choice([0, 1, 9.999, 20, 61, 200]))
        to, ip = dice.choice(PEOPLE), dice.choice(["203.0.113.7", "203.0.113.8"])
        start, resend = partial(world.begin, phone=to, ip=ip), partial(world.verifications.resend, "shop", channel=None)
        ask = partial(resend, verification=dice.choice(ids[-2:])) if ids and dice.random() < 0.4 else start
        no = await refused(ask)
        await world.settle()
        if no:
            world.clock.forward(no.wait / 1000)
            again = await refused(ask)
            await world.settle()
            told.append((no.limit, again.limit if again else None))
        ids = list(dict.fromkeys(message.reference.partition(".")[0] for message in world.sent))
    assert [pair for pair in told if pair[1]] == []
    assert len({limit for limit, _ in told}) > 2
