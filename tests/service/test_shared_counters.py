"""Policies share counters. None of them may make another forget, and each has a twin in which one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.service import planning
from gateway.service.requests import Limited
from gateway.service.setup import Reach
from tests.support.world import EMAIL, POLICY, World

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
    def own(_setup: Any, guesses: Any) -> dict[str, object]:
        return {"y": guesses.amount, "z": guesses.window, "o": guesses.amount, "u": guesses.window}

    monkeypatch.setattr(planning, "_budget", own)
    assert await guesses_allowed_at_login(worlds(policies=GUESSING)) > 6


ANYONE = {"per": "destination", "amount": 6, "window": "1h", "counts": "sends", "scope": "all"}
ASKED = {"per": "destination", "amount": 6, "window": "1h", "scope": "app"}


def over_one_mailbox(limit: dict[str, Any]) -> dict[str, Any]:
    """A policy whose only limit on a destination is this one."""
    others = dict.fromkeys(("destination-10m", "destination-day", "destination-anyone-hour", "prefix-hour"))
    return {"default": {**POLICY, "limits": {**POLICY["limits"], **others, "mailbox": limit}}}


async def mail_behind_many_numbers(world: World) -> int:
    """How much mail one mailbox gets in an hour that is named beside a new number each time, by resends."""
    refusals: set[str] = set()
    for number in range(10):
        try:
            v = await world.start(phone=f"+1415555{number:04d}", email=EMAIL)
            for _ in range(3):
                world.clock.forward(6)
                await world.verifications.resend("shop", v.id, "email")
        except Limited as refused:
            refusals.add(refused.limit)
        await world.settle()
    assert refusals <= {"mailbox"}
    return sum(message.to == EMAIL for message in world.sent)


@pytest.mark.parametrize("limit", [ANYONE, ASKED])
async def test_mail_to_a_second_address_is_counted_where_it_goes(worlds: Worlds, limit: dict[str, Any]) -> None:
    assert 1 <= await mail_behind_many_numbers(worlds(policies=over_one_mailbox(limit))) <= 6


async def test_mail_that_is_counted_at_the_first_address_alone_comes_without_end(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.core.model.SendLimit.counts", lambda limit, _channel: not limit.only)
    assert await mail_behind_many_numbers(worlds(policies=over_one_mailbox(ANYONE))) > 6


async def test_the_fallbacks_mail_to_a_second_address_is_counted_there_too(worlds: Worlds) -> None:
    world = worlds(policies=over_one_mailbox(ANYONE))
    for number in range(10):
        try:
            v = await world.start(phone=f"+1415555{number:04d}", email=EMAIL, channels=("sms", "email"))
        except Limited:
            continue
        await world.after(31)
        world.clock.forward(6)
        await world.verifications.cancel("shop", v.id)
    assert sum(message.to == EMAIL for message in world.sent) == 3  # each start is counted there as well


async def test_a_mailbox_has_one_counter_whether_it_comes_first_or_second(worlds: Worlds) -> None:
    world = worlds(policies=over_one_mailbox(ASKED))
    for number in range(3):
        await world.start(phone=f"+1415555{number:04d}", email=EMAIL, channels=("sms", "email"))
        world.clock.forward(6)
        await world.start(email=EMAIL)
        world.clock.forward(6)
    for to in ({"email": EMAIL}, {"phone": "+14155550099", "email": EMAIL, "channels": ("sms", "email")}):
        with pytest.raises(Limited):
            await world.begin(**to)


async def test_a_mailbox_that_may_have_no_more_does_not_take_away_the_call_after_it(worlds: Worlds) -> None:
    steps = [{"channel": channel, "wait": "30s"} for channel in ("sms", "email", "voice")]
    policy = {**over_one_mailbox({**ANYONE, "amount": 2})["default"], "fallback": steps}
    world = worlds(policies={"default": policy})
    v = await world.start(phone="+14155550199", email=EMAIL)
    await world.start(email=EMAIL)  # and with that it has had its two
    await world.after(31)
    v = await world.verifications.read("shop", v.id)
    assert [(a.channel, str(a.status)) for a in v.attempts] == [("sms", "silent"), ("voice", "sent")]
    assert (v.exhausted, [step.channel for step in v.steps if step.providers]) == (False, ["sms", "email", "voice"])
