"""Money in the engine: reserved before the send, settled by what became of it, and a cap that holds on every way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from channels.contract import Cost, ErrorClass, Receipt, SendError
from channels.wording.gsm7 import segments
from gateway.core import machine
from gateway.service.requests import Denied
from gateway.store.link import connect
from gateway.store.steps import Unavailable
from gateway.store.valkey import Store
from policies.money import Tariff
from tests.support.world import EMAIL, PHONE, POLICY, World

CENT = 10_000
SMS, CALL = 5 * CENT, 20 * CENT
TARIFF = Tariff(
    "USD",
    {"EUR": Decimal("1.1")},
    {
        ("one", "sms"): {"": SMS, "GB": 4 * CENT},
        ("two", "sms"): {"": 6 * CENT},
        ("one", "voice"): {"": CALL},
        ("two", "voice"): {"": CALL},
    },
)
Worlds = Callable[..., World]


def policy(amount: str = "1 USD", **more: Any) -> dict[str, Any]:
    """One cap on the app's day, and no other."""
    cap = {"per": "app", "amount": amount, "window": "day", **more}
    return {**POLICY, "spend": {"caps": {"app-day": cap, "country-day": None, "whole-month": None}}}


def make(worlds: Worlds, amount: str = "1 USD", tariff: Tariff = TARIFF, **more: Any) -> World:
    return worlds(policies={"default": policy(amount, **more)}, tariff=tariff)


async def spent(world: World) -> int:
    """What the only purse holds."""
    keys = [key async for key in world.client.scan_iter(f"{world.prefix}:*:p:*")]
    assert len(keys) <= 1
    return int(await world.client.hget(keys[0], "s") or 0) if keys else 0  # type: ignore[misc] # sync or async


async def held(world: World, id_: str) -> list[int]:
    return [attempt.held for attempt in (await world.verifications.read("shop", id_)).attempts]


async def test_a_start_reserves_the_price_of_its_message(worlds: Worlds) -> None:
    world = make(worlds)
    v = await world.start()
    assert (await spent(world), await held(world, v.id)) == (SMS, [SMS])
    assert world.metric("otp_spend_micros_total", movement="spent", app="shop") == SMS
    assert world.metric("otp_spend_cap_ratio", policy="default", cap="app-day") == 0.05


async def test_a_country_has_its_own_price(worlds: Worlds) -> None:
    world = make(worlds)
    await world.start(phone="+447400123456")
    assert await spent(world) == 4 * CENT
    assert world.metric("otp_country_spend_micros_total", movement="spent", country="GB") == 4 * CENT


async def test_a_price_that_no_table_names_is_the_policys_worst(worlds: Worlds) -> None:
    world = make(worlds, tariff=Tariff())
    await world.start()
    assert await spent(world) == 500_000


LINE = "Общество с ограниченной ответственностью"


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize(
    ("fields", "least"),
    [
        ({"context": {"amount": "12.50 EUR", "payee": "ACME"}}, 1),
        ({"context": {f"{n} {LINE}"[:40]: LINE for n in range(8)}}, 10),
        ({"context": {"payee": LINE}, "locale": "ru"}, 1),
        ({"context": {"payee": LINE, "from": LINE}, "locale": "ru"}, 2),
        ({"domain": f"{'a' * 60}.{'b' * 60}.{'c' * 60}.example.org"}, 2),
        ({"domain": "shop.example.org", "locale": "hi"}, 1),
    ],
)
async def test_an_sms_that_can_not_be_shortened_is_paid_for_by_its_parts(
    worlds: Worlds, fields: dict[str, Any], least: int, most: int
) -> None:
    world = make(worlds)
    world.wire(replace(world.setup, segments={"sms": most}))
    v = await world.start(**fields)
    sent = segments(world.sent[-1].wording.text)
    assert sent >= least
    assert await held(world, v.id) == [SMS * -(-sent // most)]


async def test_a_long_context_buys_no_more_parts_than_the_cap_pays_for(worlds: Worlds) -> None:
    world, long = make(worlds, amount="1 USD"), {f"{n} {LINE}"[:40]: LINE for n in range(8)}
    await world.start(context=long)
    with pytest.raises(Denied, match="spend_capped"):
        await world.start(phone="+14155550109", context=long)
    parts = [segments(message.wording.text) for message in world.sent]
    assert sum(parts) * SMS == await spent(world) <= 100 * CENT


async def test_a_message_of_many_parts_is_held_to_the_highest_price(worlds: Worlds) -> None:
    spend = {"max_price": "0.40 USD", "caps": dict.fromkeys(("app-day", "country-day", "whole-month"))}
    world = worlds(policies={"default": {**POLICY, "spend": spend}}, tariff=TARIFF)
    v = await world.start(context={f"{n} {LINE}"[:40]: LINE for n in range(8)})
    assert v.current.channel == "voice"


async def test_a_message_that_nobody_took_is_given_back_and_the_next_one_reserved(worlds: Worlds) -> None:
    world = make(worlds)
    world.one.scripts = [SendError(ErrorClass.TEMPORARY, "busy")]
    v = await world.start()
    assert (await spent(world), await held(world, v.id)) == (6 * CENT, [0, 6 * CENT])
    assert world.metric("otp_spend_micros_total", movement="returned") == SMS


async def test_a_message_that_may_have_gone_out_is_kept(worlds: Worlds) -> None:
    world = make(worlds)
    world.one.scripts = [SendError(ErrorClass.PROVIDER_DOWN, "deadline", ambiguous=True)]
    v = await world.start()
    assert (await spent(world), await held(world, v.id)) == (11 * CENT, [SMS, 6 * CENT])


async def test_a_message_that_is_reported_failed_was_paid_for(worlds: Worlds) -> None:
    world = make(worlds)
    v = await world.start()
    await world.report(v, 1, "failed:temporary")
    assert (await spent(world), await held(world, v.id)) == (11 * CENT, [SMS, 6 * CENT])


@pytest.mark.parametrize(("price", "left"), [(2 * CENT, 2 * CENT), (9 * CENT, 9 * CENT)])
async def test_the_vendors_price_takes_the_place_of_the_reserved_one(worlds: Worlds, price: int, left: int) -> None:
    world = make(worlds)
    world.one.scripts = [Receipt("m", Cost(price, "USD"))]
    v = await world.start()
    assert (await spent(world), await held(world, v.id)) == (left, [left])


async def test_a_price_below_nothing_buys_no_other_message(worlds: Worlds) -> None:
    world = make(worlds)
    await world.start()
    world.one.scripts = [Receipt("m", Cost(-100 * CENT, "USD"))]
    await world.start()
    assert await spent(world) == SMS


async def test_a_price_in_another_currency_is_converted(worlds: Worlds) -> None:
    world = make(worlds)
    world.one.scripts = [Receipt("m", Cost(CENT, "EUR"))]
    await world.start()
    assert await spent(world) == 11_000


async def test_a_price_without_a_rate_is_left_aside_and_told(worlds: Worlds) -> None:
    world = make(worlds)
    world.one.scripts = [Receipt("m", Cost(CENT, "XAF"))]
    await world.start()
    assert await spent(world) == SMS
    assert [line["currency"] for line in world.logged if line["event"] == "spend.unrated"] == ["XAF"]


async def test_a_repeated_report_settles_once_and_one_after_the_end_settles_too(worlds: Worlds) -> None:
    world = make(worlds)
    v = await world.start()
    await world.check(v, world.code(v))
    for _ in range(3):
        stored, _now = await world.store.read(v.id)
        await world.engine.turn(stored, machine.Priced(1, Cost(2 * CENT, "USD")))
    assert await spent(world) == 2 * CENT


async def test_reports_that_race_settle_once(worlds: Worlds) -> None:
    """Each was read before any was written: all but the first find the version changed, and nothing left to settle."""
    world = make(worlds)
    v = await world.start()
    stored, _ = await world.store.read(v.id)
    for _ in range(3):
        await world.engine.turn(stored, machine.Delivered(1, Cost(2 * CENT, "USD")))
    assert await spent(world) == 2 * CENT


async def test_a_settlement_belongs_to_the_day_of_the_start(worlds: Worlds) -> None:
    world = make(worlds)
    world.clock.forward(86_399 - world.clock.now // 1000 % 86_400)  # the last second of a day
    v = await world.start()
    world.clock.forward(60)
    await world.report(v, 1, "failed:temporary")
    await world.verifications.resend("shop", v.id, None)
    await world.settle()
    assert await spent(world) == sum(await held(world, v.id))  # one purse, which `spent` insists on


async def test_the_cap_refuses_a_start_with_its_problem_and_sends_nothing(worlds: Worlds) -> None:
    world = make(worlds, "0.12 USD")
    await world.start()
    await world.start()
    with pytest.raises(Denied) as denied:
        await world.start()
    assert (denied.value.code, denied.value.rule) == ("spend_capped", "spend")
    assert (len(world.sent), await spent(world)) == (2, 10 * CENT)
    assert world.metric("otp_refusals_total", rule="spend") == 1
    refused = next(line for line in world.logged if line["event"] == "verification.refused")
    assert (refused["problem"], refused["limit"]) == ("spend_capped", "app-day")


async def test_near_and_reached_are_told_once_a_period(worlds: Worlds) -> None:
    world = make(worlds, "0.11 USD")
    for _ in range(2):
        await world.start()
    for _ in range(3):
        with pytest.raises(Denied):
            await world.start()
    told = [line["event"] for line in world.logged if line["event"].startswith("spend.")]
    assert told == ["spend.near", "spend.reached"]
    events = {
        level: world.metric("otp_spend_cap_events_total", cap="app-day", level=level) for level in ("near", "reached")
    }
    assert events == {"near": 1, "reached": 1}
    world.clock.forward(86_400)
    await world.start()
    assert world.metric("otp_spend_cap_ratio", cap="app-day") == pytest.approx(5 / 11)


async def test_the_cap_ends_the_fallback_and_the_code_stays_good(worlds: Worlds) -> None:
    world = make(worlds, "0.12 USD")
    v = await world.start()
    await world.after(31)  # voice would come now
    v = await world.verifications.read("shop", v.id)
    assert ([a.channel for a in v.attempts], v.exhausted) == (["sms"], True)
    told = await world.verifications.events("shop", v.id)
    assert [event["reason"] for event in told if event["event"] == "exhausted"] == ["cap:app-day"]
    assert (await world.check(v, world.code(v))).verdict == "approved"


async def test_a_cap_that_refuses_the_next_message_still_gives_back_the_one_before(worlds: Worlds) -> None:
    world = make(worlds, "0.05 USD")
    world.one.scripts = [SendError(ErrorClass.TEMPORARY, "busy")]
    v = await world.start()
    assert (await spent(world), await held(world, v.id)) == (0, [0])


async def test_a_person_who_asks_again_is_told_that_the_cap_is_used_up(worlds: Worlds) -> None:
    world = make(worlds, "0.12 USD")
    v = await world.start()
    with pytest.raises(Denied) as denied:
        await world.verifications.resend("shop", v.id, "voice")
    assert denied.value.code == "spend_capped"
    assert (await held(world, v.id), await spent(world)) == ([SMS], SMS)


async def test_where_the_cap_leaves_what_is_free_a_start_goes_by_email(worlds: Worlds) -> None:
    world = make(worlds, "0.05 USD", then="free")
    await world.start()
    v = await world.start(email=EMAIL, phone=PHONE)
    assert [(a.channel, a.held) for a in v.attempts] == [("email", 0)]
    with pytest.raises(Denied) as denied:
        await world.start()
    assert denied.value.code == "spend_capped"
    assert await spent(world) == SMS


async def test_where_the_cap_leaves_what_is_free_the_fallback_goes_on_by_email(worlds: Worlds) -> None:
    world = make(worlds, "0.12 USD", then="free")
    v = await world.start(email=EMAIL, phone=PHONE)
    await world.after(31)
    v = await world.verifications.read("shop", v.id)
    assert [a.channel for a in v.attempts] == ["sms", "email"]
    for _ in range(2):
        await world.verifications.resend("shop", v.id, None)
        await world.settle()
    v = await world.verifications.read("shop", v.id)
    assert [a.channel for a in v.attempts] == ["sms", "email", "sms", "email"], "another SMS is within the cap"
    with pytest.raises(Denied):
        await world.verifications.resend("shop", v.id, "voice")


async def test_where_money_comes_back_what_is_paid_may_go_on_again(worlds: Worlds) -> None:
    world = make(worlds, "0.22 USD", then="free")
    v = await world.start(email=EMAIL, phone=PHONE)
    await world.after(31)
    stored, _ = await world.store.read(v.id)
    await world.engine.turn(stored, machine.Priced(1, Cost(CENT, "USD")))
    await world.verifications.resend("shop", v.id, "voice")
    await world.settle()
    v = await world.verifications.read("shop", v.id)
    assert [a.channel for a in v.attempts] == ["sms", "email", "voice"]
    assert await spent(world) == CENT + CALL


async def test_what_was_spent_in_one_currency_is_no_number_of_another(worlds: Worlds) -> None:
    rupees = Tariff("INR", {"USD": Decimal(80)}, {key: {"": price * 80} for (key, price) in _prices()})
    world = make(worlds, "0.05 USD")
    await world.start()
    other = worlds(
        policies={"default": policy("0.05 USD")}, tariff=rupees, prefix=world.prefix, keys=world.keys, clock=world.clock
    )
    await other.start()
    for full in (world, other):
        with pytest.raises(Denied):
            await full.start()


def _prices() -> list[tuple[tuple[str, str], int]]:
    return [(key, by_country[""]) for key, by_country in TARIFF.prices.items()]


async def test_one_apps_cap_is_not_anothers(worlds: Worlds) -> None:
    world = make(worlds, "0.05 USD")
    await world.start()
    await world.start(app="bank")
    with pytest.raises(Denied):
        await world.start(app="bank")


async def test_policies_of_an_app_draw_on_one_purse(worlds: Worlds) -> None:
    payment = {"extends": "default", "spend": {"caps": {"app-day": {"amount": "0.07 USD"}}}}
    world = worlds(policies={"default": policy("1 USD"), "payment": payment}, tariff=TARIFF)
    await world.start()
    with pytest.raises(Denied):
        await world.start(purpose="payment")
    await world.start()
    assert await spent(world) == 2 * SMS


async def test_a_send_that_another_process_takes_over_is_charged_again(worlds: Worlds) -> None:
    """The first may have gone out: what was spent is over-counted, and never under-counted."""
    world = make(worlds)
    begun = await world.begin()
    for task in list(world.engine._tasks):
        task.cancel()
    await world.after(16)
    v = await world.verifications.read("shop", begun.verification.id)
    assert (v.current.status, v.current.held, await spent(world)) == ("sent", SMS, 2 * SMS)


async def test_an_opt_out_that_is_seen_at_the_last_moment_gives_the_price_back(worlds: Worlds) -> None:
    world = make(worlds)
    v = await world.start()
    stored, _ = await world.store.read(v.id)
    await world.store.suppress(stored.verification.opt_outs.phone, ["voice"], "app", 0)
    await world.after(31)
    v = await world.verifications.read("shop", v.id)
    assert [(a.channel, a.held) for a in v.attempts if a.channel == "voice"] == [("voice", 0)]
    assert await spent(world) == SMS


async def test_an_opt_out_that_is_seen_at_a_takeover_leaves_what_may_have_gone_out_charged(worlds: Worlds) -> None:
    world = make(worlds)
    begun = await world.begin()
    for task in list(world.engine._tasks):
        task.cancel()
    await world.store.suppress(begun.verification.opt_outs.phone, ["sms", "voice"], "app", 0)
    await world.after(16)
    v = await world.verifications.read("shop", begun.verification.id)
    assert (v.attempts[0].status, v.attempts[0].vendor_code, world.sent) == ("failed", "suppressed", [])
    assert await spent(world) == SMS


async def test_a_store_that_is_away_sends_nothing(worlds: Worlds) -> None:
    world = make(worlds)
    away = Store(connect("unix:///nowhere/valkey.sock", timeout=0.2), prefix=world.prefix)
    world.wire(replace(world.setup, store=away))
    with pytest.raises(Unavailable):
        await world.start()
    assert world.sent == []
    await away.close()


async def storm(world: World) -> tuple[int, int]:
    """Refusals, silence, resends, prices and reports in turn: what the purse holds, and what the messages do."""
    world.one.scripts = [SendError(ErrorClass.TEMPORARY, "x"), Receipt("m", Cost(CENT, "USD"))] * 4
    world.two.scripts = [Receipt("n", Cost(9 * CENT, "USD"))] * 2
    made = [await world.start(phone=f"+1415555{n:04d}") for n in range(100, 112)]
    await world.after(31)
    for v in made[::2]:
        await world.verifications.resend("shop", v.id, None)
    await world.settle()
    await world.report(made[0], 1, "failed:temporary")
    await world.after(50)
    return await spent(world), sum([sum(await held(world, v.id)) for v in made])


async def test_what_the_purse_holds_is_what_the_messages_hold(worlds: Worlds) -> None:
    world = make(worlds, "20 USD")
    purse, messages = await storm(world)
    assert purse == messages > 0
    moved = {move: world.metric("otp_spend_micros_total", movement=move) for move in ("spent", "returned")}
    assert moved["spent"] - moved["returned"] == purse


async def test_a_hold_that_is_not_cleared_with_its_settlement_is_caught(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: the money moves, and the attempt goes on saying what it held before."""
    monkeypatch.setattr("gateway.service.spending._holding", lambda v, _number, _due: v)
    purse, messages = await storm(make(worlds, "20 USD"))
    assert purse != messages
