"""What a vendor's bad day may cost: measured on a real process, with real vendors on loopback.

Each figure is printed (`pytest -s tests/promises`), and each bound is far enough from it to hold on a busy machine.
OTP_STALL_SECONDS=60 stalls the vendor for the whole minute of the promise; the default is enough for its effects.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.promises.town import Town, arrived, percentile, town
from tests.vendors.server import Break, Reply

STALL = float(os.environ.get("OTP_STALL_SECONDS", "3"))
RATE = 25  # starts a second through the vendor that stalls, as many through the other, and as many checks
MARGIN = 0.5  # seconds that the guard leaves a provider beyond its own timeout


def say(text: str) -> None:
    print(f"\n{text}")  # noqa: T201 - the figures are part of the result


async def crowd(place: Town, seconds: float) -> tuple[list[float], list[float]]:
    """People who start through both vendors and check what came by `two`: how long it took the messages of `two` to
    come there, and how long the checks took. The load does not wait for answers: a gateway that slows down gets no
    relief."""
    sends: list[float] = []
    checks: list[float] = []

    async def person() -> None:
        number, id_, at = await place.start("two")
        sends.append(await arrived(place.two, number) - at)
        checks.append(await place.check(id_))

    people = set()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        people |= {asyncio.create_task(person()), asyncio.create_task(place.start("one"))}
        await asyncio.sleep(1 / RATE)
    await asyncio.gather(*people)
    return sends, checks


async def test_a_vendor_that_stalls_moves_neither_the_other_nor_checks_and_memory_stays(data: Path) -> None:
    async with town(data, deadline=10) as place:
        await crowd(place, 1)
        before = place.memory()
        for _ in range(3):  # a busy machine has tails of its own; what the stall does, it does each time
            if still := await moved_nothing(place):
                break
        assert still
        grown = place.memory() - before
    say(f"memory {grown:+.1f} MB")
    assert grown < 20


async def moved_nothing(place: Town) -> bool:
    """Whether the tails are the same while one vendor takes requests and answers none of them."""
    calm = await crowd(place, 2)
    place.vendors["one"].gate = asyncio.Event()
    stalled = await crowd(place, STALL)
    held = place.metric("otp_sends_in_flight", provider="one")
    place.vendors["one"].gate.set()
    before, after = ([percentile(times, 0.99) for times in phase] for phase in (calm, stalled))
    say(
        f"p99 of a send through the other vendor {before[0] * 1000:.1f} -> {after[0] * 1000:.1f} ms, of a check "
        f"{before[1] * 1000:.1f} -> {after[1] * 1000:.1f} ms; {held:.0f} requests held"
    )
    assert 0 < held <= 64, "the vendor holds as many requests as it may, and no more wait behind them"
    return all(now < 2 * then + 0.05 for then, now in zip(before, after, strict=True))


async def test_the_first_ones_wait_one_deadline_and_once_the_breaker_is_open_nobody_waits(data: Path) -> None:
    async with town(data, deadline=1) as place:
        direct = [await told(place, "two") for _ in range(60)]
        place.vendors["one"].gate = asyncio.Event()
        unlucky = await asyncio.gather(*(told(place, "default") for _ in range(25)))
        assert place.metric("otp_breaker_state", provider="one") == 2, "the breaker is open"
        opened = [await told(place, "default") for _ in range(60)]
        place.vendors["one"].gate.set()
    added = percentile(opened, 0.5) - percentile(direct, 0.5), percentile(opened, 0.95) - percentile(direct, 0.95)
    say(
        f"until the other vendor had it: {max(unlucky):.2f} s for the slowest of the first 25 (deadline {1 + MARGIN} s)"
        f"; with the breaker open {added[0] * 1000:+.1f} ms at p50, {added[1] * 1000:+.1f} ms at p95"
    )
    assert 1 <= min(unlucky) <= max(unlucky) < 1 + MARGIN + 0.5, "which shows what the breaker spares the others"
    assert max(added) < 0.05


async def told(place: Town, purpose: str) -> float:
    """Seconds from a start to its message at the second vendor."""
    number, _, at = await place.start(purpose)
    return await arrived(place.two, number) - at


@pytest.mark.parametrize(
    "outage", [Reply(503), Reply(broken=Break.RESET)], ids=["each answers 503", "each cuts the connection"]
)
async def test_in_a_total_outage_each_attempt_is_one_call_and_the_end_of_it_is_no_storm(
    data: Path, outage: Reply
) -> None:
    async with town(data, deadline=1) as place:
        place.one.down = place.two.down = outage
        for _ in range(6):
            await asyncio.gather(*(place.start() for _ in range(25)))
        await _quiet(place)
        calls, attempts = place.one.calls + place.two.calls, _attempts(place)
        place.one.down = place.two.down = None
        await asyncio.sleep(1)
        late = place.one.calls + place.two.calls - calls
        started = [await place.start() for _ in range(50)]
        for number, _, _ in started:
            await _anywhere(place, number)
        recovered = place.one.calls + place.two.calls - calls - late
    say(
        f"{calls} calls for {attempts:.0f} attempts of 150 verifications: {calls / attempts:.2f} each; {late} calls "
        f"when the vendors were back, and {recovered} for the next 50 verifications"
    )
    assert attempts == 300, "each verification tried both vendors"
    assert calls <= 1.1 * attempts
    assert late == 0
    assert recovered == 50


def _attempts(place: Town) -> float:
    return place.metric("otp_attempts_total", outcome="failed")


async def _quiet(place: Town) -> None:
    """Until no message is under way."""
    for _ in range(400):
        if not place.metric("otp_sends_in_flight") and _attempts(place) >= 300:
            return
        await asyncio.sleep(0.05)


async def _anywhere(place: Town, number: str) -> None:
    """Until one of the vendors has had a message to this number."""
    either = [asyncio.ensure_future(arrived(sender, number)) for sender in (place.one, place.two)]
    _, rest = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
