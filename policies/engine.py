"""Runs a policy's rules in order: the first refusal wins, and a rule in shadow only notes what it would have done.

A question is taken apart first: into whom it is about (numbers, addresses, clients), and its circumstances, which are
all that a rule may look at. What the rules say is remembered by the circumstances, of which few are common; whom it is
about is filled in each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from types import MappingProxyType
from typing import TypeVar

from policies.model import (
    Circumstances,
    CodeSettings,
    Decision,
    GuessBudget,
    Mode,
    Night,
    Note,
    Outline,
    Question,
    Step,
)
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
    subjects,
    suppression,
)
from policies.rules.finding import Finding
from policies.schema import PolicySettings, revision

T = TypeVar("T")
_REMEMBERED = 512
"""Circumstances whose outline a policy remembers, at about two kilobytes each."""
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
    quiet: quiet_hours.Quiet
    shadows: frozenset[str]  # the rules that only note what they would have done
    outlines: Callable[[Circumstances], Outline] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "outlines", lru_cache(_REMEMBERED)(partial(outline, self)))


def _number_type(policy: Policy, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    if at.listed.phone == "allow":
        return Finding(steps, "on the allow list")
    return number_type.judge(policy.settings.number_types, at, steps)


def _email(policy: Policy, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    if at.listed.email == "allow":
        return Finding(steps, "on the allow list")
    return email.judge(policy.mailboxes, at, steps)


def _fraud(policy: Policy, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    if at.listed.phone == "allow":
        return Finding(steps, "on the allow list")
    return fraud.judge(policy.eyes, at, steps)


Judge = Callable[[Policy, Circumstances, tuple[Step, ...]], Finding]

RULES: tuple[tuple[str, Judge], ...] = (
    ("address", lambda _, at, steps: address.judge(at, steps)),
    ("channels", lambda _, at, steps: channels.judge(at, steps)),
    ("lists", lambda _, at, steps: lists.judge(at, steps)),
    ("country", lambda policy, at, steps: country.judge(policy.settings.countries, at, steps)),
    ("number_type", _number_type),
    ("email", _email),
    ("route", lambda _, at, steps: route.judge(at, steps)),
    ("suppression", lambda policy, at, steps: suppression.judge(policy.settings.suppression, at, steps)),
    ("quiet_hours", lambda policy, at, steps: quiet_hours.judge(policy.quiet, at, steps)),
    ("fraud", _fraud),
    ("spend", lambda policy, at, steps: spend.judge(policy.spending, at, steps)),
    ("limits", lambda policy, at, steps: limits.judge(policy.countings, policy.name, at, steps)),
    ("code", lambda policy, _, steps: Finding(steps, policy.code_says)),
)
"""The rules in their order: what is cheap to say and final comes first. None of them sees whom a question is about, so
that what they say is the same for everybody in the same circumstances."""

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
        quiet=quiet_hours.prepare(settings.quiet_hours, settings.code.expiry),
        shadows=_shadows(settings),
    )


def decide(policy: Policy, question: Question) -> Decision:
    """Answer one question. Never raises, never waits, and always gives the same answer to the same question."""
    whom = subjects.of(question)
    quiet = quiet_hours.stretches(policy.quiet, question)
    found = policy.outlines(_circumstances(policy, question, whom, quiet_hours.night(policy.quiet, question, quiet)))
    return Decision(
        policy.name,
        policy.revision,
        found.refusal,
        policy.code,
        quiet_hours.marked(found.steps, found.silent, quiet) if found.silent else found.steps,
        found.counters,
        whom,
        found.caps,
        policy.guesses,
        fraud.watches(found.eyes, question.phone, whom),
        found.treatment,
        found.suspicions,
        found.notes,
        found,
    )


def _circumstances(policy: Policy, question: Question, whom: Mapping[str, str], night: Night) -> Circumstances:
    phone = question.phone
    return Circumstances(
        question.app,
        whom["country"],
        phone.type if phone else None,
        question.email is not None,
        question.channels,
        whom["ip"] != "",
        whom["device"] != "",
        whom["range"] != "",
        question.suppressed,
        lists.words(policy.lists, question),
        email.flaws(policy.mailboxes, question),
        fraud.ranges(policy.eyes, question),
        night,
        question.only_free,
        question.own_code,
        question.suspected,
        question.suspected_by,
        question.stretch,
    )


def outline(policy: Policy, at: Circumstances) -> Outline:
    """Run the rules."""
    steps = policy.routes.to(at.country)
    passed: list[Finding] = []
    notes: list[Note] = []
    for name, judge in RULES:
        found = judge(policy, at, steps)
        shadow = name in policy.shadows
        notes.append(Note(name, found.says, refused=found.refusal is not None, shadow=shadow))
        if shadow:
            continue
        passed.append(found)
        if found.refusal is not None:
            break
        steps = found.steps
    return _outline(passed, tuple(notes))


def _outline(passed: Sequence[Finding], notes: tuple[Note, ...]) -> Outline:
    """What the rules that count have found, put together. The last of them may have refused."""
    refusal = passed[-1].refusal
    treatment = next((found.treatment for found in passed if found.treatment is not Mode.MONITOR), Mode.MONITOR)
    spends = refusal is None and treatment is not Mode.SHADOW
    return Outline(
        refusal=refusal,
        steps=() if refusal else passed[-1].steps,
        silent=frozenset(channel for found in passed for channel in found.silent),
        counters=() if refusal else _all(found.counters for found in passed),
        caps=_all(found.caps for found in passed) if spends else (),
        eyes=() if refusal else _all(found.eyes for found in passed),
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
