"""What a whole life asks of a single store: a start, its send, two reports and the check take five round trips.

What an approval says to the watches is left out: it goes with that of others, a moment later.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.model import AttemptStatus
from gateway.store.link import Script
from gateway.store.valkey import _script
from tests.support.trips import watching
from tests.support.world import World

CREDIT = Script.of(_script("credit")).sha


async def life(world: World, reported: World) -> None:
    v = await world.start()
    await world.settle()
    await reported.report(v, 1, "progress")
    await reported.report(v, 1, "delivered")
    await world.check(v, world.code(v))


async def test_a_life_takes_five_round_trips(world: World, valkey: str) -> None:
    """The start, the outcome of its send, what is reported, and the check."""
    await life(world, world)
    async with watching(valkey, but=CREDIT) as commands:
        await life(world, world)
    assert commands == ["EVALSHA"] * 5


async def test_whoever_did_not_send_it_reads_what_a_report_is_of(
    world: World, twin: Callable[[World], World], valkey: str
) -> None:
    """The twin of the test above: another process has to ask once more."""
    other = twin(world)
    other.one.sent = world.one.sent
    await life(world, other)
    async with watching(valkey, but=CREDIT) as commands:
        await life(world, other)
    assert commands == ["EVALSHA"] * 6


async def test_a_report_is_of_what_stands_now_whatever_was_written_last_here(
    world: World, twin: Callable[[World], World]
) -> None:
    other = twin(world)
    resent, ended = await world.start(), await world.start(phone="+14155550177")
    await world.settle()
    other.clock.forward(31)
    await other.verifications.resend("shop", resent.id, None)
    await other.settle()
    await other.check(ended, world.code(ended))
    for v in (resent, ended):
        await world.report(v, 1, "delivered")
    found = await world.verifications.read("shop", resent.id)
    assert [a.status for a in found.attempts] == [AttemptStatus.DELIVERED, AttemptStatus.SENT]
    assert (await world.verifications.read("shop", ended.id)).status == "approved"


async def test_what_is_remembered_is_bounded_and_holds_no_secret(world: World) -> None:
    limit = 1_000
    v = await world.start()
    await world.settle()
    stored = world.engine.recent(v.id)
    assert stored
    assert stored.sealed is None
    for number in range(limit):
        world.engine._remember(stored._replace(verification=stored.verification._replace(id=f"ver_{number}")))
    assert world.engine.recent(v.id) is None
    assert len(world.engine._recent) == limit


async def test_what_has_ended_is_forgotten(world: World) -> None:
    v = await world.start()
    await world.settle()
    await world.verifications.cancel("shop", v.id)
    assert world.engine.recent(v.id) is None
