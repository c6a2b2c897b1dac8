"""One policy, one answer: a start, its explanation and its replay decide alike, whatever has happened before."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from gateway.service.requests import Refused, understood
from policies.engine import decide
from policies.model import Listed, Mode, Question
from policies.money import Tariff
from policies.replay import Replay
from policies.traffic import Started, read
from tests.support.world import CHANNELS, World

LONG = {f"{n} Общество с ограниченной ответственностью"[:40]: "ACME" for n in range(4)}
PEOPLE = [
    *(f"+1415555012{n}" for n in range(6)),
    "+14155550199",
    "+442079460018",  # a landline
    "+447400123456",
    "+447400123499",
    "+85251234567",  # of a country that is not served
]
TARIFF = Tariff(prices={("one", "sms"): {"": 50_000, "GB": 40_000}, ("two", "sms"): {"": 60_000}})


def policy(then: str, mode: str) -> dict[str, Any]:
    """A little of everything that can refuse, so tight that a story of an hour meets it."""
    eye = {"window": "20m", "block": {"first": "1m", "longest": "3m"}, "mode": mode}
    return {
        "extends": "default",
        "code": {"cooldown": "5s", "cooldown_growth": 2, "cooldown_max": "40s"},
        "limits": {
            "destination-10m": {"amount": 4},
            "ip-hour": {"amount": 20, "missing": 25},
            "prefix-hour": {"amount": 30, "shadow": True},
        },
        "guesses": {"delays": None},
        "countries": {"allow": ["US", "GB"], "rules": {"GB": {"channels": ["voice", "sms"]}}},
        "lists": {"deny": ["example.net"], "api_allow": True},
        "number_types": {"deny": ["fixed_line"]},
        "email": {"mixed_script": "deny"},
        "quiet_hours": {"channels": ["voice"], "starts": "06:00", "ends": "05:30"},
        "fraud": {
            "rules": {
                "prefix-conversion": {**eye, "minimum": 5, "ripe": "30s", "patience": "10s", "floor": 0.5},
                "range-conversion": None,
                "country-conversion": None,
                "adjacent": {**eye, "amount": 7},
                "client-countries": {**eye, "amount": 2},
            }
        },
        "spend": {
            "max_price": "0.30 USD",
            "unknown_price": "0.20 USD",
            "caps": {
                "country-day": {"amount": "3 USD", "window": "hour"},
                "app-day": {"amount": "4.10 USD", "then": then, "window": "hour"},
            },
        },
        "fallback": [{"channel": c, "wait": "10s"} for c in ("sms", "voice", "whatsapp", "email")],
    }


class Story:
    """What people, an app and an operator do to one gateway, and what it said of every start."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.dice = world, random.Random(seed)  # noqa: S311 - which story is told is no secret
        self.lines: list[dict[str, Any]] = []
        self.open: dict[str, str] = {}  # verifications, and to whom
        self.asked: list[tuple[Question, str, tuple[str, ...]]] = []  # what refused, or else the channels of the steps
        world.wire(replace(world.setup, record=self))

    def write(self, line: dict[str, Any]) -> None:
        self.lines.append(json.loads(json.dumps(line)))

    async def go_on(self) -> None:
        await self.world.after(self.dice.choice([0, 0, 1, 5, 11, 40]))
        await self.dice.choice([self._start, self._start, self._start, self._resend, self._type, self._say])()
        await self.world.settle()

    async def _start(self) -> None:
        dice = self.dice
        fields: dict[str, Any] = {"phone": dice.choice(PEOPLE)}
        if dice.random() < 0.3:
            fields["email"] = dice.choice(["ana@example.org", "bo@example.net", "cy@exаmple.com"])
        if dice.random() < 0.2:
            fields["channels"] = tuple(dice.sample(["sms", "voice", "email"], dice.randint(1, 3)))
        fields["ip"] = dice.choice(["", "203.0.113.7", "2001:db8::1"])
        fields["context"] = LONG if dice.random() < 0.2 else {}
        fields["code"] = "482913" if dice.random() < 0.2 else None
        try:
            begun = await self.world.begin(**fields)
        except Refused:
            channels: tuple[str, ...] = ()
        else:
            self.open[begun.verification.id] = fields["phone"]
            channels = tuple(step.channel for step in begun.verification.steps)
        line = next(line for line in reversed(self.lines) if line["event"] == "start")
        self.asked.append((self._question(line, **fields), line.get("refused", ""), channels))

    def _question(self, line: dict[str, Any], **fields: Any) -> Question:
        """As `explain` and a case of `policy test` put it: whom it is about in the clear, and what stores know said."""
        to = understood(fields["phone"], fields.get("email"))
        return Question(
            "shop",
            "default",
            to.phone,
            to.email,
            fields.get("channels", ()),
            ip=fields["ip"],
            now=line["at"],
            suppressed=tuple(line.get("opted_out", ())),
            listed=Listed(**line.get("listed", {})),
            own_code=fields["code"] is not None,
            stretch=line.get("stretch", 1),
        )

    async def _resend(self) -> None:
        if self.open:
            verification, channel = self.dice.choice(list(self.open)[-4:]), self.dice.choice([None, "voice", "email"])
            with suppress(Refused):
                await self.world.verifications.resend("shop", verification, channel)

    async def _type(self) -> None:
        if self.open:
            del self.open[verification := self.dice.choice(list(self.open))]
            if any(message.reference.startswith(verification) for message in self.world.sent):
                await self.world.check(verification, self.world.code(verification))

    async def _say(self) -> None:
        to = understood(self.dice.choice(PEOPLE), None)
        match self.dice.randrange(3):
            case 0 if to.number not in self.open.values():  # what is queued and then not sent is not recorded
                await self.world.suppressions.add("shop", to, ["sms"])
            case 1:
                await self.world.suppressions.lift("shop", to)
            case _:
                word = self.dice.choice(["deny", "allow", "allow"])
                await self.world.lists.add("shop", to.number, word, "app", 120_000)  # type: ignore[arg-type] # a word


@pytest.fixture(params=[("refuse", "enforce"), ("free", "challenge"), ("free", "shadow"), ("refuse", "monitor")])
async def told(valkey: str, request: Any) -> AsyncIterator[Story]:
    then, mode = request.param
    orders = dict.fromkeys(CHANNELS, ("one",))  # a replay prices the first of each step
    async with World(valkey, policies={"default": policy(then, mode)}, orders=orders, tariff=TARIFF) as world:
        story = Story(world, seed=102 + len(then + mode))
        for _ in range(250):
            await story.go_on()
        yield story


async def test_what_was_recorded_is_decided_again_as_it_was(told: Story) -> None:
    compiled = told.world.setup.policies["default"]
    replay = Replay(lambda _: compiled, lambda _: compiled)
    other: list[tuple[Any, ...]] = []
    for place, line in enumerate(told.lines):
        event = read(line)
        before = replay.found.as_recorded
        replay.take(event)
        if isinstance(event, Started) and replay.found.as_recorded == before:
            other.append((place, event.refused, dict(replay.found.before.refused)))
    assert other == []
    refused = Counter(line.get("refused", "") for line in told.lines if line["event"] == "start")
    assert len(refused) > 6, refused
    messages: Counter[str] = Counter()
    for (channel, _), number in replay.found.before.messages.items():
        messages[channel] += number
    assert messages == Counter(message.channel for message in told.world.sent)


STATELESS = ("address", "channels", "lists", "country", "number_type", "email", "suppression", "quiet_hours")
"""The rules that need no count of anything: what they say is known before a store is asked."""


async def test_a_start_is_decided_as_it_is_explained(told: Story) -> None:
    compiled = told.world.setup.policies["default"]
    for question, refused, channels in told.asked:
        asked = decide(compiled, question)
        said = asked.refusal.rule if asked.refusal else ""
        if said in STATELESS or refused in STATELESS:
            assert said == refused, asked.notes
        elif channels:  # as it stands, or as a used-up cap or a suspicion leaves it
            others = question._replace(only_free=True), question._replace(suspected=Mode.CHALLENGE)
            possible = [asked, *(decide(compiled, other) for other in others)]
            assert channels in [tuple(step.channel for step in one.steps) for one in possible]
