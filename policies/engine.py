"""Runs a policy's rules in order: the first refusal wins, and a rule in shadow only notes what it would have done."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import TypeVar

from policies.model import CodeSettings, Decision, GuessBudget, Mode, Note, Question, Step
from policies.money import Tariff
from policies.rules import (
    address,
    channels,
    code,
    country,
    email,
    fraud,
    limits,
    lists,
    number_type,
    quiet_hours,
    route,
    spend,
    suppression,
)
from policies.rules.finding import Finding
from policies.schema import PolicySettings, revision

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # no slash: a limit's scope is "app/policy"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy, worked out as far as it can be before a question is asked."""

    name: str
    revision: str
    settings: PolicySettings
    routes: route.Routes
    countings: limits.Countings
    spending: spend.Spending
    code: CodeSettings
    code_says: str
    lists: lists.Lists
    mailboxes: email.Mailboxes
    eyes: fraud.Eyes
    guesses: GuessBudget
    shadows: frozenset[str]  # the rules that only note what they would have done


def _number_type(policy: Policy, question: Question, steps: tuple[Step, ...]) -> Finding:
    if lists.words(policy.lists, question).phone == "allow":
        return Finding(steps, "on the allow list")
    return number_type.judge(policy.settings.number_types, question, steps)


def _email(policy: Policy, question: Question, steps: tuple[Step, ...]) -> Finding:
    if lists.words(policy.lists, question).email == "allow":
        return Finding(steps, "on the allow list")
    return email.judge(policy.mailboxes, question, steps)


def _quiet_hours(policy: Policy, question: Question, steps: tuple[Step, ...]) -> Finding:
    return quiet_hours.judge(policy.settings.quiet_hours, policy.code.expiry, question, steps)


def _fraud(policy: Policy, question: Question, steps: tuple[Step, ...]) -> Finding:
    if lists.words(policy.lists, question).phone == "allow":
        return Finding(steps, "on the allow list")
    return fraud.judge(policy.eyes, question, steps)


Judge = Callable[[Policy, Question, tuple[Step, ...]], Finding]

RULES: tuple[tuple[str, Judge], ...] = (
    ("address", lambda _, question, steps: address.judge(question, steps)),
    ("channels", lambda _, question, steps: channels.judge(question, steps)),
    ("lists", lambda policy, question, steps: lists.judge(policy.lists, question, steps)),
    ("country", lambda policy, question, steps: country.judge(policy.settings.countries, question, steps)),
    ("number_type", _number_type),
    ("email", _email),
    ("route", lambda _, question, steps: route.judge(question, steps)),
    ("suppression", lambda policy, question, steps: suppression.judge(policy.settings.suppression, question, steps)),
    ("quiet_hours", _quiet_hours),
    ("fraud", _fraud),
    ("spend", lambda policy, question, steps: spend.judge(policy.spending, question, steps)),
    ("limits", lambda policy, question, steps: limits.judge(policy.countings, policy.name, question, steps)),
    ("code", lambda policy, _, steps: Finding(steps, policy.code_says)),
)
"""The rules in their order: what is cheap to say and final comes first."""

EXCUSED = frozenset({"number_type", "email", "fraud"})
"""The rules that an entry of an allow list excuses from."""


def compile_policy(
    name: str,
    settings: PolicySettings,
    orders: Mapping[str, tuple[str, ...]],
    available: Mapping[str, Collection[str]] | None = None,
    contents: lists.Contents = MappingProxyType({}),
    disposable: frozenset[str] = frozenset(),
    tariff: Tariff | None = None,
) -> Policy:
    """Work a policy out. Raises ValueError for a name that can't be used, and for an amount in a currency without a
    rate.

    `orders` is each channel's own order of providers. `available` is every provider that is configured and enabled, by
    channel: others that the policy names are passed over. None takes all that it names to be there. `contents` is what
    the files say that the policy names, and `disposable` the domains of disposable mailboxes that ship. `tariff` is
    what messages cost; without one no price is known, and amounts are in USD.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError("a policy's name has letters, digits, dots, hyphens and underscores, 64 at the most")
    return Policy(
        name=name,
        revision=revision(settings, contents),
        settings=settings,
        routes=route.plan(settings.fallback, settings.countries.rules, orders, available),
        countings=limits.prepare(settings.limits),
        spending=spend.prepare(settings.spend, tariff or Tariff()),
        code=code.settle(settings.code),
        code_says=code.describe(settings.code),
        lists=lists.prepare(settings.lists, contents),
        mailboxes=email.prepare(settings.email, disposable, contents),
        eyes=fraud.prepare(settings.fraud),
        guesses=code.budget(settings.guesses),
        shadows=_shadows(settings),
    )


def decide(policy: Policy, question: Question) -> Decision:
    """Answer one question. Never raises, never waits, and always gives the same answer to the same question."""
    steps = policy.routes.to(question)
    passed: list[Finding] = []
    notes: list[Note] = []
    for name, judge in RULES:
        found = judge(policy, question, steps)
        shadow = name in policy.shadows
        notes.append(Note(name, found.says, refused=found.refusal is not None, shadow=shadow))
        if shadow:
            continue
        passed.append(found)
        if found.refusal is not None:
            break
        steps = found.steps
    return _decision(policy, passed, tuple(notes))


def _decision(policy: Policy, passed: Sequence[Finding], notes: tuple[Note, ...]) -> Decision:
    """What the rules that count have found, put together. The last of them may have refused."""
    refusal = passed[-1].refusal
    treatment = next((found.treatment for found in passed if found.treatment is not Mode.MONITOR), Mode.MONITOR)
    spends = refusal is None and treatment is not Mode.SHADOW
    return Decision(
        policy=policy.name,
        revision=policy.revision,
        refusal=refusal,
        code=policy.code,
        steps=() if refusal else passed[-1].steps,
        limits=() if refusal else _all(found.limits for found in passed),
        caps=_all(found.caps for found in passed) if spends else (),
        guesses=policy.guesses,
        watches=() if refusal else _all(found.watches for found in passed),
        treatment=treatment,
        suspicions=_all(found.suspicions for found in passed),
        notes=notes,
    )


def _all(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(parts))


def _shadows(settings: PolicySettings) -> frozenset[str]:
    shadows = {
        "country": settings.countries.shadow,
        "number_type": settings.number_types.shadow,
        "lists": settings.lists.shadow,
    }
    return frozenset(rule for rule, shadow in shadows.items() if shadow)
