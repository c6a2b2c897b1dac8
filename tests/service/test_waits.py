"""How long a person waits: to ask again, longer each time; and to try again, longer with each wrong code."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.service.requests import Limited
from tests.service.conftest import Worlds
from tests.support.world import POLICY, World

GROWING = {"cooldown": "30s", "cooldown_growth": 2, "cooldown_max": "3m", "cooldown_window": "1h"}
DELAYS = {"amount": 20, "window": "24h", "delays": {"after": 3, "first": "30s", "most": "1h"}}


def grown(worlds: Worlds, **code: Any) -> World:
    return worlds(policies={"default": {**POLICY, "code": {**GROWING, **code}}})


async def refused(world: World, id_: str | None) -> Limited:
    """A resend of this verification, or a new start, which must be refused."""
    with pytest.raises(Limited) as caught:
        await (world.verifications.resend("shop", id_, None) if id_ else world.begin())
    return caught.value


async def test_each_ask_waits_twice_as_long_by_resend_or_by_a_new_start(worlds: Worlds) -> None:
    world, waits = grown(worlds), []
    v = await world.start()
    for again in ("resend", "start", "resend", "resend"):
        asked = world.clock.now
        waits.append((v.resend_at - asked) // 1000)
        for way in (v.id, None):
            found = await refused(world, way)
            assert (found.limit, found.wait, found.window) == ("cooldown", v.resend_at - asked, v.resend_at - asked)
        world.clock.now = v.resend_at - 1
        assert (await refused(world, v.id)).wait == 1
        world.clock.now = v.resend_at
        if again == "resend":
            v = await world.verifications.resend("shop", v.id, None)
        else:
            v = await world.start()
        assert v.resend_at == (await world.verifications.read("shop", v.id)).resend_at
        await world.settle()
    assert waits == [30, 60, 120, 180]


async def test_the_wait_shrinks_when_earlier_asks_leave_the_window(worlds: Worlds) -> None:
    world = grown(worlds)
    for pause in (30, 60, 120):
        await world.start()
        world.clock.forward(pause)
    world.clock.forward(3600)
    v = await world.start()
    assert v.resend_at == world.clock.now + 30_000


async def test_the_automatic_fallback_makes_nobody_wait_longer(worlds: Worlds) -> None:
    world = grown(worlds)
    v = await world.start()
    await world.after(31)
    after = await world.verifications.read("shop", v.id)
    assert len(after.attempts) == 2
    assert after.resend_at == v.resend_at


async def test_a_start_elsewhere_makes_the_resend_wait_and_the_refusal_tells_how_long(worlds: Worlds) -> None:
    world = grown(worlds)
    first = await world.start()
    world.clock.forward(30)
    await world.start()
    assert (await refused(world, first.id)).wait == 60_000


async def test_a_repeated_start_hears_the_time_that_the_first_one_heard(worlds: Worlds) -> None:
    world = grown(worlds)
    key = {"idempotency_key": "k", "body": b"same"}
    first = (await world.begin(**key)).verification
    await world.settle()
    world.clock.forward(30)
    await world.verifications.resend("shop", first.id, None)
    assert (await world.begin(**key)).verification.resend_at == first.resend_at


async def test_wrong_codes_delay_the_next_check_and_a_start_is_told_the_same(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "guesses": DELAYS}})
    v = await world.start()
    found = [await world.check(v, world.wrong(v)) for _ in range(3)]
    assert [one.retry_at for one in found] == [None, None, world.clock.now + 30_000]
    early = await world.check(v, world.code(v))
    assert (early.verdict, early.checks_left, early.retry_at) == ("locked", 2, found[-1].retry_at)
    assert (await refused(world, None)).wait == 30_000
    world.clock.forward(30)
    assert (await world.check(v, world.code(v))).verdict == "approved"


async def test_a_delay_is_no_weapon_it_ends_and_one_success_clears_it(worlds: Worlds) -> None:
    """An attacker spends the guesses of a victim's number as fast as the delays let him."""
    world = worlds(policies={"default": {**POLICY, "guesses": DELAYS}})
    longest = 0
    for _ in range(12):
        v = await world.start()
        found = await world.check(v, world.wrong(v))
        wait = (found.retry_at or world.clock.now) - world.clock.now
        longest = max(longest, wait)
        world.clock.now += wait
    assert longest == 3_600_000
    other = await world.start(phone="+14155550199")  # nobody else is touched
    assert (await world.check(other, world.code(other))).verdict == "approved"
    mine = await world.start()
    assert (await world.check(mine, world.code(mine))).verdict == "approved"
    again = await world.start()
    assert (await world.check(again, world.wrong(again))).retry_at is None
