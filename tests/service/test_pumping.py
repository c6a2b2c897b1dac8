"""Recorded-style traffic in virtual time under the default preset: pumps are stopped early, and people never are."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from channels.contract import Cost, ErrorClass, Receipt, SendError
from gateway.core.model import Verification
from gateway.service import suspicion
from gateway.service.requests import Denied, Limited, NotPending
from tests.support.world import World

Worlds = Callable[..., World]
MOST = 60
"""Messages that a pump may get out of the default preset."""


CONVERSION = ("prefix-conversion", "range-conversion", "country-conversion")


def preset(channel: str = "sms", **fraud: Any) -> dict[str, Any]:
    """The default preset, to the United States and by one channel. `country` changes its rule about countries."""
    if "country" in fraud:
        fraud["rules"] = {"country-conversion": fraud.pop("country")}
    raw = {"countries": {"allow": ["US"]}, "fallback": [{"channel": channel, "wait": "60s"}], "fraud": fraud}
    return {"default": raw}


def sequential(start: int = 4155550000) -> Iterator[str]:
    """One number after the other."""
    return (f"+1{start + n}" for n in range(9_000))


def stepping(each: int) -> Iterator[str]:
    """So many numbers of a prefix, then as many of the next."""
    return (f"+1415{200 + n // each:03d}{1000 + n % each:04d}" for n in range(9_000))


def anywhere(seed: int = 1) -> Iterator[str]:
    """Numbers from all over the country."""
    dice = random.Random(seed)  # noqa: S311 - a trace, no secret
    areas = (205, 212, 303, 312, 415, 503, 617, 702, 713, 801)
    while True:
        yield f"+1{dice.choice(areas)}{dice.randrange(200, 900)}{dice.randrange(10_000):04d}"


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


def whole() -> dict[str, Any]:
    """The default preset with all of its fallback."""
    raw = preset()
    del raw["default"]["fallback"]
    return raw


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


async def test_people_whose_codes_come_by_the_second_message_close_nothing(worlds: Worlds) -> None:
    """A verification that was approved answers for all of its messages."""
    world, numbers = worlds(policies=whole()), anywhere()
    for number in range(120):
        v = await world.start(phone=next(numbers), ip=f"2001:db8:{number:x}::1")
        world.clock.forward(31)
        if number % 7 == 0:
            v = await world.verifications.resend("shop", v.id, None)
            await world.settle()
            await world.check(v, world.code(v))
        await world.store.watches.told()
        world.clock.forward(60)
    assert [line for line in world.logged if line["event"].startswith("block.")] == []


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


def with_email() -> dict[str, Any]:
    """The preset with an email after the SMS."""
    policies = preset()
    policies["default"]["fallback"].append({"channel": "email", "wait": "60s"})
    return policies


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


@pytest.mark.parametrize("failing", [False, True])
async def test_people_who_are_helped_by_email_are_no_pump(worlds: Worlds, failing: bool) -> None:
    """One in five gets the code by email, since the SMS was slow; or everybody, since no vendor took it."""
    world, numbers = worlds(policies=with_email()), anywhere()
    for number in range(120):
        if failing:
            refused = SendError(ErrorClass.PROVIDER_DOWN, "down")
            world.one.scripts, world.two.scripts = [refused], [refused]
        v = await world.start(phone=next(numbers), email=f"m{number}@example.org", ip=f"2001:db8:{number:x}::1")
        if not failing and number % 5 == 0:
            await world.after(61)
        await world.check(v, world.code(v))
        world.clock.forward(20)
    assert world.metric("otp_blocks_total") == 0


async def test_a_pump_that_comes_back_after_its_block_gets_less_each_time(worlds: Worlds) -> None:
    world = worlds(policies=preset())
    rounds = [await pumped(world, anywhere(), 30.0, 120)]
    for hours in (12, 24, 48):
        world.clock.forward(hours * 3600)
        rounds.append(await pumped(world, anywhere(hours), 30.0, 120) - sum(rounds))
    assert rounds == sorted(rounds, reverse=True)
    assert rounds[1] <= 35
    assert rounds[3] <= 15


@dataclass
class People:
    """Starts that come by chance, codes that are typed after a while, and now and then somebody who asks again."""

    world: World
    seed: int
    converts: float
    refused: list[Exception] = field(default_factory=list)
    queue: list[tuple[float, int, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - a trace, no secret
        self.begin = self.world.clock.now

    def at(self, seconds: float, what: str, whom: Any = None) -> None:
        heapq.heappush(self.queue, (seconds, len(self.queue) + self.dice.randrange(10**9), what, whom))

    async def come(self, number: int, within: float, numbers: Iterator[str]) -> int:
        """So many people in so many seconds. How many typed their code."""
        typed = 0
        for _ in range(number):
            self.at(self.dice.uniform(0, within), "start", next(numbers))
        while self.queue:
            seconds, _, what, whom = heapq.heappop(self.queue)
            self.world.clock.now = self.begin + int(seconds * 1000)
            typed += await self.turn(what, whom, seconds)
        return typed

    async def turn(self, what: str, whom: Any, seconds: float) -> bool:
        try:
            if what == "start":
                self.plan(await self.world.start(phone=whom, ip=f"2001:db8:{self.dice.randrange(65536):x}::1"), seconds)
            elif what == "resend":
                await self.world.verifications.resend("shop", whom.id, None)
            else:
                return (await self.world.check(whom, self.world.code(whom))).verdict == "approved"
        except (Denied, Limited) as no:
            self.refused.append(no)
        return False

    def plan(self, v: Verification, seconds: float) -> None:
        types = self.dice.random() < self.converts
        if self.dice.random() < 0.15:
            self.at(seconds + 35, "resend", v)
            self.at(seconds + self.dice.uniform(45, 120), "check", v)
        elif types:
            self.at(seconds + self.dice.uniform(10, 90), "check", v)


@pytest.mark.parametrize(("seed", "converts"), [(1, 0.6), (2, 0.7), (3, 0.8)])
async def test_a_launch_in_a_new_country_is_not_blocked(worlds: Worlds, seed: int, converts: float) -> None:
    people = People(worlds(policies=preset()), seed, converts)
    assert await people.come(300, 600, anywhere(seed)) > 150
    assert people.refused == []


async def test_a_launch_that_comes_all_at_once_is_not_blocked(worlds: Worlds) -> None:
    people = People(worlds(policies=preset()), 4, 0.7)
    await people.come(300, 25, anywhere(4))
    assert people.refused == []


async def test_a_preset_that_could_not_wait_for_codes_would_block_a_launch(worlds: Worlds) -> None:
    """The twin of the two above: messages count against a country before anybody can have typed."""
    hasty = preset(country={"ripe": "10s", "patience": "1s", "floor": 0.4})
    people = People(worlds(policies=hasty), 1, 0.6)
    await people.come(300, 600, anywhere(1))
    assert people.refused


async def unlucky(world: World) -> list[Exception]:
    """Thirty messages a day to a country for four days, of which two are answered."""
    people = People(world, 5, 0.0)
    for day in range(4):
        people.begin = world.clock.now
        for number, phone in zip(range(30), anywhere(day), strict=False):
            try:
                v = await world.start(phone=phone)
                if number in (4, 21):
                    await world.check(v, world.code(v))
            except Denied as no:
                people.refused.append(no)
            world.clock.forward(2880)
    return people.refused


async def test_a_country_of_few_people_and_poor_luck_is_not_blocked(worlds: Worlds) -> None:
    assert await unlucky(worlds(policies=preset())) == []


async def test_without_a_minimum_volume_it_would_be(worlds: Worlds) -> None:
    assert await unlucky(worlds(policies=preset(country={"minimum": 10}))) != []


async def test_ten_minutes_without_delivery_do_not_close_a_country_that_has_been_good(worlds: Worlds) -> None:
    world = worlds(policies=preset())
    people = People(world, 6, 0.8)
    await people.come(200, 3600, anywhere(6))
    people.begin, people.converts = world.clock.now, 0.0
    await people.come(100, 600, anywhere(7))
    assert people.refused == []


async def test_a_code_of_the_apps_own_that_it_never_checks_here_closes_nothing(worlds: Worlds) -> None:
    world, numbers = worlds(policies=preset()), anywhere()
    for _ in range(150):
        await world.begin(phone=next(numbers), code="482913")
        world.clock.forward(30)
    assert len(world.sent) >= 149


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


async def crowded(world: World) -> list[Exception]:
    """A launch of seventy people in 35 seconds, whose messages take 50 seconds, and fifty more after four minutes."""
    people = People(world, 8, 0.0)
    for number, phone in zip(range(120), anywhere(8), strict=False):
        at = number / 2 if number < 70 else 240 + number
        people.at(at, "start", phone)
    begun: list[tuple[float, Any]] = []

    def late(v: Verification, seconds: float) -> None:
        begun.append((seconds, v))
        people.at(seconds + 50, "check", v)

    people.plan = late  # type: ignore[method-assign] # everybody types
    await people.come(0, 1, anywhere())
    return people.refused


async def test_a_launch_whose_messages_are_late_is_held_for_minutes_and_not_for_hours(worlds: Worlds) -> None:
    world = worlds(policies=preset())
    refused = await crowded(world)
    assert 0 < len(refused) <= 10
    assert [line["event"] for line in world.logged if line["event"].startswith("block.")] == ["block.held"]
    await world.start(phone="+13125550123")


async def test_one_typed_code_does_not_buy_a_fast_pump_three_minutes(worlds: Worlds) -> None:
    world, numbers = worlds(policies=preset()), anywhere()
    v = await world.start(phone=next(numbers))
    await world.check(v, world.code(v))
    assert await pumped(world, numbers, 1.0, 600) <= 100


async def answered(world: World, *shares: int) -> list[int]:
    """Days of 80 messages to a country, of which so many in a hundred are answered. How many are refused, by day."""
    refused = [0] * len(shares)
    for day, share in enumerate(shares):
        for number, phone in zip(range(80), anywhere(day), strict=False):
            try:
                v = await world.start(phone=phone, ip=f"2001:db8:{number:x}::1")
                if number * share % 100 < share:
                    await world.check(v, world.code(v))
            except Denied:
                refused[day] += 1
            world.clock.forward(1080)
    return refused


async def test_a_country_is_held_to_its_own_share_where_that_is_known(worlds: Worlds) -> None:
    """Seven in a hundred are too few of a stranger and not of one that answers twenty; fifteen are enough of a
    stranger, and too few of one that answers eighty."""
    assert await answered(worlds(policies=preset()), 20, 20, 7) == [0, 0, 0]
    assert (await answered(worlds(policies=preset()), 7))[0] > 0
    assert await answered(worlds(policies=preset()), 15) == [0]
    first, second, third = await answered(worlds(policies=preset()), 80, 80, 15)
    assert (first, second) == (0, 0)
    assert third > 0


async def test_nobody_brings_the_bar_down_by_pumping_slowly(worlds: Worlds) -> None:
    """A share below the floor is never what is usual: days at nine in a hundred earn nothing."""
    patient = preset(country={"mode": "monitor"})
    world = worlds(policies=patient)
    await answered(world, 9, 9, 9)
    world.wire(replace(world.setup, policies=worlds(policies=preset()).setup.policies))
    assert (await answered(world, 9))[0] > 0


def broken(world: World, times: int = 2000) -> None:
    for carrier in (world.one, world.two):
        carrier.scripts = [SendError(ErrorClass.PROVIDER_DOWN, "503") for _ in range(times)]


async def test_an_outage_of_the_vendors_blocks_nobody(worlds: Worlds) -> None:
    """Neither on the first day nor later: what no vendor took nobody could answer, and nobody earned from it."""
    world = worlds(policies=preset())
    broken(world)
    for number, phone in zip(range(300), anywhere(3), strict=False):
        await world.start(phone=phone, ip=f"2001:db8:{number:x}::1")
        world.clock.forward(2)
    for number, phone in zip(range(45), sequential(), strict=False):
        await world.start(phone=phone, ip=f"2001:db8:{number:x}::2")
    assert [line for line in world.logged if line["event"].startswith("block.")] == []


async def test_numbers_that_a_vendor_refuses_do_count(worlds: Worlds) -> None:
    """The twin of the above: a fault that is the number's says something of whoever asks for it."""
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
