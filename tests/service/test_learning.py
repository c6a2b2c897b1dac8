"""What a verification teaches of its providers: which outcomes count, for whom, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from channels.contract import Cost, ErrorClass, Receipt, SendError
from gateway.guard.judge import Way
from gateway.guard.standing import Terms
from tests.service.conftest import Worlds
from tests.support.world import EMAIL, World

ONE, TWO = Way("one", "sms", "1"), Way("two", "sms", "1")
CALL = Way("one", "voice", "1")


@dataclass
class Pupil:
    """A judge that only writes down what it is told."""

    arrived: list[tuple[Way, bool]] = field(default_factory=list)
    led: list[tuple[Way, bool]] = field(default_factory=list)
    prices: list[tuple[Way, Cost]] = field(default_factory=list)
    terms: Terms = field(default_factory=Terms)
    reporting: bool = True

    def reported(self, way: Way) -> None:
        self.reporting = True

    def reports(self, way: Way) -> bool:
        return self.reporting

    def delivered(self, way: Way, now: int, arrived: bool) -> None:
        self.arrived.append((way, arrived))

    def ended(self, way: Way, queued_at: int, now: int, verified: bool, country: str = "") -> None:
        assert queued_at <= now
        self.led.append((way, verified))

    def paid(self, way: Way, now: int, cost: Cost, country: str = "") -> None:
        self.prices.append((way, cost))

    def bad(self, way: Way, now: int) -> str:
        return ""


def taught(world: World, **how: Any) -> Pupil:
    pupil = Pupil(**how)
    world.wire(replace(world.setup, judge=pupil))
    return pupil


async def test_a_delivered_message_whose_code_is_typed_counts_once_for_each(world: World) -> None:
    pupil = taught(world)
    v = await world.start()
    await world.report(v, 1, "delivered")
    await world.check(v, world.code(v))
    assert (pupil.arrived, pupil.led) == ([(ONE, True)], [(ONE, True)])


async def test_a_report_that_comes_after_the_code_counts_once(world: World) -> None:
    pupil = taught(world)
    v = await world.start()
    await world.check(v, world.code(v))
    await world.report(v, 1, "delivered")
    assert (pupil.arrived, pupil.led) == ([(ONE, True)], [(ONE, True)])


async def test_silence_counts_against_and_a_late_report_does_not_make_up_for_it(world: World) -> None:
    pupil = taught(world)
    v = await world.start()
    await world.after(30)
    await world.report(v, 1, "delivered")
    assert pupil.arrived == [(ONE, False)]


async def test_the_code_is_credited_to_the_newest_message_that_did_not_fail(world: World) -> None:
    pupil = taught(world)
    v = await world.start()
    await world.after(30)
    await world.check(v, world.code(v))
    assert pupil.led == [(ONE, False), (CALL, True)]
    assert pupil.arrived == [(ONE, False), (CALL, True)]


async def test_a_code_typed_while_the_next_call_failed_is_the_messages(world: World) -> None:
    pupil = taught(world)
    v = await world.start()
    world.one.scripts.append(SendError(ErrorClass.NO_CHANNEL))
    await world.after(30)
    await world.check(v, world.code(v))
    assert pupil.led == [(ONE, True)]


async def test_a_verification_that_runs_out_was_led_to_by_nobody(world: World) -> None:
    pupil = taught(world)
    v = await world.start()
    await world.report(v, 1, "delivered")
    await world.after(600)
    assert (pupil.arrived, pupil.led) == ([(ONE, True)], [(ONE, False)])


async def test_what_the_app_cancels_says_nothing(world: World) -> None:
    pupil = taught(world)
    v = await world.start()
    await world.verifications.cancel("shop", v.id)
    assert pupil.led == []


@pytest.mark.parametrize(
    ("report", "arrived", "led"),
    [
        ("failed:unknown", [(ONE, False)], [(ONE, False)]),
        ("failed:bad_destination", [], []),  # nobody could have brought it
        ("failed:no_channel", [], []),
        ("failed:fraud", [], []),
        ("failed:throttled", [], [(ONE, False)]),  # the breaker's business, but it cost a message
    ],
)
async def test_a_reported_failure_counts_when_another_provider_might_have_brought_it(
    worlds: Worlds, report: str, arrived: list[Any], led: list[Any]
) -> None:
    world = worlds()
    pupil = taught(world)
    v = await world.start()
    await world.report(v, 1, report)
    assert pupil.arrived == arrived
    world.clock.forward(600)
    for _ in range(3):
        await world.after(0)
    assert [taught for taught in pupil.led if taught[0] == ONE] == led


async def test_what_a_provider_refused_at_once_never_was_its_message(world: World) -> None:
    pupil = taught(world)
    world.one.scripts.append(SendError(ErrorClass.PROVIDER_DOWN))
    v = await world.start()
    await world.check(v, world.code(v))
    assert (pupil.arrived, pupil.led) == ([(TWO, True)], [(TWO, True)])


async def test_silence_counts_from_the_first_report_on(world: World) -> None:
    pupil = taught(world, reporting=False)
    for reported in (False, True):
        v = await world.start()
        if reported:
            await world.report(v, 1, "delivered")
        v = await world.start()
        await world.after(30)
        assert ((ONE, False) in pupil.arrived) is reported


async def test_the_silence_of_a_vendor_whose_reports_never_come_says_nothing(world: World) -> None:
    pupil = taught(world, reporting=False)
    v = await world.start(phone=None, email=EMAIL)
    await world.after(60)
    await world.check(v, world.code(v))
    assert pupil.arrived == []
    assert pupil.led[-1] == (Way(v.current.provider, "email", ""), True)


async def test_a_price_is_learned_with_its_currency(world: World) -> None:
    pupil = taught(world)
    world.one.scripts.append(Receipt("id", Cost(7_900, "USD")))
    await world.start()
    assert pupil.prices == [(ONE, Cost(7_900, "USD"))]


async def test_british_messages_are_another_zone(worlds: Worlds) -> None:
    world = worlds()
    pupil = taught(world)
    v = await world.start(phone="+447400123456")
    await world.check(v, world.code(v))
    assert pupil.led == [(Way("one", "sms", "4"), True)]
