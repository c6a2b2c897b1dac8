"""A gateway that was stopped for longer than several steps: one message for each verification when it goes on, at a
pace, and checks are answered meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.fleet import KEY, Fleet, fleet

PENDING = int(os.environ.get("BACKLOG", "200"))
LONG = "FAULT_ROUNDS" in os.environ
WAIT, STOPPED = "3s", 8.5
"""Both steps' waits have passed, and every timer is overdue."""


async def ask(one: Fleet, path: str, body: object) -> tuple[int, dict[str, str]]:
    url = f"{one.gateways['g1'].url}/v1/verifications{path}"
    async with one.http.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}) as answer:
        return answer.status, await answer.json()


async def begin(one: Fleet, ids: list[str]) -> None:
    """Start them, sixteen at once; to numbers whose messages nobody reports."""
    numbers = iter([n for n in range(10 * PENDING) if n % 10 in (5, 7, 9)][:PENDING])

    async def caller() -> None:
        for number in numbers:
            _, told = await ask(one, "", {"to": {"phone": f"+1{4155550000 + number}"}})
            ids.append(told["id"])

    await asyncio.gather(*(caller() for _ in range(16)))


async def check_each(one: Fleet, ids: list[str]) -> list[float]:
    """How long each of these wrong codes took, in seconds, one after the other; sorted."""
    took = []
    for id_ in ids:
        began = time.monotonic()
        assert (await ask(one, f"/{id_}/check", {"code": "000000"}))[0] == 200
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.01)
    return sorted(took)


async def outage(one: Fleet, how: str) -> float:
    """When it had lasted for so long, in ms of the history."""
    gateway = one.gateways["g1"]
    if how == "stopped":
        gateway.process.send_signal(signal.SIGSTOP)
    else:
        await asyncio.to_thread(gateway.stop, signal.SIGKILL)
    await asyncio.sleep(STOPPED)
    over = one.history.clock()
    if how == "stopped":
        gateway.process.send_signal(signal.SIGCONT)
    else:
        await asyncio.to_thread(gateway.start)
    return over


@pytest.mark.parametrize("how", ["stopped", *(["restarted"] if LONG else [])])
async def test_after_an_outage_each_gets_one_message_and_checks_are_answered(how: str, tmp_path: Path) -> None:
    async with fleet(tmp_path, gateways=1, wait=WAIT) as one:
        history, ids = await one.afresh(), list[str]()
        await begin(one, ids)
        rest = await check_each(one, ids[:40])
        over = await outage(one, how)
        took = await check_each(one, ids[40:140])
        await asyncio.sleep(PENDING / 200 + 0.5)
        sent = [event for event in history.of("send") if event.at >= over]
    ends = sorted(event.at for event in sent)
    p99 = {"at rest": rest[int(len(rest) * 0.99)], "meanwhile": took[int(len(took) * 0.99)]}
    said = {when: f"{1000 * value:.0f} ms" for when, value in p99.items()}
    print(f"{how}: {len(sent)} messages in {(ends[-1] - ends[0]) / 1000:.1f} s; checks, p99: {said}")  # noqa: T201 - for -s
    assert {event.ref for event in history.of("send")} == {f"{id_}.{number}" for id_ in ids for number in (1, 2)}
    assert max(Counter(event.ref.rpartition(".")[0] for event in sent).values()) == 1
    assert len(sent) > PENDING / 10, "of which some were overdue"
    assert ends[-1] - ends[0] > 1000 * (len(sent) - 50) / 250, "and not all at once"
    assert p99["meanwhile"] < 1, said
