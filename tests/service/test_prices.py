"""Prices that a vendor tells only when it is asked: when it is, how often, and that nothing waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from channels.contract import Callback, Cost, DeliveryReport, ErrorClass, Outcome, ReportKind, SendError
from gateway.guard import Guarded
from gateway.service import prices as module
from gateway.service.unpriced import WAITS, Agenda, Unpriced
from tests.channels.test_twilio import provider as twilio
from tests.support.world import FakeCarrier, World
from tests.vendors import twilio as vendor_twilio
from tests.vendors.server import Vendor

CENT = Cost(10_000, "USD")
FIRST, SECOND, THIRD = (wait / 1000 for wait in WAITS)
Told = Cost | SendError | Exception | None | Callable[[], Awaitable[Cost | None]]


@dataclass
class Reticent(FakeCarrier):
    """A vendor that tells prices when it is asked: what it is told to say, and then a cent."""

    tells: list[Told] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    prices = True

    async def price(self, message_id: str) -> Cost | None:
        self.asked.append(message_id)
        told = self.tells.pop(0) if self.tells else CENT
        if isinstance(told, Exception):
            raise told
        return await told() if callable(told) else told


@pytest.fixture
def vendor(world: World) -> Reticent:
    return reticent(world)


def reticent(world: World, *tells: Told) -> Reticent:
    carrier = Reticent("one", tells=list(tells))
    world.one = carrier
    world.wire(replace(world.setup, carriers={"one": carrier, "two": world.two}))
    return carrier


async def later(world: World, seconds: float) -> None:
    world.clock.forward(seconds)
    await world.prices.tick()


def spent(world: World) -> float:
    return world.metric("otp_cost_micros_total", provider="one", currency="USD")


def results(world: World) -> dict[str, float]:
    names = ("found", "unknown", "failed", "refused", "dropped")
    counted = {name: world.metric("otp_price_lookups_total", provider="one", result=name) for name in names}
    return {name: number for name, number in counted.items() if number}


# --- when it is asked ---


async def test_the_price_is_asked_for_some_time_after_the_delivery_and_counted_once(
    world: World, vendor: Reticent
) -> None:
    v = await world.start()
    await later(world, 5)
    assert vendor.asked == [], "not delivered"
    await world.report(v, 1, "delivered")
    await later(world, FIRST - 1)
    assert vendor.asked == [], "too early"
    for _ in range(3):
        await later(world, THIRD)
    assert vendor.asked == [v.attempts[0].message_id]
    assert (spent(world), results(world)) == (10_000, {"found": 1})
    assert (await world.verifications.read("shop", v.id)).attempts[0].cost == CENT


async def test_a_message_that_failed_after_it_was_taken_is_billed_and_asked_for(world: World, vendor: Reticent) -> None:
    v = await world.start()
    await world.report(v, 1, "failed:temporary")
    await later(world, FIRST)
    assert vendor.asked == [v.attempts[0].message_id]


async def test_a_message_that_was_refused_costs_nothing_and_is_not_asked_for(world: World, vendor: Reticent) -> None:
    vendor.scripts = [SendError(ErrorClass.TEMPORARY, "x")]
    await world.start()
    await later(world, THIRD)
    assert vendor.asked == []


async def test_silence_and_a_late_delivery_are_asked_for_once(world: World, vendor: Reticent) -> None:
    v = await world.start()
    await world.after(31)
    await world.report(v, 1, "delivered")
    await later(world, FIRST)
    await later(world, SECOND)
    assert vendor.asked.count(v.attempts[0].message_id) == 1


async def test_after_the_end_of_a_verification_its_price_is_still_written_down(world: World, vendor: Reticent) -> None:
    v = await world.start()
    await world.check(v, world.code(v))
    await world.report(v, 1, "delivered")
    await later(world, FIRST)
    assert spent(world) == 10_000


async def test_a_price_that_a_report_named_is_not_asked_for(world: World) -> None:
    class Talkative(Reticent):
        def read(self, callback: Callback) -> Outcome:
            return Outcome((DeliveryReport(ReportKind.DELIVERED, cost=CENT),))

    vendor = Talkative("one")
    world.one = vendor
    world.wire(replace(world.setup, carriers={"one": vendor, "two": world.two}))
    await world.report(await world.start(), 1, "delivered")
    await later(world, THIRD)
    assert (vendor.asked, spent(world)) == ([], 10_000)


async def test_a_vendor_that_has_no_prices_to_tell_is_not_asked(world: World) -> None:
    await world.report(await world.start(), 1, "delivered")
    assert len(world.engine.unpriced) == 0


# --- how often ---


async def test_a_price_that_is_not_known_yet_is_asked_for_again_and_then_no_more(world: World) -> None:
    vendor = reticent(world, *[None] * 9)
    await world.report(await world.start(), 1, "delivered")
    asked = []
    for wait in (FIRST, SECOND - 1, 1, THIRD - 1, 1, 86_400):
        await later(world, wait)
        asked.append(len(vendor.asked))
    assert asked == [1, 1, 2, 2, 3, 3]
    assert (results(world), len(world.engine.unpriced)) == ({"unknown": 1}, 0)


async def test_a_fault_is_tried_again(world: World) -> None:
    vendor = reticent(world, SendError(ErrorClass.PROVIDER_DOWN, "timeout"), None)
    await world.report(await world.start(), 1, "delivered")
    for wait in (FIRST, SECOND, THIRD):
        await later(world, wait)
    assert (len(vendor.asked), spent(world), results(world)) == (3, 10_000, {"found": 1})


@pytest.mark.parametrize(
    "told", [SendError(ErrorClass.PROVIDER_ACCOUNT, "401"), SendError(ErrorClass.REQUEST_BUG, "20404"), KeyError("x")]
)
async def test_where_the_next_time_is_no_better_there_is_none(world: World, told: Exception) -> None:
    vendor = reticent(world, told)
    await world.report(await world.start(), 1, "delivered")
    for wait in (FIRST, SECOND, THIRD):
        await later(world, wait)
    assert (len(vendor.asked), results(world), len(world.engine.unpriced)) == (1, {"refused": 1}, 0)


# --- what it may not do ---


def agenda(most: int, number: int) -> Agenda:
    made = Agenda(most)
    for each in range(number):
        made.add(Unpriced(f"ver_{each}", 1, "one", "m"), 0)
    return made


def test_no_more_wait_than_there_is_room_for() -> None:
    full = agenda(3, 10)
    assert (len(full), len(full.due(WAITS[0], 100))) == (3, 3)
    assert not full.add(Unpriced("ver_x", 1, "one", "m"), 0), "those that are being asked for have their room"
    full.done(Unpriced("ver_0", 1, "one", "m"))
    assert full.add(Unpriced("ver_x", 1, "one", "m"), 0)


def test_an_agenda_that_forgets_what_it_hands_out_grows_and_is_noticed() -> None:
    class Forgetful(Agenda):
        def due(self, now: int, room: int) -> list[Unpriced]:
            found = super().due(now, room)
            for item in found:
                self.done(item)
            return found

    loose = Forgetful(3)
    under_way = []
    for each in range(9):
        loose.add(Unpriced(f"ver_{each}", 1, "one", "m"), 0)
        under_way += loose.due(WAITS[0], 100)
    assert len(under_way) == 9, "more than three are held at once"


async def test_a_price_without_room_is_lost_and_counted(world: World, vendor: Reticent) -> None:
    world.engine.unpriced = Agenda(1)
    for number in (3, 4):
        await world.report(await world.start(phone=f"+1415555012{number}"), 1, "delivered")
    await later(world, FIRST)
    assert (len(vendor.asked), results(world)) == (1, {"found": 1, "dropped": 1})


async def test_a_vendor_that_keeps_its_prices_waiting_holds_up_no_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROOM", 2)
    stall = asyncio.Event()

    async def wait() -> Cost | None:
        await stall.wait()
        return CENT

    vendor = reticent(world, *[wait] * 3)
    for number in (3, 4, 5):
        await world.report(await world.start(phone=f"+1415555012{number}"), 1, "delivered")
    world.clock.forward(FIRST)
    for _ in range(2):
        world.prices._begin()
        await asyncio.sleep(0)
    assert len(vendor.asked) == 2, "as many at once as there is room for"
    assert (await world.start(phone="+14155550126")).current.status == "sent"
    stall.set()
    await world.prices.ended()
    await later(world, 0)
    assert spent(world) == 30_000


async def test_a_provider_that_a_reload_took_away_is_not_asked(world: World, vendor: Reticent) -> None:
    await world.report(await world.start(), 1, "delivered")
    world.prices.adopt(replace(world.setup, carriers={"two": world.two}))
    await later(world, FIRST)
    assert (vendor.asked, len(world.engine.unpriced)) == ([], 0)


async def test_at_the_end_nothing_is_waited_for(world: World) -> None:
    asked = asyncio.Event()

    async def never() -> Cost | None:
        asked.set()
        return await asyncio.get_running_loop().create_future()

    reticent(world, never)
    await world.report(await world.start(), 1, "delivered")
    world.clock.forward(FIRST)
    running = asyncio.create_task(world.prices.run())
    await asked.wait()
    async with asyncio.timeout(1):
        await world.prices.close()
    world.prices._begin()
    assert not world.prices._tasks
    running.cancel()


# --- Twilio ---


@pytest.fixture
async def line(world: World) -> AsyncIterator[Vendor]:
    """Twilio behind the gateway's first provider."""
    async with Vendor(vendor_twilio.accept) as vendor:
        built = twilio(vendor, whatsapp_content_sid=None, from_whatsapp=None)
        guarded = Guarded(built, "one", concurrency=8, timeout=5, metrics=world.setup.metrics)
        world.wire(replace(world.setup, carriers={"one": guarded, "two": world.two}))
        yield vendor
        await guarded.close()


async def delivered(world: World, vendor: Vendor) -> None:
    """Start one, and have Twilio report the delivery to the address that it was given."""
    await world.start()
    url = dict(vendor.received[-1].form)["StatusCallback"]
    fields = vendor_twilio.message_fields("delivered")
    await world.reports.take("one", url.rpartition("/")[2], vendor_twilio.callback(url, fields))


async def test_twilio_is_asked_for_its_price_until_it_has_one(world: World, line: Vendor) -> None:
    await delivered(world, line)
    line.replies.append(vendor_twilio.resource(line.received[-1], None))
    for wait in (FIRST, SECOND, THIRD):
        await later(world, wait)
    asked = [(each.method, each.path) for each in line.received[1:]]
    path = f"/2010-04-01/Accounts/{vendor_twilio.ACCOUNT}/Messages/{vendor_twilio.MESSAGE}.json"
    assert asked == [("GET", path)] * 2
    assert (spent(world), results(world)) == (7_500, {"found": 1})


async def test_a_key_that_may_only_send_is_not_asked_with_twice(world: World, line: Vendor) -> None:
    await delivered(world, line)
    line.replies.append(vendor_twilio.refuse(401, 20003))
    for wait in (FIRST, SECOND, THIRD):
        await later(world, wait)
    assert (len(line.received), results(world)) == (2, {"refused": 1})
