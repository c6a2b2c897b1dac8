"""The guard around a provider: room for so many, a deadline for each, and what counts against the provider."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from channels.contract import PROVIDER_FAULTS, Channel, Cost, ErrorClass, Message, Receipt, SendError
from gateway.guard import Guarded, guarded
from gateway.guard.breaker import Entry
from gateway.guard.circuits import Circuit, zone_of
from tests.guard.conftest import FINE, MESSAGE, Bench
from tests.support.world import FakeCarrier

DOWN = SendError(ErrorClass.PROVIDER_DOWN, "503")
INDIA = replace(MESSAGE, to="+919820098200")
CALL = replace(MESSAGE, channel=Channel.VOICE)
OPEN = ["breaker-open"]


async def hang(_message: Message) -> Receipt:
    await asyncio.Event().wait()
    return FINE


# --- room and deadlines ---


async def test_no_more_than_so_many_requests_are_under_way_at_once(bench: Bench) -> None:
    gate, most, now = asyncio.Event(), 0, 0

    async def slow(_message: Message) -> Receipt:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await gate.wait()
        now -= 1
        return FINE

    bench.carrier.scripts.extend([slow] * 9)
    guard = bench.guard()
    sends = [asyncio.create_task(guard.send(MESSAGE)) for _ in range(9)]
    await asyncio.sleep(0.001)
    assert bench.in_flight == 2
    gate.set()
    await asyncio.gather(*sends)
    assert (most, len(bench.carrier.sent)) == (2, 9)
    assert bench.in_flight == 0


async def test_a_question_for_a_price_takes_neither_a_place_nor_a_turn_from_a_message(bench: Bench) -> None:
    class Slow(FakeCarrier):
        prices = True
        asked = 0

        async def price(self, message_id: str) -> Cost | None:
            self.asked += 1
            await asyncio.Event().wait()
            return None

    bench.carrier = Slow("one")
    guard = bench.guard(concurrency=1, rate=1.0)
    question = asyncio.create_task(guard.price("m"))
    await asyncio.sleep(0)
    assert bench.carrier.asked == 1
    assert (await bench.send(guard, FINE), bench.slept, bench.in_flight) == (["sent"], [], 0)
    question.cancel()


async def test_a_question_for_a_price_ends_at_the_deadline_and_opens_no_breaker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(FakeCarrier):
        prices = True

        async def price(self, message_id: str) -> Cost | None:
            return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(guarded, "_MARGIN", 0)
    bench.carrier = Silent("one")
    guard = bench.guard(timeout=0.001)
    for _ in range(25):
        with pytest.raises(SendError, match="deadline"):
            await guard.price("m")
    assert not guard.refuses(MESSAGE)


async def test_questions_for_prices_keep_the_rate_among_themselves(bench: Bench) -> None:
    class Cheap(FakeCarrier):
        prices = True

    bench.carrier = Cheap("one")
    guard = bench.guard(rate=2.0)
    for _ in range(3):
        await guard.price("m")
    assert bench.slept == [0.5, 0.5]


async def test_a_message_that_finds_no_room_fails_unsent_as_throttled(bench: Bench) -> None:
    gate = asyncio.Event()

    async def slow(_message: Message) -> Receipt:
        await gate.wait()
        return FINE

    bench.carrier.scripts.append(slow)
    guard = bench.guard(concurrency=1, patience=0.005)
    first = asyncio.create_task(guard.send(MESSAGE))
    await asyncio.sleep(0)
    with pytest.raises(SendError) as caught:
        await guard.send(MESSAGE)
    assert (caught.value.error, caught.value.ambiguous) == (ErrorClass.THROTTLED, False)
    assert len(bench.carrier.sent) == 1
    gate.set()
    await first
    await guard.send(MESSAGE)


async def test_a_provider_that_hangs_is_cut_off_and_its_message_may_have_gone_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "_MARGIN", 0.001)
    bench.carrier.scripts.append(hang)
    guard = bench.guard(timeout=0.005)
    with pytest.raises(SendError) as caught:
        await guard.send(MESSAGE)
    assert (caught.value.error, caught.value.ambiguous) == (ErrorClass.PROVIDER_DOWN, True)
    await guard.send(MESSAGE)


async def test_a_refusal_passes_through_and_gives_its_room_back(bench: Bench) -> None:
    guard = bench.guard(concurrency=1)
    assert await bench.send(guard, *[SendError(ErrorClass.FRAUD)] * 3) == ["fraud"] * 3
    await guard.send(MESSAGE)


# --- messages a second ---


async def test_messages_are_spaced_so_that_no_second_holds_too_many(bench: Bench) -> None:
    guard = bench.guard(rate=4)
    await bench.send(guard, *[FINE] * 4)
    assert bench.slept == [0.25, 0.25, 0.25]
    bench.now += 10
    await bench.send(guard, *[FINE] * 2)  # a quiet time is not saved up
    assert bench.slept == [0.25] * 4


async def test_a_message_whose_turn_is_too_far_off_fails_at_once_and_says_how_far(bench: Bench) -> None:
    guard = bench.guard(rate=2, patience=1.0, concurrency=100)
    hold = asyncio.Event()

    async def held(_seconds: float) -> None:
        await hold.wait()

    guard._sleep = held
    sends = [asyncio.create_task(guard.send(MESSAGE)) for _ in range(3)]  # now, in 0.5 s, in 1 s
    await asyncio.sleep(0)
    with pytest.raises(SendError) as caught:
        await guard.send(MESSAGE)
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.THROTTLED, "rate")
    assert (caught.value.retry_after, caught.value.ambiguous) == (1.5, False)
    hold.set()
    await asyncio.gather(*sends)
    bench.now += 1.5  # the one that was refused took nobody's turn
    await guard.send(MESSAGE)


async def test_without_a_rate_nothing_waits(bench: Bench) -> None:
    await bench.send(bench.guard(), *[FINE] * 100)
    assert bench.slept == []


# --- the breaker ---


async def broken(bench: Bench, guard: Guarded, message: Message = MESSAGE) -> None:
    assert await bench.send(guard, *[DOWN] * 20, message=message) == ["503"] * 20


async def test_a_provider_that_is_down_is_left_alone_then_probed_and_then_used(bench: Bench) -> None:
    guard = bench.guard()
    await broken(bench, guard)
    assert (await bench.send(guard, FINE), guard.refuses(MESSAGE), bench.breaker()) == (OPEN, True, 2)
    bench.now += 30
    assert await bench.send(guard, DOWN) == ["503"]
    assert (await bench.send(guard, FINE), bench.breaker()) == (OPEN, 2)
    bench.now += 30
    assert await bench.send(guard, FINE, FINE) == ["sent", "sent"]
    assert (guard.refuses(MESSAGE), bench.breaker()) == (False, 0)
    assert bench.moves == [
        ("closed", "open"),
        ("open", "half_open"),
        ("half_open", "open"),
        ("open", "half_open"),
        ("half_open", "closed"),
    ]


async def test_what_the_breaker_refuses_was_not_sent_and_the_next_provider_may_have_it(bench: Bench) -> None:
    guard = bench.guard()
    await broken(bench, guard)
    with pytest.raises(SendError) as caught:
        await guard.send(MESSAGE)
    assert (caught.value.error, caught.value.ambiguous) == (ErrorClass.PROVIDER_DOWN, False)
    assert len(bench.carrier.sent) == 20


@pytest.mark.parametrize("error", list(ErrorClass))
async def test_only_the_providers_own_faults_open_the_breaker(bench: Bench, error: ErrorClass) -> None:
    guard = bench.guard()
    await bench.send(guard, *[SendError(error)] * 40)
    assert guard.refuses(MESSAGE) is (error in PROVIDER_FAULTS)


async def test_a_fault_in_our_own_code_does_not_open_the_breaker_and_a_deadline_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "_MARGIN", 0.001)
    guard = bench.guard(timeout=0.001, concurrency=50)
    bench.carrier.scripts.extend([ValueError()] * 40)
    await asyncio.gather(*(guard.send(MESSAGE) for _ in range(40)), return_exceptions=True)
    assert not guard.refuses(MESSAGE)
    bench.carrier.scripts.extend([hang] * 20)
    await asyncio.gather(*(guard.send(MESSAGE) for _ in range(20)), return_exceptions=True)
    assert guard.refuses(MESSAGE)


async def test_what_the_guard_itself_refuses_does_not_open_the_breaker(bench: Bench) -> None:
    guard = bench.guard(rate=1, patience=0.0)
    assert await bench.send(guard, *[FINE] * 41) == ["sent"] + ["rate"] * 40
    assert not guard.refuses(MESSAGE)


async def test_channels_and_zones_have_breakers_of_their_own(bench: Bench) -> None:
    guard = bench.guard()
    await broken(bench, guard, INDIA)
    assert [guard.refuses(message) for message in (INDIA, MESSAGE, replace(INDIA, channel=Channel.VOICE))] == [
        True,
        False,
        False,
    ]
    assert await bench.send(guard, FINE) == ["sent"]
    assert (bench.breaker(), bench.breaker("voice")) == (2, 0)  # the worst of the zones is told
    assert bench.captured.calls[0].kwargs == {
        "event": "breaker.changed",
        "provider": "one",
        "channel": "sms",
        "zone": "9",
        "from_state": "closed",
        "state": "open",
    }


@pytest.mark.parametrize(
    ("channel", "to", "expected"),
    [("sms", "+14155550123", "1"), ("voice", "+442079460000", "4"), ("email", "+1@example.org", "")],
)
def test_the_zone_is_the_first_digit_of_the_calling_code(channel: str, to: str, expected: str) -> None:
    assert zone_of(channel, to) == expected


async def test_a_message_that_insists_is_tried_all_the_same(bench: Bench) -> None:
    guard = bench.guard()
    await broken(bench, guard)
    assert await bench.send(guard, DOWN, insist=True) == ["503"]
    assert await bench.send(guard, FINE) == OPEN
    assert await bench.send(guard, FINE, insist=True) == ["sent"]
    assert await bench.send(guard, FINE) == ["sent"]


async def test_a_probe_that_is_canceled_leaves_its_place_to_the_next_message(bench: Bench) -> None:
    guard = bench.guard()
    await broken(bench, guard)
    bench.now += 30
    bench.carrier.scripts.append(hang)
    probe = asyncio.create_task(guard.send(MESSAGE))
    await asyncio.sleep(0)
    assert await bench.send(guard, FINE) == OPEN
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await bench.send(guard, FINE) == ["sent"]


async def probes(bench: Bench, guard: Guarded) -> int:
    """How many of a thousand messages at once reach a provider that is half open and slow to answer."""
    await broken(bench, guard)
    bench.now += 30
    before = len(bench.carrier.sent)
    bench.carrier.scripts.extend([hang] * 1000)
    sends = [asyncio.create_task(guard.send(MESSAGE)) for _ in range(1000)]
    await asyncio.sleep(0.005)
    for send in sends:
        send.cancel()
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert all(isinstance(result, SendError | asyncio.CancelledError) for result in results)
    return len(bench.carrier.sent) - before


async def test_of_a_thousand_messages_at_once_one_probes(bench: Bench) -> None:
    assert await probes(bench, bench.guard(concurrency=1000)) == 1


async def test_a_guard_that_asks_the_breaker_only_before_it_waits_is_noticed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = bench.guard(concurrency=1000)
    asking = Circuit.enter

    def unasked(circuit: Circuit, *, insist: bool) -> Entry | None:
        return asking(circuit, insist=insist) if len(bench.carrier.sent) < 20 else Entry(0, probe=False)

    monkeypatch.setattr(Circuit, "enter", unasked)
    assert await probes(bench, guard) == 1000


async def test_messages_that_waited_for_room_while_the_breaker_opened_are_not_sent(bench: Bench) -> None:
    gate = asyncio.Event()

    async def fails(_message: Message) -> Receipt:
        await gate.wait()
        raise DOWN

    bench.carrier.scripts.extend([fails] * 60)
    guard = bench.guard(concurrency=20)
    sends = [asyncio.create_task(guard.send(MESSAGE)) for _ in range(60)]
    await asyncio.sleep(0.001)
    gate.set()
    said = [str(error) for error in await asyncio.gather(*sends, return_exceptions=True)]
    assert len(bench.carrier.sent) == 20
    assert said == ["provider_down (503)"] * 20 + ["provider_down (breaker-open)"] * 40


async def test_an_open_breaker_without_traffic_is_told_as_half_open_when_its_time_is_over(bench: Bench) -> None:
    guard = bench.guard()
    await broken(bench, guard)
    (timer,) = guard._circuits._timers.values()
    assert 30 < timer.when() - asyncio.get_running_loop().time() < 31
    bench.now += 30
    assert bench.breaker() == 2
    timer._run()
    assert (bench.breaker(), bench.moves[-1]) == (1, ("open", "half_open"))
    assert not guard._circuits._timers


async def test_a_guard_that_is_closed_leaves_no_timer_and_no_open_breaker_to_its_successor(bench: Bench) -> None:
    guard = bench.guard()
    await broken(bench, guard)
    (timer,) = guard._circuits._timers.values()
    await guard.close()
    assert (timer.cancelled(), guard._circuits._timers, bench.breaker()) == (True, {}, 0)
    bench.now += 30
    await bench.send(guard, DOWN)  # one that was still under way
    assert (guard._circuits._timers, bench.breaker()) == ({}, 0)


async def test_a_sound_guard_that_is_closed_does_not_hide_that_its_successor_has_opened(bench: Bench) -> None:
    """After a reload with a wrong secret the new one opens while the old one still waits for its last send."""
    old = bench.guard()
    assert await bench.send(old, FINE) == ["sent"]
    await broken(bench, bench.guard(metrics=old._metrics))
    await old.close()
    assert bench.breaker() == 2


# --- a vendor that stalls ---


async def test_a_vendor_that_stalls_holds_up_no_other_and_fills_nothing() -> None:
    stalled, sound = Bench(FakeCarrier("one", [hang] * 2000)), Bench()
    slow, fast = stalled.guard(concurrency=64, patience=0.05, timeout=60.0), sound.guard(concurrency=64)
    stuck = [asyncio.create_task(slow.send(MESSAGE)) for _ in range(2000)]
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await asyncio.gather(*(fast.send(MESSAGE) for _ in range(500)))
    assert len(sound.carrier.sent) == 500
    done, held = await asyncio.wait(stuck, timeout=0.5)
    assert (len(held), len(stalled.carrier.sent), stalled.in_flight) == (64, 64, 64)
    assert {str(send.exception()) for send in done} == {"throttled (no-room)"}
    assert not slow._places._line  # nobody waits behind them any more
    for send in held:
        send.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert stalled.in_flight == 0


async def test_two_vendors_behind_one_door_would_be_noticed() -> None:
    stalled, sound = Bench(FakeCarrier("one", [hang] * 64)), Bench()
    slow, fast = stalled.guard(concurrency=64, timeout=60.0), sound.guard(concurrency=64, patience=0.01)
    fast._places = slow._places
    stuck = [asyncio.create_task(slow.send(MESSAGE)) for _ in range(64)]
    await asyncio.sleep(0.001)
    with pytest.raises(SendError, match="no-room"):
        await fast.send(MESSAGE)
    for send in stuck:
        send.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
