"""The fallback order: which channels, through which providers, with how long a wait, by country where it differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from policies.model import ChannelName, Circumstances, OrderName, Refusal, Step
from policies.rules.country import CountryRule, Providers, Wait
from policies.rules.finding import Finding, sift


class StepSettings(BaseModel):
    """One step of the fallback."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    channel: ChannelName = Field(description="sms, voice, whatsapp, telegram or email.")
    wait: Wait = Field(description="How long to wait for a sign of delivery before the next step.")
    providers: Providers | None = Field(
        None, description="The providers to try, in order; left out: the channel's own order from the configuration."
    )
    order: OrderName = Field(
        "fixed",
        description="Which provider goes first: fixed, as written; weighted, by chance; adaptive, by what a "
        "verification costs with each.",
    )
    weights: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = Field(
        default_factory=dict,
        max_length=16,
        description="The providers' shares where order is weighted, such as {twilio: 90, vonage: 10}. One without a "
        "share comes after the others.",
    )

    @model_validator(mode="after")
    def _weighed(self) -> Self:
        if self.weights and self.order != "weighted":
            raise ValueError("weights: belong to another order: write order: weighted, or take them out")
        if self.order == "weighted" and not any(self.weights.values()):
            raise ValueError("weights: give nobody a share: write some, such as {twilio: 90, vonage: 10}")
        return self


@dataclass(frozen=True, slots=True)
class Routes:
    """The steps of every country, worked out once. A step that no provider can carry has no providers."""

    default: tuple[Step, ...]
    by_country: Mapping[str, tuple[Step, ...]]

    def to(self, country: str) -> tuple[Step, ...]:
        """The steps for the number's country; for email alone, the default ones."""
        return self.by_country.get(country, self.default)


def plan(
    fallback: Sequence[StepSettings],
    rules: Mapping[str, CountryRule],
    orders: Mapping[str, tuple[str, ...]],
    available: Mapping[str, Collection[str]] | None,
) -> Routes:
    """Work the routes out. `orders` is each channel's own order of providers; `available` all that are configured and
    enabled, by channel, and None takes every provider that a policy names to be there."""

    def steps(rule: CountryRule) -> tuple[Step, ...]:
        return tuple(_step(step, rule, orders, available) for step in _ordered(fallback, rule.channels))

    return Routes(steps(CountryRule()), {country: steps(rule) for country, rule in rules.items()})


def _ordered(fallback: Sequence[StepSettings], channels: tuple[ChannelName, ...]) -> Sequence[StepSettings]:
    """A country's order is about its numbers, so an email step that it doesn't name stays, after the others."""
    if not channels:
        return fallback
    order = dict.fromkeys((*channels, "email"))
    return [step for channel in order for step in fallback if step.channel == channel]


def _step(
    step: StepSettings,
    rule: CountryRule,
    orders: Mapping[str, tuple[str, ...]],
    available: Mapping[str, Collection[str]] | None,
) -> Step:
    """The country's word goes before the step's, and the step's before the channel's own order."""
    channel = step.channel
    providers = rule.providers.get(channel) or step.providers or orders.get(channel, ())
    if available is not None:
        providers = tuple(provider for provider in providers if provider in available.get(channel, ()))
    order, weights = _order(step, providers)
    return Step(
        channel,
        providers,
        rule.wait.get(channel, step.wait),
        rule.sender.get(channel, ""),
        order=order,
        weights=weights,
    )


def _order(step: StepSettings, providers: tuple[str, ...]) -> tuple[OrderName, tuple[tuple[str, int], ...]]:
    """Where a country names providers of its own and none of them has a share, its order is as written."""
    weights = tuple((provider, step.weights.get(provider, 0)) for provider in providers)
    if not step.weights or any(weight for _, weight in weights):
        return step.order, weights if step.weights else ()
    return "fixed", ()


REFUSAL = Refusal("no_channel", "route", "No provider is configured for the channels that are left.")


def judge(at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps that some provider can carry."""
    where = at.country or "email"
    found = sift(steps, lambda step: bool(step.providers), f"for {where}", REFUSAL)
    order = ", ".join(_named(step) for step in found.steps) or "no provider left"
    return Finding(found.steps, f"{found.says}: {order}", found.refusal)


def _named(step: Step) -> str:
    return step.channel if step.order == "fixed" else f"{step.channel} ({step.order})"
