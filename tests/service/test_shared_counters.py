"""Policies share counters. None of them may make another forget, and each has a twin in which one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.service import drafting
from gateway.service.requests import Limited
from gateway.service.setup import Reach
from tests.support.world import POLICY, World

Worlds = Callable[..., World]

DAY = {"per": "destination", "amount": 4, "window": "24h", "counts": "sends", "scope": "app"}
MINUTE = {**DAY, "amount": 1, "window": "1m"}
ONLY_DAY = dict.fromkeys(("destination-10m", "destination-day"))


SENDING = {
    "login": {**POLICY, "limits": {**POLICY["limits"], **ONLY_DAY, "day": DAY}},
    "news": {**POLICY, "limits": {**POLICY["limits"], **ONLY_DAY, "minute": MINUTE}},
    "default": POLICY,
}
GUESSING = {
    "login": {**POLICY, "guesses": {"delays": {"after": 100}, "amount": 6, "window": "24h"}},
    "news": {**POLICY, "guesses": {"delays": {"after": 100}, "amount": 2, "window": "1m"}},
    "default": POLICY,
}


async def sends_allowed_to_login(world: World) -> int:
    """How many messages `login` gets through in an hour to one number, with a start of `news` slipped in between."""
    passed = 0
    for _ in range(20):
        for purpose in ("news", "login"):
            world.clock.forward(90)
            try:
                await world.start(purpose=purpose)
                passed += purpose == "login"
            except Limited:
                continue
    return passed


async def guesses_allowed_at_login(world: World) -> int:
    """How many wrong codes of `login` are looked at in an hour, with one of `news` slipped in between."""
    evaluated = 0
    for _ in range(12):
        world.clock.forward(90)
        try:
            news, login = await world.start(purpose="news"), await world.start(purpose="login")
        except Limited:
            break
        await world.check(news, world.wrong(news))
        evaluated += (await world.check(login, world.wrong(login))).verdict == "wrong"
    return evaluated


def forgetful(world: World) -> World:
    """The planted bug: each start makes the counter remember only what its own policy looks at."""
    setup = replace(world.setup)
    object.__setattr__(setup, "reach", Reach({}, (1, 1)))
    world.wire(setup)
    return world


async def test_a_policy_that_looks_back_a_minute_does_not_shorten_anothers_day(worlds: Worlds) -> None:
    assert 1 <= await sends_allowed_to_login(worlds(policies=SENDING)) <= 4


async def test_a_counter_that_each_policy_trims_lets_many_more_through(worlds: Worlds) -> None:
    assert await sends_allowed_to_login(forgetful(worlds(policies=SENDING))) > 4


async def test_guesses_under_a_lenient_policy_do_not_empty_a_strict_ones_budget(worlds: Worlds) -> None:
    assert 2 <= await guesses_allowed_at_login(worlds(policies=GUESSING)) <= 6


async def test_a_budget_that_each_policy_trims_is_emptied(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    def own(_setup: Any, decision: Any, counter: str) -> dict[str, object]:
        amount, window = decision.guesses.amount, decision.guesses.window
        return {"g": counter, "y": amount, "z": window, "o": amount, "u": window}

    monkeypatch.setattr(drafting, "_budget", own)
    assert await guesses_allowed_at_login(worlds(policies=GUESSING)) > 6
