"""Plans: what starts have in common is worked out once, and holds no more than what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.service import planning
from gateway.service.planning import Plan, Plans
from gateway.service.requests import Limited
from policies.destination import email, phone
from policies.engine import decide
from policies.model import Decision, Question
from tests.support.world import EMAIL, PHONE, POLICY, World

Worlds = Callable[..., World]
HOURLY = {"app-day": {"per": "app", "amount": "1 USD", "window": "hour"}, "country-day": None, "whole-month": None}
BOTH = {
    **POLICY,
    "fallback": [{"channel": "sms", "wait": "30s"}, {"channel": "email", "wait": "30s"}],
    "code": {"cooldown": "30s"},
}


def decision(world: World, **more: Any) -> Decision:
    question = Question("shop", "default", phone(PHONE), email(EMAIL), **more)
    return decide(world.setup.policies["default"], question)


def test_people_in_the_same_circumstances_share_a_plan_and_others_have_another(worlds: Worlds) -> None:
    world = worlds()
    plans = Plans(world.setup)
    one = plans.of("shop", decision(world, ip="203.0.113.7"))
    assert plans.of("shop", decision(world, ip="203.0.113.8")) is one
    assert plans.of("shop", decision(world)) is not one  # who names no client


def test_no_more_plans_are_kept_than_there_is_room_for(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_KEPT", 10)
    world = worlds()
    plans = Plans(world.setup)
    for times in range(1, 30):
        plans.of("shop", decision(world, stretch=times))
    assert len(plans._known) == 10


async def test_a_plan_that_is_older_than_the_hour_draws_on_the_purse_of_this_hour(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "spend": {"caps": HOURLY}}})
    await world.start()
    world.clock.forward(3_600)
    await world.start()
    assert len(await purses(world)) == 2


async def test_a_plan_that_kept_its_purses_for_ever_is_caught(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug."""
    first = Plan.purses_at

    def once(self: Plan, setup: Any, found: Decision, now: int) -> Any:
        return self.purses or first(self, setup, found, now)

    monkeypatch.setattr(Plan, "purses_at", once)
    world = worlds(policies={"default": {**POLICY, "spend": {"caps": HOURLY}}})
    await world.start()
    world.clock.forward(3_600)
    await world.start()
    assert len(await purses(world)) == 1


async def purses(world: World) -> set[bytes]:
    return {key async for key in world.client.scan_iter(f"{world.prefix}:*:p:*")}


def less(found: Decision) -> Decision:
    """The decision where a switch has taken the SMS away."""
    return found._replace(steps=found.steps[1:])


def test_the_cooldown_is_of_whom_the_first_message_goes_to_whatever_was_switched_off(worlds: Worlds) -> None:
    world = worlds(policies={"default": BOTH})
    plans, found = Plans(world.setup), decision(world)
    whole, rest = plans.of("shop", found), plans.of("shop", less(found))
    assert [cooled(plan) for plan in (whole, rest, plans.of("shop", found))] == ["phone", "email", "phone"]


def cooled(plan: Plan) -> str:
    """Whose address it is counted by."""
    (key,) = [key for key, limits in zip(plan.keys, plan.limits, strict=True) for x in limits if x.waits]
    one = {"phone": PHONE, "email": EMAIL}
    (own,) = [kind for kind in one if key({**one, kind: "another"}) != key(one)]
    return own


async def test_the_limit_that_is_told_is_the_one_that_refused(worlds: Worlds) -> None:
    """Counters go to the store in one order, and their limits are told by it."""
    limits = {
        "twice": {"per": "destination", "amount": 2, "window": "1h"},
        "roomy": {"per": "destination", "amount": 90, "window": "1h", "counts": "sends"},
        "thrice": {"per": "ip", "amount": 3, "window": "1h"},
        "tenfold": {"per": "destination", "amount": 10, "window": "24h"},
    }
    world = worlds(policies={"default": {**POLICY, "code": {"cooldown": "0s"}, "limits": limits}})
    for number in (PHONE, PHONE, "+14155550177"):
        await world.start(phone=number, ip="203.0.113.7")
    for number, name in ((PHONE, "twice"), ("+14155550178", "thrice")):
        with pytest.raises(Limited) as refused:
            await world.start(phone=number, ip="203.0.113.7" if name == "thrice" else "203.0.113.9")
        assert refused.value.limit == name
