"""What a seed stands for: how many processes and people, under which policy, and what goes wrong how often."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from gateway.core.machine import Pace
from policies.money import Tariff

FAULTS: Mapping[str, float] = {
    # how likely each is wherever it can strike
    "kill": 0.02,  # a process ends between any two steps, and another takes its place
    "pause": 0.02,  # a process stands still, mostly for longer than its lease, and then goes on as if nothing were
    "refuse": 0.04,  # the store fails before it did what it was asked
    "lose": 0.04,  # the store did it, and its answer is lost
    "slow": 0.2,  # the store, or the way back from a vendor, takes up to SLOWEST
    "suspend": 0.01,  # the same for a whole machine, up to a minute: its own clock has stood still too
    "unarm": 0.5,  # once in a run: a timer is lost
    "vendor": 0.4,  # a vendor refuses, stalls, breaks off, or its module has a bug
    "report": 0.6,  # a vendor's report is lost, late, doubled, out of order or forged
    "guesser": 0.4,  # somebody who does not get the messages, and tries codes
    "person": 0.5,  # people mistype, ask again, give up, press the button twice
}

HARD = frozenset({"kill", "pause", "refuse", "lose", "suspend", "unarm"})
"""Without these nothing may go out twice."""
SLOWEST = 0.3  # seconds: so short that no lease ends by it alone

CHANNELS = ("sms", "voice", "email")
PHONES = ("+14155550123", "+447400123456")
EMAIL = "ana@example.org"
GUESSES, SENDS = 3, 8
"""What one destination may have in a run: failed checks, and messages. No window of these ends within a run."""
CARRIERS = ("one", "two")
TARIFF = Tariff(
    prices={
        (name, channel): {"": price}
        for channel, prices in {"sms": (8_000, 9_000), "voice": (20_000, 14_000)}.items()
        for name, price in zip(CARRIERS, prices, strict=True)
    }
)
"""In millionths of a dollar. Email costs nothing."""


@dataclass(frozen=True)
class Plan:
    """One run. Times in seconds, but for the pace's."""

    seed: int
    policy: int  # which of `policies`
    processes: int
    people: int
    faults: Mapping[str, float]
    poll: float
    sweep: float
    pace: Pace
    trouble: float  # when the last fault strikes and the last person comes; from then on everything must mend

    def random(self, name: str) -> Random:
        """A stream of its own for each part of the world, so that leaving one out does not change the others."""
        return Random(f"{self.seed} {name}")  # noqa: S311 - chance, that a seed can repeat


def plan(seed: int, only: Collection[str] | None = None, people: int | None = None) -> Plan:
    """The plan of a seed. `only` keeps these faults of those that it has; `people` at most so many of its people.

    Each seed has some kinds of fault and not others: a run with all of them hardly gets anywhere, and what needs two of
    them and a third one's absence is found as well.
    """
    random = Random(f"{seed} plan")  # noqa: S311
    drawn = Plan(
        seed=seed,
        policy=random.randrange(POLICIES),
        processes=random.choice((1, 2, 2, 3)),
        people=random.randint(1, 4),
        faults=_drawn(random),
        poll=random.uniform(4, 16),
        sweep=random.uniform(15, 40),
        pace=Pace(lease=random.randrange(6_000, 12_000), min_useful=10_000),
        trouble=random.uniform(20, 120),
    )
    kept = drawn.faults if only is None else {kind: rate for kind, rate in drawn.faults.items() if kind in only}
    return replace(drawn, faults=kept, people=min(people or drawn.people, drawn.people))


def _drawn(random: Random) -> dict[str, float]:
    gentle = random.random() < 0.2
    kinds = [kind for kind in FAULTS if random.random() < 0.5 and not (gentle and kind in HARD)]
    return {kind: FAULTS[kind] for kind in kinds}


POLICIES = 24
"""Policies are costly to compile, so runs share them."""


def _caps(random: Random) -> dict[str, Any]:
    """None, or one or two that a few messages use up. An hour ends in the middle of some runs."""
    caps = {
        "day": {"per": "everything", "window": "day", "amount": f"{random.choice((0.03, 0.06, 0.09))} USD"},
        "hour": {"per": "app", "window": "hour", "amount": f"{random.choice((0.02, 0.05))} USD"},
    }
    kept = random.sample(sorted(caps), random.choice((0, 1, 1, 2)))
    return {name: {**caps[name], "then": random.choice(("refuse", "refuse", "free"))} for name in kept}


def policy(number: int) -> dict[str, Any]:
    """One policy: short lives, so that a run ends soon, and limits that are reached."""
    random = Random(f"policy {number}")  # noqa: S311
    chain = [random.choice(CHANNELS) for _ in range(random.randint(1, 4))]
    windows = {"window": "24h", "scope": "app", "per": "destination"}
    return {
        "extends": None,
        "code": {
            "expiry": f"{random.randrange(60, 150)}s",
            "checks": random.randint(1, 5),
            "resend": random.choice(("same", "same", "new")),
            "cooldown": random.choice(("0s", "0s", "7s")),
        },
        "guesses": {"amount": GUESSES, "window": "24h"},
        "limits": {
            "sends": {**windows, "amount": SENDS, "counts": "sends"},
            "starts": {**windows, "amount": random.choice((6, 20)), "counts": "starts"},
        },
        "countries": {"allow": ["US", "GB"]},
        "fallback": [{"channel": channel, "wait": f"{random.randrange(3, 15)}s"} for channel in chain],
        "spend": {"caps": _caps(random)},
    }
