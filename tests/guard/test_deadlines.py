"""One timer for many deadlines: each request is cut in its own time, and no other cancellation is taken for that."""

from __future__ import annotations

import asyncio

import pytest

from gateway.guard.deadlines import Deadline, Deadlines


async def hangs(deadlines: Deadlines) -> None:
    with Deadline(deadlines):
        await asyncio.Event().wait()


async def test_each_is_cut_in_its_own_time() -> None:
    deadlines = Deadlines(0.02)
    first = asyncio.create_task(hangs(deadlines))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(hangs(deadlines))
    await asyncio.wait([first])
    assert isinstance(first.exception(), TimeoutError)
    assert not second.done()
    with pytest.raises(TimeoutError):
        await second


async def test_what_is_in_time_is_left_alone_and_the_next_has_a_timer_again() -> None:
    deadlines = Deadlines(0.002)
    with Deadline(deadlines):
        await asyncio.sleep(0)
    await asyncio.sleep(0.005)
    assert deadlines._timer is None
    with pytest.raises(TimeoutError):
        await hangs(deadlines)
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0  # so that the next cancellation counts


async def test_a_thousand_at_once_have_one_timer() -> None:
    deadlines = Deadlines(0.005)
    timers = 0
    wake = deadlines._wake

    def counted(seconds: float) -> None:
        nonlocal timers
        timers += 1
        wake(seconds)

    deadlines._wake = counted  # type: ignore[method-assign]
    results = await asyncio.gather(*(hangs(deadlines) for _ in range(1000)), return_exceptions=True)
    assert {type(result) for result in results} == {TimeoutError}
    assert timers < 20
    assert not deadlines._under_way


async def test_who_cancels_from_outside_is_obeyed_even_after_the_deadline() -> None:
    deadlines = Deadlines(60)
    task = asyncio.create_task(hangs(deadlines))
    await asyncio.sleep(0)
    (deadline,) = deadlines._under_way
    deadline.pass_by()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_a_fault_of_the_request_passes_through_and_is_forgotten() -> None:
    deadlines = Deadlines(60)
    with pytest.raises(KeyError), Deadline(deadlines):
        raise KeyError
    assert not deadlines._under_way
    deadlines.close()
    assert deadlines._timer is None
