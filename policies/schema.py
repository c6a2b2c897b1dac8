"""One policy as it is written in YAML: the schema, and what must hold between its sections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from policies.duration import written
from policies.model import ChannelName
from policies.rules.code import LONGEST, CodeRules, GuessSettings
from policies.rules.context import CODE_ALONE, ContextSettings
from policies.rules.country import CountryRule, CountrySettings
from policies.rules.email import EmailSettings
from policies.rules.fraud import FraudSettings
from policies.rules.limits import LimitSettings
from policies.rules.lists import Contents, ListSettings
from policies.rules.name import Name
from policies.rules.number_type import NumberTypeSettings
from policies.rules.quiet_hours import QuietSettings
from policies.rules.route import StepSettings
from policies.rules.spend import SpendSettings
from policies.rules.suppression import SuppressionSettings


class PolicySettings(BaseModel):
    """Everything that one policy says."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    extends: str | None = Field(
        "default",
        description="The policy or preset to start from; null starts from nothing. Maps merge by key, lists replace, "
        "null removes.",
    )
    code: CodeRules = Field(default_factory=CodeRules, description="How a code is made and how it ends.")
    limits: dict[Name, LimitSettings] = Field(
        default_factory=dict, max_length=32, description="How often, by a name that an extending policy can change."
    )
    guesses: GuessSettings = Field(
        default_factory=GuessSettings, description="Failed checks that one destination may have over all its codes."
    )
    countries: CountrySettings = Field(default_factory=CountrySettings, description="Where it sends.")
    number_types: NumberTypeSettings = Field(
        default_factory=NumberTypeSettings, description="Which kinds of line it doesn't send to."
    )
    lists: ListSettings = Field(
        default_factory=ListSettings, description="Whom it never sends to, and whom it doesn't suspect."
    )
    email: EmailSettings = Field(
        default_factory=EmailSettings, description="Which kinds of email address it doesn't send to."
    )
    quiet_hours: QuietSettings = Field(
        default_factory=QuietSettings, description="When some channels are silent, by the clocks where the number is."
    )
    context: ContextSettings = Field(
        default_factory=ContextSettings, description="What a start must be bound to, such as a payment's amount."
    )
    spend: SpendSettings = Field(
        default_factory=SpendSettings, description="What messages may cost, one by one and together."
    )
    suppression: SuppressionSettings = Field(
        default_factory=SuppressionSettings, description="What becomes of people who opted out of a channel."
    )
    fraud: FraudSettings = Field(default_factory=FraudSettings, description="What looks like abuse.")
    fallback: tuple[StepSettings, ...] = Field(
        (), max_length=10, description="The channels to try, in order, each with its wait."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if faults := [*_fallback_faults(self), *_expiry_faults(self), *_wait_faults(self), *_context_faults(self)]:
            raise ValueError("; ".join(faults))
        return self


def files(settings: PolicySettings) -> tuple[Path, ...]:
    """The files of entries that a policy names."""
    return (*settings.lists.files, *settings.email.disposable_files)


def revision(settings: PolicySettings, contents: Contents = MappingProxyType({})) -> str:
    """The first 12 hex digits of a hash over what a policy says, wherever it says it: `extends` is left out, and what
    stands in the files that it names is not."""
    content = settings.model_dump(mode="json", exclude={"extends"})
    content["files"] = {str(file): contents[file].digest for file in files(settings) if file in contents}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _fallback_faults(settings: PolicySettings) -> Iterator[str]:
    if not settings.fallback:
        yield "fallback: write at least one step, for example {channel: sms, wait: 30s}"
        return
    offered = {step.channel for step in settings.fallback}
    for country, rule in settings.countries.rules.items():
        if unknown := [channel for channel in rule.channels if channel not in offered]:
            yield (
                f"countries.rules.{country}.channels: {', '.join(unknown)} not in the fallback: add a step there, and "
                "hold it to its countries with countries.only"
            )


def _expiry_faults(settings: PolicySettings) -> Iterator[str]:
    others = list(dict.fromkeys(step.channel for step in settings.fallback if step.channel != "email"))
    if settings.code.address_confirmation and others:
        yield (
            "code.address_confirmation: is for a policy that sends by email only: take "
            f"{', '.join(others)} out of the fallback, or leave the flag out"
        )
    elif settings.code.expiry > LONGEST and not settings.code.address_confirmation:
        yield (
            f"code.expiry: {written(settings.code.expiry)} is too long: at most 10m, or 24h by email only with "
            "code.address_confirmation: true"
        )


def _context_faults(settings: PolicySettings) -> Iterator[str]:
    silent = dict.fromkeys(step.channel for step in settings.fallback if step.channel in CODE_ALONE)
    if settings.context.require and silent:
        yield (
            f"context.require: {' and '.join(silent)} would show the code without "
            f"{' and '.join(settings.context.require)}: take it out of the fallback"
        )


def _wait_faults(settings: PolicySettings) -> Iterator[str]:
    """Waits that outlast the code would leave steps that can never start."""
    for country, rule in (("", CountryRule()), *settings.countries.rules.items()):
        total = _until_last_step(settings, rule)
        if total >= settings.code.expiry and (rule.wait or not country):
            where = f"countries.rules.{country}.wait" if country else "fallback"
            yield (
                f"{where}: the last step would start after {written(total)}, when the code "
                f"({written(settings.code.expiry)}) is dead: shorten the waits"
            )


def _until_last_step(settings: PolicySettings, rule: CountryRule) -> int:
    named: tuple[ChannelName, ...] = rule.channels and (*rule.channels, "email")
    steps = [step for step in settings.fallback if not named or step.channel in named]
    return sum(rule.wait.get(step.channel, step.wait) for step in steps[:-1])
