"""Abuse: what to keep an eye on, from which numbers on it is suspicious, and what becomes of traffic that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies import entries
from policies.duration import Duration, within
from policies.model import Blocking, ChannelName, Circumstances, Eye, Mode, Phone, Question, Refusal, Step, Watch
from policies.rules.finding import Finding, sift
from policies.rules.number_type import Types
from policies.watches import MOST_ITEMS

Per = Literal["prefix", "range", "country", "app", "ip", "network", "device"]

_OF_NUMBERS = ("prefix", "range", "country", "app")
_OF_CLIENTS = ("ip", "network", "device")
_POSSIBLE: Mapping[str, tuple[str, ...]] = {
    "conversion": _OF_NUMBERS,
    "adjacent": ("prefix",),
    "countries": _OF_CLIENTS,
    "velocity": (*_OF_CLIENTS, *_OF_NUMBERS),
    "range": (),
}
_KEYS: Mapping[str, frozenset[str]] = {
    "conversion": frozenset({"per", "minimum", "window", "ripe", "patience", "floor", "drop", "block"}),
    "adjacent": frozenset({"per", "amount", "window", "near", "block"}),
    "countries": frozenset({"per", "amount", "window", "block"}),
    "velocity": frozenset({"per", "amount", "window", "ripe", "block"}),
    "range": frozenset({"prefixes", "types"}),
}


def _prefix(value: object) -> object:
    if not isinstance(value, str) or not value.removeprefix("+").isdecimal() or not value.isascii():
        raise ValueError('not the beginning of a number: write it as in E.164 and in quotes, such as "+4470"')
    beginning = f"+{value.removeprefix('+')}"
    if len(beginning) < 16:
        entries.read(f"{beginning}*")  # or else a rule with +4407 would never be met
    return beginning


NumberPrefix = Annotated[str, BeforeValidator(_prefix, json_schema_input_type=str), Field(min_length=2, max_length=16)]


class BlockSettings(BaseModel):
    """How long a block holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    first: Annotated[Duration, within("1m", "31d")] = Field(43_200_000, description="The first block of a subject.")
    growth: int = Field(2, ge=1, le=10, description="How many times longer each further one is.")
    longest: Annotated[Duration, within("1m", "31d")] = Field(
        604_800_000,
        description="The longest. After as long without a new block, the next is a first one again.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.longest < self.first:
            raise ValueError("longest: is shorter than the first: write as much or more")
        return self


class FraudRule(BaseModel):
    """One thing to keep an eye on."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    measure: Literal["conversion", "adjacent", "countries", "velocity", "range"] = Field(
        description="conversion: too few codes are typed; adjacent: too many numbers of one prefix at once; countries: "
        "one client reaches numbers in too many countries; velocity: too many starts that nobody answers; range: the "
        "number itself."
    )
    per: Per | None = Field(
        None,
        description="Of whom. Of conversion and velocity: prefix (a number less its last four digits), range (less its "
        "last six), country, app; of countries and velocity: ip, network (an IPv4 /24 or an IPv6 /48), device.",
    )
    mode: Mode = Field(
        Mode.MONITOR,
        description="monitor notes it; enforce refuses; challenge leaves only the channels of free; shadow answers as "
        "ever and sends nothing.",
    )
    minimum: int = Field(50, ge=5, le=100_000, description="Of a conversion: messages that say something.")
    amount: int = Field(
        40, ge=2, le=MOST_ITEMS, description="Of adjacent numbers, countries or a velocity: how many are too many."
    )
    window: Annotated[Duration, within("1m", "31d")] = Field(86_400_000, description="How far back it looks.")
    ripe: Annotated[Duration, within("10s", "1h")] = Field(
        180_000, description="Of a conversion or a velocity: how old a message must be to count against it."
    )
    patience: Annotated[Duration, within("1s", "1h")] = Field(
        30_000,
        description="Of a conversion: from this age on messages may have their subject held until they are ripe.",
    )
    floor: float = Field(0.1, gt=0, lt=1, description="Of a conversion: a smaller share is suspicious.")
    drop: float = Field(
        0.25, gt=0, lt=1, description="Of a conversion: a smaller share of what is usual here, where that is known."
    )
    near: int = Field(10, ge=0, le=1000, description="Of adjacent numbers: those no further apart count twice.")
    prefixes: tuple[NumberPrefix, ...] = Field((), max_length=1000, description="Of a range: how its numbers begin.")
    types: Types = Field(frozenset(), description="Of a range: kinds of line, as in number_types.deny.")
    block: BlockSettings = Field(default_factory=BlockSettings, description="How long what is found holds.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        possible = _POSSIBLE[self.measure]
        if self.per not in (possible or (None,)):
            choice = (
                f"write {'one of ' if len(possible) > 1 else ''}{', '.join(possible)}" if possible else "leave it out"
            )
            fault = f"does not go with {self.measure}" if self.per else f"is missing, of whom the {self.measure} is"
            raise ValueError(f"per: {fault}: {choice}")
        said = {
            key for key, value in self if value != type(self).model_fields[key].get_default(call_default_factory=True)
        }
        if strange := sorted(said - _KEYS[self.measure] - {"measure", "mode"}):
            raise ValueError(f"{strange[0]}: does not go with {self.measure}: leave it out")
        if self.measure == "range" and not (self.prefixes or self.types):
            raise ValueError("prefixes: a range needs them, or types: write one of the two")
        if "ripe" in _KEYS[self.measure] and self.ripe >= self.window:
            raise ValueError("window: ends before any message in it is ripe: write more than ripe says, such as 1h")
        return self


def _earned_from_by_nobody(channel: ChannelName) -> ChannelName:
    if channel in ("sms", "voice"):
        raise ValueError("networks earn from it, and a pump would pass for free: take it out")
    return channel


class FraudSettings(BaseModel):
    """What looks like abuse, and what becomes of it. Only messages that cost something to send are looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    rules: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")], FraudRule] = Field(
        default_factory=dict,
        max_length=12,
        description="What to look at, by a name that an extending policy can change.",
    )
    free: tuple[Annotated[ChannelName, AfterValidator(_earned_from_by_nobody)], ...] = Field(
        ("email", "whatsapp"), description="Channels that nobody earns from: all that a challenge leaves."
    )
    own_codes: bool = Field(
        False,
        description="Whether conversion counts verifications whose code the app made. True only if the app checks them "
        "here, or reports them with feedback.",
    )


REFUSAL = Refusal("fraud_suspected", "fraud", "Requests like this one look like abuse and are not served.")


@dataclass(frozen=True, slots=True)
class Eyes:
    """A policy's rules, worked out."""

    ranges: tuple[tuple[str, FraudRule], ...]
    all: tuple[Eye, ...]
    without_conversion: tuple[Eye, ...]  # for a code of the app's own, which nobody may ever check here
    free: frozenset[str]


def prepare(settings: FraudSettings) -> Eyes:
    """Sort a policy's rules out, once."""
    eyes = tuple(
        Eye(name, rule.measure, rule.per, _terms(rule)) for name, rule in settings.rules.items() if rule.per is not None
    )
    others = eyes if settings.own_codes else tuple(eye for eye in eyes if eye.measure != "conversion")
    ranges = tuple((name, rule) for name, rule in settings.rules.items() if rule.measure == "range")
    return Eyes(ranges, eyes, others, frozenset(settings.free))


def _terms(rule: FraudRule) -> tuple[Any, ...]:
    conversion = rule.measure == "conversion"
    return (
        rule.mode,
        rule.minimum if conversion else rule.amount,
        rule.window,
        rule.ripe if conversion else 0,
        _patience(rule),
        rule.floor,
        rule.drop,
        rule.near if rule.measure == "adjacent" else 0,
        Blocking(rule.block.first, rule.block.growth, rule.block.longest),
        rule.measure == "velocity",
    )


def _patience(rule: FraudRule) -> int:
    return {"conversion": rule.patience, "velocity": rule.ripe}.get(rule.measure, 0)


def ranges(eyes: Eyes, question: Question) -> tuple[str, ...]:
    """The rules about ranges that the number meets."""
    phone = question.phone
    if phone is None or not eyes.ranges:
        return ()
    return tuple(name for name, rule in eyes.ranges if _within(rule, phone))


def judge(eyes: Eyes, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Say what is to be watched, and treat a suspicion that is known already: the store's (`at.suspected`), or one
    that the number itself gives."""
    if at.kind is None or eyes.free.issuperset([step.channel for step in steps]):
        return Finding(steps, "nothing that pays to pump")
    names = at.ranges
    met = (rule.mode for name, rule in eyes.ranges if name in names)
    treatment = max([at.suspected, *met], key=_RANK)
    if treatment is not Mode.MONITOR:
        by = (at.suspected_by, *names) if at.suspected_by else names
        return _treated(eyes, treatment, steps, by)
    watched = _watched(eyes.without_conversion if at.own_code else eyes.all, at)
    said = [*(f"{name} (noted)" for name in names), *(eye.name for eye in watched)]
    return Finding(steps, f"watches {', '.join(said) or 'nothing'}", eyes=watched, suspicions=names)


def _watched(eyes: tuple[Eye, ...], at: Circumstances) -> tuple[Eye, ...]:
    """A client that is not named is nobody in particular: a rule about clients passes it over."""
    unknown = {
        name
        for name, known in (("ip", at.ip), ("network", at.ip), ("device", at.device), ("range", at.ranged))
        if not known
    }
    return tuple(eye for eye in eyes if eye.per not in unknown)


_RANK = attrgetter("rank")


def _treated(eyes: Eyes, mode: Mode, steps: tuple[Step, ...], by: tuple[str, ...]) -> Finding:
    kept = steps
    if mode is Mode.ENFORCE:
        kept = ()
    elif mode is Mode.CHALLENGE:
        kept = tuple(step for step in steps if step.channel in eyes.free)
    found = sift(steps, lambda step: step in kept, f"suspected by {', '.join(by)}: {mode}", REFUSAL)
    return Finding(found.steps, found.says, found.refusal, treatment=mode, suspicions=by)


def _within(rule: FraudRule, phone: Phone) -> bool:
    return phone.type in rule.types or phone.e164.startswith(rule.prefixes)


def watches(eyes: tuple[Eye, ...], phone: Phone | None, subjects: Mapping[str, str]) -> tuple[Watch, ...]:
    """What is to be watched, with its subjects."""
    if phone is None:
        return ()
    app = subjects["app"]
    return tuple(
        [
            Watch(name, app, per, subjects[per], _ITEMS[measure](phone), _SHOWN[per](phone, app), *terms)
            for name, measure, per, terms in eyes
        ]
    )


_SHOWN: Mapping[str, Callable[[Phone, str], str]] = {
    # As with a masked number, the last digits stay hidden, one more of a prefix than it needs.
    "prefix": lambda phone, _: f"{phone.e164[:-5]}*****",
    "range": lambda phone, _: f"{phone.e164[:-6]}******",
    "country": lambda phone, _: phone.country,
    "app": lambda _, app: app,
    "ip": lambda _, __: "ip",
    "network": lambda _, __: "network",
    "device": lambda _, __: "device",
}
"""How an operator sees a subject."""

_ITEMS: Mapping[str, Callable[[Phone], str | int]] = {
    "conversion": lambda _: "",
    "adjacent": lambda phone: phone.place,
    "countries": lambda phone: phone.country,
    "velocity": lambda phone: phone.e164,
}
