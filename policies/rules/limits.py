"""How often: limits by name, each counting one subject (a destination, a client, a prefix) in a sliding window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.duration import Duration, within
from policies.model import Circumstances, CodeSettings, Counter, Counts, Decision, Limit, Step
from policies.rules.finding import Finding


class Dimension(StrEnum):
    """What a limit can count by."""

    DESTINATION = "destination"
    IP = "ip"
    DEVICE = "device"
    NETWORK = "network"
    APP = "app"
    COUNTRY = "country"
    PREFIX = "prefix"
    EVERYTHING = "everything"


_ORDER = {dimension: place for place, dimension in enumerate(Dimension)}
_OF_NUMBERS = frozenset({Dimension.COUNTRY, Dimension.PREFIX})
_OF_CLIENTS = {Dimension.IP: "client.ip", Dimension.NETWORK: "client.ip", Dimension.DEVICE: "client.device"}
"""Whose value a start may leave out, in this field."""


def _several(value: object) -> object:
    if value == []:
        raise ValueError("write at least one dimension, such as destination")
    return [value] if isinstance(value, str) else value


def _in_order(dimensions: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
    """One order for one meaning, so that writing [country, ip] for [ip, country] doesn't empty the counters."""
    return tuple(sorted(dict.fromkeys(dimensions), key=_ORDER.__getitem__))


Per = Annotated[
    tuple[Dimension, ...],
    BeforeValidator(_several, json_schema_input_type=Dimension | list[Dimension]),
    AfterValidator(_in_order),
]


class LimitSettings(BaseModel):
    """At most so many in any window of time, for one subject."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    per: Per = Field(
        description="One of destination, ip, device, network (an IPv4 /24 or an IPv6 /48), app, country, prefix, "
        "everything; or a list of them."
    )
    amount: int = Field(ge=1, le=10_000_000, description="How many in any window.")
    window: Annotated[Duration, within("1s", "31d")] = Field(description="The length of the sliding window.")
    counts: Counts = Field(
        Counts.STARTS,
        description="starts: what a person asks for (of resends, only per: destination knows); "
        "sends: every message, the fallback's too.",
    )
    scope: Literal["policy", "app", "all"] = Field(
        "policy", description="What shares one counter: this policy in one app, all policies of the app, or all apps."
    )
    missing: int | None = Field(
        None, ge=1, le=10_000_000, description="Another amount for all requests, together, that name no ip or device."
    )
    shadow: bool = Field(False, description="Count and report, never refuse.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if Dimension.EVERYTHING in self.per and len(self.per) > 1:
            raise ValueError("per: everything is one counter for all: write it alone, or leave it out of the list")
        if self.counts is Counts.SENDS and self.per != (Dimension.DESTINATION,):
            raise ValueError(
                "counts: sends needs per: destination, because the step that records a fallback can reserve only in "
                "its destination's own counters and the others are kept elsewhere: write counts: starts"
            )
        if self.missing is not None and not _OF_CLIENTS.keys() & set(self.per):
            raise ValueError("missing is for a limit per ip, network or device: leave it out")
        return self


@dataclass(frozen=True, slots=True)
class Counting:
    """A policy's limits by the counter that they share: of one scope, by one dimension, counting one thing."""

    groups: tuple[tuple[tuple[str, LimitSettings], ...], ...]  # the first limit of each says what all have in common
    says: str


@dataclass(frozen=True, slots=True)
class Countings:
    """A limit that counts by country or prefix, and by nobody in particular, is about numbers: applied to email it
    would put every address of an app into one bucket. So it is left out where no number was given."""

    with_phone: Counting
    without_phone: Counting


def prepare(limits: Mapping[str, LimitSettings]) -> Countings:
    """Sort a policy's limits out, once."""
    pairs = tuple((name, limit) for name, limit in limits.items())
    return Countings(_counting(pairs), _counting(tuple(pair for pair in pairs if not _about_numbers(pair[1]))))


def _counting(limits: tuple[tuple[str, LimitSettings], ...]) -> Counting:
    names = [f"{name} (shadow)" if limit.shadow else name for name, limit in limits]
    groups: dict[object, list[tuple[str, LimitSettings]]] = {}
    for name, limit in limits:
        groups.setdefault((limit.scope, limit.per, limit.counts), []).append((name, limit))
    return Counting(tuple(map(tuple, groups.values())), f"counts {', '.join(names) or 'nothing'}")


def _about_numbers(limit: LimitSettings) -> bool:
    return bool(_OF_NUMBERS & set(limit.per)) and set(limit.per) <= _OF_NUMBERS | {Dimension.APP}


def judge(countings: Countings, policy: str, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Say what is to be counted. The store counts and may refuse; this rule never does."""
    counting = countings.without_phone if at.kind is None else countings.with_phone
    scopes = {"policy": f"{at.app}/{policy}", "app": at.app, "all": ""}
    counters = (_counter(group, scopes, at, of) for group in counting.groups for of in _subjects(group[0][1].per, at))
    return Finding(steps, counting.says, counters=tuple(counters))


def _subjects(per: tuple[Dimension, ...], at: Circumstances) -> list[tuple[str, ...]]:
    """What the subject is made of. Where a number and an address were given, each of them is a destination."""
    if Dimension.DESTINATION not in per:
        return [tuple(map(str, per))]
    given = [name for name, is_given in (("phone", at.kind is not None), ("email", at.mailbox)) if is_given]
    return [tuple(name if part is Dimension.DESTINATION else str(part) for part in per) for name in given]


def _counter(
    group: tuple[tuple[str, LimitSettings], ...], scopes: Mapping[str, str], at: Circumstances, of: tuple[str, ...]
) -> Counter:
    shared = group[0][1]
    scope, per = scopes[shared.scope], "+".join(shared.per)
    limits = (
        Limit(name, scope, per, "", _amount(limit, at), limit.window, limit.counts, limit.shadow)
        for name, limit in group
    )
    return Counter(scope, per, shared.counts, of, tuple(limits))


def unnamed(per: str, subjects: Mapping[str, str]) -> tuple[str, ...]:
    """The fields that a limit counts by and that the start leaves out: it shares a counter with all that do."""
    fields = [
        field for dimension, field in _OF_CLIENTS.items() if dimension in per.split("+") and not subjects[dimension]
    ]
    return tuple(dict.fromkeys(fields))


def _amount(limit: LimitSettings, at: Circumstances) -> int:
    named = {Dimension.IP: at.ip, Dimension.NETWORK: at.ip, Dimension.DEVICE: at.device}
    if limit.missing is None or all(named.get(dimension, True) for dimension in limit.per):
        return limit.amount
    return limit.missing


def with_cooldown(app: str, decision: Decision) -> tuple[Counter, ...]:
    """The counters of a decision with the limit that its code's cooldown is: a person who starts anew waits as long as
    one who asks for a resend. It counts those to whom the first message goes."""
    of = "email" if decision.steps[0].channel == "email" else "phone"
    return _with_cooldown(decision.counters, f"{app}/{decision.policy}", decision.code, of)


@lru_cache(maxsize=1024)
def _with_cooldown(counters: tuple[Counter, ...], scope: str, code: CodeSettings, of: str) -> tuple[Counter, ...]:
    if not code.waits:
        return counters
    alone = ("destination", Counts.STARTS, (of,))
    limit = Limit("cooldown", scope, "destination", "", 1, code.waits_window, waits=code.waits)
    for place, counter in enumerate(counters):
        if counter.scope == scope and (counter.per, counter.counts, counter.of) == alone:
            return (*counters[:place], Counter(scope, *alone, (*counter.limits, limit)), *counters[place + 1 :])
    return (*counters, Counter(scope, *alone, (limit,)))
