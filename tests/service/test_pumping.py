"""Pumps in virtual time under the default preset: they are stopped early, whatever they vary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from channels.contract import Cost, ErrorClass, Receipt, SendError
from gateway.core.model import Verification
from gateway.service import suspicion
from gateway.service.requests import Denied, Limited, NotPending
from tests.service.crowds import CONVERSION, Worlds, anywhere, preset, sequential, stepping, whole, with_email
from tests.support.world import World

MOST = 60
"""Messages that a pump may get out of the default preset."""


async def pumped(world: World, numbers: Iterator[str], every: float, times: int = 400) -> int:
    """So many starts, each from an address of its own, and nobody types a code. How many messages went out."""
    for number in range(times):
        with suppress(Denied, Limited):
            await world.begin(phone=next(numbers), ip=f"2001:db8:{number:x}::1", device=f"d{number}")
        world.clock.forward(every)
    await world.settle()
    return len(world.sent)


PUMPS = {
    "one after the other, slowly": (sequential, 30.0),
    "one after the other, very slowly": (sequential, 280.0),
    "one after the other, fast": (sequential, 1.0),
    "one after the other, at once": (sequential, 0.0),
    "stepping over prefixes, slowly": (lambda: stepping(3), 20.0),
    "stepping over prefixes, in forties": (lambda: stepping(15), 40.0),
    "stepping over prefixes, fast": (lambda: stepping(3), 1.0),
    "from all over the country, slowly": (anywhere, 35.0),
    "from all over the country, fast": (anywhere, 0.6),
}


@pytest.mark.parametrize("channel", ["sms", "voice"])
@pytest.mark.parametrize("name", PUMPS)
async def test_a_pump_is_stopped_within_sixty_messages(worlds: Worlds, name: str, channel: str) -> None:
    numbers, every = PUMPS[name]
    assert await pumped(worlds(policies=preset(channel)), numbers(), every, 150) <= MOST


def paid(world: World) -> Counter[str]:
    """What went out by the channels that somebody may earn from."""
    return Counter(str(message.channel) for message in world.sent if message.channel in ("sms", "voice"))


async def insisted(world: World, numbers: Iterator[str], every: float, resends: int) -> None:
    """A pump that lets every fallback come, or asks again as often and as soon as it is let, and types nothing."""
    begun: list[Verification] = []
    for number in range(100):
        with suppress(Denied):
            begun.append((await world.begin(phone=next(numbers), ip=f"2001:db8:{number:x}::1")).verification)
        await world.settle()
        for v in begun[-resends:] if resends else []:
            with suppress(Denied, Limited, NotPending):
                await world.verifications.resend("shop", v.id, None)
        await world.after(every)
        await world.store.watches.told()
    for _ in range(5):
        await world.after(45)


@pytest.mark.parametrize("numbers", [anywhere, sequential])
@pytest.mark.parametrize("every", [20.0, 35.0, 120.0, 280.0])
async def test_a_slow_pump_is_stopped_within_sixty_messages_its_fallback_and_resends_included(
    worlds: Worlds, every: float, numbers: Callable[[], Iterator[str]]
) -> None:
    for resends, cost in ((0, None), (4, None), (4, Cost(7_000, "USD"))):
        world = worlds(policies=whole())
        for carrier in (world.one, world.two):
            carrier.scripts = [Receipt(f"{carrier.name}-{number}", cost) for number in range(1_000)]
        await insisted(world, numbers(), every, resends)
        assert 30 <= paid(world).total() <= MOST, (resends, cost)


@pytest.mark.parametrize("every", [20.0, 120.0])
async def test_if_only_its_starts_were_counted_and_judged_it_would_get_twice_as_many(
    worlds: Worlds, every: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def let(*_: object) -> None:
        """A further message that nobody looks at."""

    monkeypatch.setattr(suspicion, "since", let)
    monkeypatch.setattr(suspicion, "further", lambda *_: None)
    world = worlds(policies=whole())
    await insisted(world, anywhere(), every, 4)
    assert paid(world).total() > 1.5 * MOST


async def test_a_fast_pump_is_held_at_its_fiftieth_start_and_its_fallback_still_goes_out(worlds: Worlds) -> None:
    """People of a launch whose codes are late are held as well, and wait for their fallback."""
    world = worlds(policies=whole())
    await insisted(world, anywhere(), 1.0, 0)
    assert set(paid(world)) == {"sms", "voice"}
    assert max(paid(world).values()) <= MOST


async def test_without_its_rules_a_pump_would_not_be_stopped(worlds: Worlds) -> None:
    off = dict.fromkeys((*CONVERSION, "adjacent"))
    assert await pumped(worlds(policies=preset(rules=off)), stepping(3), 20.0, 150) == 150


async def test_a_pump_that_types_some_codes_is_stopped_a_little_later(worlds: Worlds) -> None:
    world, numbers = worlds(policies=preset()), anywhere()
    for number in range(200):
        try:
            v = await world.start(phone=next(numbers), ip=f"2001:db8:{number:x}::1", device=f"d{number}")
        except Denied:
            break
        if number % 20 == 0:
            await world.check(v, world.code(v))
        world.clock.forward(10)
    assert len(world.sent) <= 80


async def test_a_pump_that_reads_its_codes_in_a_mailbox_is_stopped_as_well(worlds: Worlds) -> None:
    """Each SMS earns; then it asks for the code by email, to an address of its own, and types it."""
    world, numbers = worlds(policies=with_email()), anywhere()
    for number in range(120):
        world.clock.forward(31)
        with suppress(Denied):
            to = {"phone": next(numbers), "email": f"m{number}@pump.example.org"}
            v = await world.start(**to, ip=f"2001:db8:{number:x}::1")
            world.clock.forward(31)
            await world.verifications.resend("shop", v.id, "email")
            await world.settle()
            assert (await world.check(v, world.code(v))).verdict == "approved"
    assert len([message for message in world.sent if message.channel == "sms"]) <= MOST
    assert world.metric("otp_blocks_total", event="added") > 0


async def test_a_pump_that_comes_back_after_its_block_gets_less_each_time(worlds: Worlds) -> None:
    world = worlds(policies=preset())
    rounds = [await pumped(world, anywhere(), 30.0, 120)]
    for hours in (12, 24, 48):
        world.clock.forward(hours * 3600)
        rounds.append(await pumped(world, anywhere(hours), 30.0, 120) - sum(rounds))
    assert rounds == sorted(rounds, reverse=True)
    assert rounds[1] <= 35
    assert rounds[3] <= 15


async def test_codes_of_its_own_count_when_the_app_says_that_it_reports_them(worlds: Worlds) -> None:
    raw = preset(own_codes=True)
    silent, telling = worlds(policies=raw), worlds(policies=raw)
    for world in (silent, telling):
        numbers = anywhere()
        for number in range(100):
            try:
                v = await world.start(phone=next(numbers), code="482913")
            except Denied:
                break
            if world is telling and number % 3:
                await world.verifications.feedback("shop", v.id, converted=True)
            world.clock.forward(30)
    assert len(silent.sent) <= MOST
    assert len(telling.sent) == 100


async def test_one_typed_code_does_not_buy_a_fast_pump_three_minutes(worlds: Worlds) -> None:
    world, numbers = worlds(policies=preset()), anywhere()
    v = await world.start(phone=next(numbers))
    await world.check(v, world.code(v))
    assert await pumped(world, numbers, 1.0, 600) <= 100


async def test_numbers_that_a_vendor_refuses_do_count(worlds: Worlds) -> None:
    """The twin of the outage that blocks nobody: a fault that is the number's says something of whoever asks for it."""
    world = worlds(policies=preset())
    for carrier in (world.one, world.two):
        carrier.scripts = [SendError(ErrorClass.FRAUD, "30450") for _ in range(300)]
    assert await pumped(world, anywhere(3), 10.0, 100) <= MOST
    assert [line["event"] for line in world.logged if line["event"].startswith("block.")] != []


async def test_a_row_of_numbers_costs_its_prefix_an_hour_and_a_pump_that_goes_on_ever_more(worlds: Worlds) -> None:
    """Twenty starts must not shut ten thousand people out for half a day; and yet no more than sixty get through."""
    world, numbers = worlds(policies=preset()), sequential()
    lengths = []
    for _ in range(5):
        await pumped(world, numbers, 10.0, 40)
        (block,) = [block for block in await world.blocks.listed("shop") if block.per == "prefix"]
        lengths.append(round((block.until - block.since) / 3_600_000))
        world.clock.now = block.until
    assert lengths == [1, 2, 4, 8, 16]
    assert len(world.sent) <= MOST
