"""What the use-cases record of each decision, and that a replay of it decides as the gateway did."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.service.requests import Denied, Limited
from policies.replay import Replay
from policies.traffic import read
from tests.service.conftest import Worlds
from tests.support.world import EMAIL, PHONE, POLICY, World


class Lines:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, line: dict[str, Any]) -> None:
        self.lines.append(json.loads(json.dumps(line)))


def recording(world: World) -> list[dict[str, Any]]:
    lines = Lines()
    world.wire(replace(world.setup, record=lines))
    return lines.lines


def briefly(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(line["event"], *(line[k] for k in ("refused", "step", "by", "status") if k in line)) for line in lines]


async def test_a_story_is_recorded_from_its_start_over_its_messages_to_its_end(world: World) -> None:
    lines = recording(world)
    v = await world.start(phone=PHONE, email=EMAIL, ip="203.0.113.7", device="d-1", channels=("sms", "voice", "email"))
    await world.after(30)
    await world.verifications.resend("shop", v.id, "email")
    await world.settle()
    await world.check(v, world.code(v))
    assert briefly(lines) == [
        ("start",),
        ("message", 1, "fallback"),
        ("message", 2, "resend"),
        ("end", "approved"),
    ]
    assert len({line["id"] for line in lines}) == 1
    assert (lines[0]["phone"]["masked"], lines[0]["email"]["masked"]) == ("+1415*****23", "a**@example.org")
    assert (lines[0]["channels"], lines[3]["channel"]) == (["sms", "voice", "email"], "email")


async def test_every_way_to_end_is_recorded_once(world: World) -> None:
    lines = recording(world)
    canceled, expired = await world.start(phone=PHONE), await world.start(phone="+14155550124")
    await world.verifications.cancel("shop", canceled.id)
    for _ in range(4):
        await world.after(600)
    assert [line["status"] for line in lines if line["event"] == "end"] == ["canceled", "expired"]
    assert expired.id not in json.dumps(lines)


async def test_refusals_are_recorded_with_what_refused_and_replay_as_they_were(worlds: Worlds) -> None:
    raw = {**POLICY, "limits": {"destination-10m": {"amount": 2}}}
    world = worlds(policies={"default": raw})
    lines = recording(world)
    for to in (PHONE, PHONE, PHONE, "+919812345678"):
        try:
            await world.start(phone=to)
        except (Denied, Limited):
            continue
    assert briefly(lines) == [
        ("start",),
        ("start",),
        ("start", "limits:destination-10m"),
        ("start", "country"),
    ]
    policy = world.setup.policies["default"]
    replay = Replay(lambda _: policy, lambda _: policy)
    for line in lines:
        replay.take(read(line))
    assert (replay.found.starts, replay.found.as_recorded, replay.found.changed) == (4, 4, 0)


async def test_a_start_that_is_repeated_is_recorded_once(world: World) -> None:
    lines = recording(world)
    for _ in range(2):
        await world.begin(phone=PHONE, idempotency_key="k", body=b"{}")
    await world.settle()
    assert briefly(lines) == [("start",)]


@pytest.mark.parametrize("secret", [PHONE[1:], EMAIL, "203.0.113.7", "d-81"])
async def test_no_line_says_who_was_meant(world: World, secret: str) -> None:
    lines = recording(world)
    v = await world.start(phone=PHONE, email=EMAIL, ip="203.0.113.7", device="d-81")
    await world.check(v, world.code(v))
    told = json.dumps(lines)
    assert secret not in told
    assert world.code(v) not in told
    assert v.id not in told


async def test_nothing_is_recorded_unless_it_is_asked_for(world: World) -> None:
    assert world.setup.record is None
    await world.start(phone=PHONE)
