"""What verifications have in common is taken from whoever came first, and every other comes back as it was drafted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.core.model import Verification
from gateway.service.planning import Plan
from gateway.store.terms import Terms, terms_of
from policies.model import Step
from tests.support.world import CHANNELS, EMAIL, PHONE, POLICY, World

Worlds = Callable[..., World]
WEIGHED = {"wait": "30s", "order": "weighted", "weights": {"one": 1, "two": 1}}
POLICIES: dict[str, dict[str, Any]] = {
    "default": {**POLICY, "spend": {"caps": {"app-day": {"amount": "5 USD"}, "country-day": None}}},
    "both": {**POLICY, "code": {"cooldown": "30s", "resend": "new"}, "suppression": {"opted_out": "refuse"}},
    "weighted": {**POLICY, "fallback": [{"channel": "sms", **WEIGHED}, {"channel": "email", **WEIGHED}]},
    "quiet": {**POLICY, "quiet_hours": {"channels": ["voice"]}},
}
MORNING = datetime(2026, 1, 5, 9, tzinfo=UTC)
WHOM = (
    {"phone": PHONE},
    {"phone": "+14155550177", "metadata": {"order": "A-17"}},
    {"phone": "+447400123456", "locale": "de"},
    {"email": EMAIL},
    {"phone": "+14155550188", "email": "bo@example.org"},
)


async def drafted(world: World) -> list[Verification]:
    """Every kind of start: of several policies, to several people, in the day and at night, with a provider or without
    it, and to a test destination."""
    await world.store.off.add("one")
    await world.setup.switches.refresh(world.setup)
    made = [(await world.begin(purpose=name, **WHOM[0])).verification for name in POLICIES]
    await world.store.off.remove("one")
    await world.setup.switches.refresh(world.setup)
    world.clock.forward(31)
    made += [(await world.begin(purpose=name, **to)).verification for name in POLICIES for to in WHOM]
    world.clock.forward(14 * 3_600)
    made += [(await world.begin(purpose=name, **WHOM[2])).verification for name in POLICIES]
    world.wire(replace(world.setup, test_codes={PHONE: "271828"}))
    made.append((await world.begin(**WHOM[0])).verification)
    await world.settle()
    return made


async def altered(worlds: Worlds) -> list[str]:
    """The policies of those that another process reads as something else than what was drafted."""
    world = worlds(policies=POLICIES, orders=dict.fromkeys(CHANNELS, ("two", "one")))
    world.clock.now = int(MORNING.timestamp() * 1000)
    made = await drafted(world)
    world.store._reader._known.clear()
    found = []
    for v in made:
        read = await world.verifications.read("shop", v.id)
        kept = {name: getattr(read, name) for name in ("version", "attempts", "status", "ended_at", "exhausted")}
        if read != v._replace(**kept, steps=tuple(map(in_order, v.steps))):
            found.append(v.policy)
    return found


def in_order(step: Step) -> Step:
    """A step as it is kept: once the order is found, it is fixed."""
    return step._replace(order="fixed", weights=())


async def test_each_comes_back_as_it_was_drafted(worlds: Worlds) -> None:
    assert await altered(worlds) == []


async def test_few_terms_serve_many(worlds: Worlds) -> None:
    world = worlds(policies=POLICIES)
    for number in range(30):
        await world.start(purpose="weighted", phone=f"+141555501{number:02}", ip=f"203.0.113.{number}")
    (plan,) = world.verifications._plans._known.values()
    assert len(plan.terms) > 1
    assert len(set(map(id, plan.terms.values()))) == 1, "of plans a process has up to 2,048"
    terms = {key.rpartition(b":")[2] async for key in world.client.scan_iter(f"{world.prefix}:*:t:*")}
    assert len(terms) == 1


async def test_a_night_has_terms_for_all_who_start_in_it(worlds: Worlds) -> None:
    """When a step is silent is not counted from the moment of the start."""
    world = worlds(policies=POLICIES)
    world.clock.now = int(MORNING.timestamp() * 1000)
    world.clock.forward(12 * 3_600 - 120)
    for number in range(9):
        begun = await world.begin(purpose="quiet", phone=f"+4474001234{number:02}", ip=f"203.0.113.{number}")
        assert any(step.quiet for step in begun.verification.steps)
        world.clock.forward(1)
    terms = {key.rpartition(b":")[2] async for key in world.client.scan_iter(f"{world.prefix}:*:t:*")}
    assert len(terms) == 1


async def test_a_plan_that_knew_no_other_ways_is_caught(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug."""
    first: dict[Plan, Terms] = {}
    monkeypatch.setattr(Plan, "terms_of", lambda plan, v: first.setdefault(plan, terms_of(v)))
    with pytest.raises(ValueError, match="not in tuple"):
        await altered(worlds)
