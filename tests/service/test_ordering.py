"""The order of a verification's providers: by weight, by what is known of them, less those that are off."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import ErrorClass, SendError
from gateway.guard.judge import Judge, Way
from gateway.guard.standing import Terms
from gateway.service.ordering import Chance, weighted
from gateway.service.requests import Denied
from gateway.store.switches import Off
from tests.service.conftest import Worlds
from tests.support.world import EMAIL, POLICY, World

SHARES = (("old", 90), ("new", 10))


def first(shares: tuple[tuple[str, int], ...], number: int) -> str:
    return weighted(shares, Chance(f"ver_{number} 0"))[0]


def step(**how: Any) -> dict[str, Any]:
    """The policy of the tests with its first step so."""
    return {**POLICY, "fallback": [{"channel": "sms", "wait": "30s", **how}, *POLICY["fallback"][1:]]}


# By weight


def test_the_shares_come_out_as_they_are_written() -> None:
    counted = Counter(first(SHARES, number) for number in range(20_000))
    assert 0.095 < counted["new"] / counted.total() < 0.105


def test_one_verification_always_has_one_order() -> None:
    assert len({weighted(SHARES, Chance("ver_x 0")) for _ in range(10)}) == 1
    assert len({first(SHARES, number) for number in range(100)}) == 2


def test_a_changed_weight_moves_verifications_one_way_only() -> None:
    moves = Counter((first(SHARES, n), first((("old", 80), ("new", 20)), n)) for n in range(5_000))
    assert moves["new", "old"] == 0
    assert 400 < moves["old", "new"] < 600


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 100)), unique_by=lambda share: share[0]))
def test_nobody_is_lost_and_who_has_no_share_comes_last_as_written(shares: list[tuple[str, int]]) -> None:
    order = weighted(tuple(shares), Chance("ver_x 0"))
    without = [provider for provider, weight in shares if not weight]
    assert sorted(order) == sorted(provider for provider, _ in shares)
    assert list(order[len(order) - len(without) :]) == without


async def test_a_weighted_step_sends_by_its_weights_and_says_so(worlds: Worlds) -> None:
    world = worlds(policies={"default": step(order="weighted", weights={"one": 0, "two": 7})})
    v = await world.start()
    assert [attempt.provider for attempt in v.attempts] == ["two"]
    assert v.steps[0].providers == ("two", "one")
    told = "sms: two, one: weighted one 0, two 7"
    events = await world.verifications.events("shop", v.id)
    assert [(e["event"], e.get("reason")) for e in events][:3] == [
        ("created", None),
        ("ordered", told),
        ("queued", None),
    ]
    line = next(line for line in world.logged if line["event"] == "verification.started")
    assert f"order: {told}" in line["notes"]


async def test_a_fixed_order_that_nothing_has_changed_needs_no_explanation(world: World) -> None:
    v = await world.start()
    assert [event["event"] for event in await world.verifications.events("shop", v.id)] == ["created", "queued", "sent"]


# By what is known


def judging(world: World, *bad: str) -> Judge:
    """A judge that has heard of sixty messages of each provider, and of these providers that none arrived."""
    judge = Judge(replace(Terms(), exploration=0), world.setup.metrics, world.setup.log)
    world.wire(replace(world.setup, judge=judge))
    for provider in ("one", "two"):
        for second in range(60):
            judge.delivered(Way(provider, "sms", "1"), world.clock.now - 60_000 + second * 1000, provider not in bad)
    return judge


async def test_a_bad_provider_is_behind_in_a_fixed_order_and_the_journal_says_why(world: World) -> None:
    judging(world, "one")
    v = await world.start()
    assert v.current.provider == "two"
    events = await world.verifications.events("shop", v.id)
    assert events[1]["reason"].startswith("sms: two, one: one is behind for delivery 0% of ")
    assert world.metric("otp_provider_bad", provider="one", channel="sms") == 1
    assert world.metric("otp_provider_bad", provider="two", channel="sms") == 0
    assert world.metric("otp_provider_share", provider="one", measure="delivery") == 0
    judged = next(line for line in world.logged if line["event"] == "provider.judged")
    assert (judged["provider"], judged["channel"], judged["zone"], judged["state"]) == ("one", "sms", "1", "bad")


async def test_a_bad_provider_is_still_there_when_the_other_is_at_fault(world: World) -> None:
    judging(world, "one")
    world.two.scripts.append(SendError(ErrorClass.PROVIDER_DOWN))
    v = await world.start()
    assert [attempt.provider for attempt in v.attempts] == ["two", "one"]


async def test_when_all_are_bad_each_is_where_it_was(world: World) -> None:
    judging(world, "one", "two")
    v = await world.start()
    assert v.current.provider == "one"


async def test_a_provider_that_is_bad_at_sms_is_not_bad_at_email(world: World) -> None:
    judging(world, "one")
    v = await world.start(phone=None, email=EMAIL)
    assert v.current.provider == "one"


# Switched off


def switch_off(world: World, *names: str) -> None:
    world.setup.switches.off = {name: Off(world.clock.now) for name in names}


async def test_what_is_off_is_not_tried_and_the_journal_says_so(world: World) -> None:
    switch_off(world, "one")
    v = await world.start()
    assert (v.current.provider, v.steps[0].providers) == ("two", ("two",))
    assert (await world.verifications.events("shop", v.id))[1]["reason"] == "switched off: one"


async def test_a_channel_whose_providers_are_all_off_is_passed_over(worlds: Worlds) -> None:
    world = worlds(orders={"sms": ("one",), "voice": ("two",), "email": ("two",)})
    switch_off(world, "one")
    v = await world.start()
    assert [taken.channel for taken in v.steps] == ["voice"]
    assert v.current.channel == "voice"


async def test_with_everything_off_a_start_is_refused_and_costs_no_limit(world: World) -> None:
    switch_off(world, "one", "two")
    with pytest.raises(Denied) as refused:
        await world.begin()
    assert (refused.value.code, refused.value.rule) == ("no_channel", "route")
    assert await world.client.keys(f"{world.prefix}:*") == []
    line = next(line for line in world.logged if line["event"] == "verification.refused")
    assert "order: switched off: one, two" in line["notes"]


async def test_what_is_switched_off_later_is_passed_over_by_the_fallback(world: World) -> None:
    v = await world.start()
    switch_off(world, "one")
    await world.after(30)
    v = await world.verifications.read("shop", v.id)
    assert [(a.channel, a.provider, a.vendor_code) for a in v.attempts][1:] == [
        ("voice", "one", "switched-off"),
        ("voice", "two", ""),
    ]
    assert len(world.one.sent) == 1


async def test_reports_of_what_is_off_are_still_read(world: World) -> None:
    v = await world.start()
    switch_off(world, "one")
    await world.report(v, 1, "delivered")
    assert (await world.verifications.read("shop", v.id)).current.status == "delivered"


async def test_a_provider_whose_breaker_is_open_is_tried_when_the_other_is_off(world: World) -> None:
    v = await world.start()
    switch_off(world, "two")
    insisted: list[bool] = []

    class Open:
        """A carrier behind an open breaker."""

        prices = False

        def refuses(self, message: object) -> bool:
            return True

        async def send(self, message: Any, *, insist: bool = False) -> Any:
            insisted.append(insist)
            return await world.one.send(message)

    world.wire(replace(world.setup, carriers={"one": Open(), "two": world.two}))
    await world.verifications.resend("shop", v.id, "sms")
    await world.settle()
    assert insisted == [True]


async def test_the_shares_of_the_others_stay_when_one_is_off(worlds: Worlds) -> None:
    world = worlds(policies={"default": step(order="weighted", weights={"one": 99, "two": 1})})
    switch_off(world, "one")
    v = await world.start()
    assert v.steps[0].providers == ("two",)
