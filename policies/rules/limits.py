"""How often: limits by name, each counting one subject (a destination, a client, a prefix) in a sliding window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.duration import Duration, within
from policies.model import CodeSettings, Counts, Limit, Question, Step
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
_OF_CLIENTS = frozenset({Dimension.IP, Dimension.DEVICE, Dimension.NETWORK})


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
        if self.missing is not None and not _OF_CLIENTS & set(self.per):
            raise ValueError("missing is for a limit per ip, network or device: leave it out")
        return self


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit with what can be said of it before anybody asks."""

    name: str
    settings: LimitSettings
    per: str  # the dimensions, joined
    of_destination: bool
    clients: tuple[Dimension, ...]  # those of its dimensions that a caller may leave out


@dataclass(frozen=True, slots=True)
class Counting:
    """A policy's limits, ready to be given their subjects."""

    counters: tuple[Counter, ...]
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
    return Counting(tuple(_counter(*pair) for pair in limits), f"counts {', '.join(names) or 'nothing'}")


def _counter(name: str, settings: LimitSettings) -> Counter:
    return Counter(
        name=name,
        settings=settings,
        per="+".join(settings.per),
        of_destination=Dimension.DESTINATION in settings.per,
        clients=tuple(dimension for dimension in settings.per if dimension in _OF_CLIENTS),
    )


def _about_numbers(limit: LimitSettings) -> bool:
    return bool(_OF_NUMBERS & set(limit.per)) and set(limit.per) <= _OF_NUMBERS | {Dimension.APP}


def judge(countings: Countings, policy: str, question: Question, steps: tuple[Step, ...]) -> Finding:
    """Say what is to be counted. The store counts and may refuse; this rule never does."""
    counting = countings.without_phone if question.phone is None else countings.with_phone
    scopes = {"policy": f"{question.app}/{policy}", "app": question.app, "all": ""}
    values = _values(question)
    addresses = _addresses(question)
    limits = [
        _limit(counter, scopes[counter.settings.scope], values, address)
        for counter in counting.counters
        for address in (addresses if counter.of_destination else addresses[:1])
    ]
    return Finding(steps, counting.says, limits=tuple(limits))


def cooldown(app: str, policy: str, target: str, code: CodeSettings) -> tuple[Limit, ...]:
    """The limit that a code's cooldown is: a person who starts anew waits as long as one who asks for a resend."""
    if not code.waits:
        return ()
    return (Limit("cooldown", f"{app}/{policy}", "destination", target, 1, code.waits_window, waits=code.waits),)


def _addresses(question: Question) -> tuple[str, ...]:
    phone = (question.phone.e164,) if question.phone else ()
    return (*phone, question.email.key) if question.email else phone


def _values(question: Question) -> dict[Dimension, str]:
    phone = question.phone
    return {
        Dimension.IP: network(question.ip),
        Dimension.DEVICE: question.device,
        Dimension.NETWORK: neighbourhood(question.ip),
        Dimension.APP: question.app,
        Dimension.COUNTRY: phone.country if phone else "",
        Dimension.PREFIX: phone.prefix if phone else "",
        Dimension.EVERYTHING: "",
    }


def _limit(counter: Counter, scope: str, values: Mapping[Dimension, str], address: str) -> Limit:
    settings = counter.settings
    parts = [address if dimension is Dimension.DESTINATION else values[dimension] for dimension in settings.per]
    # A device is the caller's free text, so lengths keep the parts apart: ("a+b", "c") is not ("a", "b+c").
    subject = parts[0] if len(parts) == 1 else "".join(f"{len(part)}:{part}" for part in parts)
    amount = settings.amount
    if settings.missing is not None and not all(values[dimension] for dimension in counter.clients):
        amount = settings.missing
    return Limit(
        name=counter.name,
        scope=scope,
        per=counter.per,
        subject=subject,
        amount=amount,
        window=settings.window,
        counts=settings.counts,
        shadow=settings.shadow,
    )


@lru_cache(maxsize=4096)
def neighbourhood(ip: str) -> str:
    """What an address was probably rented with: an IPv4 /24, the smallest that the internet routes, or the /48 that
    a site is given (RFC 6177 §2). "" as for `network`."""
    client = network(ip)
    if not client:
        return ""
    if "." in client:
        return f"{client.rpartition('.')[0]}.0/24"
    return f"{IPv6Address(int(IPv6Address(client.partition('/')[0])) >> 80 << 80)}/48"


@lru_cache(maxsize=4096)
def network(ip: str) -> str:
    """What one client is: an IPv4 address, or the /64 of an IPv6 one, which is what a single line is given (RFC 6177
    §2, RFC 7421 §1). An IPv4 address dressed as IPv6 is IPv4. No address, or none that can be read, is ""."""
    try:
        address: IPv4Address | IPv6Address = ip_address(ip)
    except ValueError:
        return ""
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
