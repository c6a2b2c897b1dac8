"""Which provider of a step goes first: the policy says how that is decided, and here it is, once for a verification.

Chance is drawn from the verification's random id, so that an order can be worked out again from the id, the weights and
the log.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import partial

from channels.contract import Channel, Cost
from gateway.guard.circuits import zone_of
from gateway.guard.judge import Way
from gateway.service.setup import Setup
from policies.model import Decision, Note, Step
from policies.rules.route import REFUSAL

RULE = "order"
"""Under this name the notes of a decision tell why its providers stand as they do."""


def available(setup: Setup, decision: Decision) -> Decision:
    """The decision less the providers that an operator has switched off; refused when no step is left."""
    off = setup.switches.off
    if not off or decision.refusal or off.keys().isdisjoint(p for step in decision.steps for p in step.providers):
        return decision
    less = (
        step._replace(
            providers=tuple(provider for provider in step.providers if provider not in off),
            weights=tuple((provider, weight) for provider, weight in step.weights if provider not in off),
        )
        for step in decision.steps
    )
    steps = tuple(step for step in less if step.providers)
    absent = sorted(off.keys() & {provider for step in decision.steps for provider in step.providers})
    note = Note(RULE, f"switched off: {', '.join(absent)}", refused=not steps)
    return decision._replace(steps=steps, notes=(*decision.notes, note), refusal=None if steps else REFUSAL)


def arranged(setup: Setup, decision: Decision, verification: str, phone: str, country: str) -> Decision:
    """The decision with every step's providers in the order in which this verification tries them."""
    if all(_stands(setup, step, phone) for step in decision.steps):
        return decision
    steps, notes = [], []
    for index, step in enumerate(decision.steps):
        where = zone_of(step.channel, phone), "" if step.channel == Channel.EMAIL else country
        found = _arranged(setup, step, Chance(f"{verification} {index}"), *where)
        steps.append(found.step)
        if found.why:
            notes.append(Note(RULE, f"{step.channel}: {', '.join(found.step.providers)}: {'; '.join(found.why)}"))
    return decision._replace(steps=tuple(steps), notes=(*decision.notes, *notes))


def _stands(setup: Setup, step: Step, phone: str) -> bool:
    """Whether the step is tried as it is written, as most are: by a fixed order, in which nobody has done badly."""
    if step.order != "fixed":
        return False
    if len(step.providers) == 1:  # nobody could take its place
        return True
    zone, now = zone_of(step.channel, phone), setup.store.now()
    return not any(setup.judge.bad(Way(provider, step.channel, zone), now) for provider in step.providers)


def told(decision: Decision) -> list[str]:
    """What the notes of a decision say of its order."""
    return [note.says for note in decision.notes if note.rule == RULE]


@dataclass(frozen=True, slots=True)
class Chance:
    """Numbers from 0 up to 1, each drawn for a purpose and always the same for it."""

    of: str

    def draw(self, purpose: str) -> float:
        digest = hashlib.sha256(f"{self.of} {purpose}".encode()).digest()
        return int.from_bytes(digest[:6]) / 2**48


@dataclass(frozen=True, slots=True)
class _Arranged:
    step: Step
    why: list[str]


def _arranged(setup: Setup, step: Step, chance: Chance, zone: str, country: str) -> _Arranged:
    now = setup.store.now()
    order, why = _by_mode(setup, step, chance, zone, country, now)
    bad = {
        provider: reason for provider in order if (reason := setup.judge.bad(Way(provider, step.channel, zone), now))
    }
    if len(bad) < len(order):  # else nobody is better than anybody, and the order stays
        order = (*(provider for provider in order if provider not in bad), *bad)
        why += [f"{provider} is behind for {reason}" for provider, reason in bad.items()]
    others = [provider for provider in order[1:] if provider in bad or step.order == "adaptive"]
    explored = _explored(others, chance, setup.judge.terms.exploration)
    if explored:
        order = (explored, *(provider for provider in order if provider != explored))
        why.append(f"{explored} goes first this time, to see how it does")
    return _Arranged(step._replace(providers=order, order="fixed", weights=()), why)


def _by_mode(
    setup: Setup, step: Step, chance: Chance, zone: str, country: str, now: int
) -> tuple[tuple[str, ...], list[str]]:
    match step.order:
        case "weighted":
            shares = ", ".join(f"{provider} {weight}" for provider, weight in step.weights)
            return weighted(step.weights, chance), [f"weighted {shares}"]
        case "adaptive":
            price = partial(_price, setup, step.channel, country)
            return setup.judge.cheapest(step.channel, zone, step.providers, price, now, country), ["adaptive"]
        case _:
            return step.providers, []


def _price(setup: Setup, channel: str, country: str, provider: str) -> Cost | None:
    micros = setup.tariff.price(provider, channel, country)
    return None if micros is None else Cost(micros, setup.tariff.currency)


def weighted(weights: tuple[tuple[str, int], ...], chance: Chance) -> tuple[str, ...]:
    """Each place in the order is drawn by weight from those that are left (Efraimidis and Spirakis, 2006); without a
    weight, behind, as written. A provider's own draw stays when another's weight is changed, so that a migration moves
    those verifications that it has to and no others."""

    def waits(provider: str, weight: int) -> float:
        return -math.log(1 - chance.draw(provider)) / weight if weight else math.inf

    return tuple(provider for provider, _ in sorted(weights, key=lambda share: waits(*share)))


def _explored(others: list[str], chance: Chance, floor: float) -> str:
    """One of those behind the first, in the share of verifications that is set aside to measure them; mostly ""."""
    if not others or chance.draw("explore?") >= floor:
        return ""
    return others[int(chance.draw("explore whom?") * len(others))]
