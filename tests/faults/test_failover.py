"""Real gateways on a store that fails over, or whose slots move, while people are at work: everybody is answered in
time, nobody is approved twice, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.faults.backing import clustered, heedless, watched
from tests.faults.failovers import FAILOVERS, MOVES, Nemesis, switched_by_force
from tests.faults.fleet import Fleet, fleet
from tests.faults.judging import RULES, TAKEN_BACK, TERMS, answered, broken
from tests.faults.suffering import suffer
from tests.simulation.checker import Case
from tests.simulation.history import History

LONG = "FAULT_ROUNDS" in os.environ
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
STRICT = [rule for rule in RULES if rule not in TAKEN_BACK]


async def struck(one: Fleet, nemesis: Nemesis) -> History:
    async def unreliably(fleet: Fleet) -> None:
        async with fleet.unreliable():
            await nemesis(fleet)
            await asyncio.sleep(0.7)  # for what it did to go on

    return await suffer(one, unreliably)


def told(history: History) -> str:
    """The figures, for whoever runs it with -s."""
    starts = [call.told for call in Case(history, TERMS).of("start") if call.told]
    slowest = max(event.seconds for event in starts)
    refused = sum(event.status == 503 for event in starts)
    back = [fault.partition(":")[0] for fault in broken(history, TAKEN_BACK)]
    return (
        f"{answered(history)}; of {len(starts)} starts {refused} were told 503, the slowest after {slowest:.2f} s; "
        f"taken back: {back or 'nothing'}"
    )


def busy(history: History) -> bool:
    """Whether enough has happened for it to prove anything."""
    counts = answered(history)
    return min(counts.get("start", 0), counts.get("check", 0)) > 10


@pytest.mark.parametrize("again", range(ROUNDS))
@pytest.mark.parametrize("failover", FAILOVERS if LONG else ["primary_killed"])
async def test_a_failover_costs_patience_and_nothing_that_was_acknowledged(
    failover: str, again: int, tmp_path: Path
) -> None:
    async with fleet(tmp_path, on=watched) as one:
        history = await struck(one, FAILOVERS[failover])
    print(f"{failover}: {told(history)}")  # noqa: T201 - for -s
    assert broken(history, STRICT) == []
    assert busy(history)


@pytest.mark.parametrize("again", range(ROUNDS))
@pytest.mark.parametrize("move", MOVES if LONG else ["slots_moved_at_once"])
async def test_slots_that_move_cost_nothing(move: str, again: int, tmp_path: Path) -> None:
    async with fleet(tmp_path, on=clustered) as one:
        history = await struck(one, MOVES[move])
    print(f"{move}: {told(history)}")  # noqa: T201
    assert broken(history) == []
    assert busy(history)


@pytest.mark.skipif(not LONG, reason="tests/store shows the same with less")
async def test_who_waits_for_no_replica_loses_what_was_acknowledged(tmp_path: Path) -> None:
    """The twin: a failover by force, under gateways that take the primary's word."""
    async with fleet(tmp_path, on=heedless) as one:
        history = await struck(one, switched_by_force)
    print(f"without waiting: {told(history)}")  # noqa: T201
    assert "nothing_lost" in {fault.partition(":")[0] for fault in broken(history)}
