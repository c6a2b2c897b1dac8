"""What it may cost: a highest price for one message, and caps on what is spent in a day or a month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.model import Cap, Circumstances, Refusal, Step
from policies.money import Amount, PeriodName, Tariff, Unrated, written
from policies.rules.finding import Finding
from policies.rules.name import Name

_EVERYTHING = "everything"
Payer = Literal["app", "country", "everything"]


def _several(value: object) -> object:
    if value == []:
        raise ValueError("write at least one of app, country and everything")
    return [value] if isinstance(value, str) else value


def _in_order(payers: tuple[Payer, ...]) -> tuple[Payer, ...]:
    """One order for one meaning, so that writing [country, app] for [app, country] doesn't empty the purses."""
    if _EVERYTHING in payers and len(payers) > 1:
        raise ValueError("everything is one purse for all: write it alone, or leave it out of the list")
    return tuple(sorted(dict.fromkeys(payers)))


Payers = Annotated[
    tuple[Payer, ...],
    BeforeValidator(_several, json_schema_input_type=Payer | list[Payer]),
    AfterValidator(_in_order),
]


class CapSettings(BaseModel):
    """At most so much spent in one period of the calendar."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    per: Payers = Field(description="app, country, everything; or [app, country]: one purse for each.")
    amount: Amount = Field(description="The most that is spent in one period, such as 100 USD.")
    window: PeriodName = Field(description="hour, day or month, by the calendar in UTC.")
    then: Literal["refuse", "free"] = Field(
        "refuse",
        description="Once it is used up: refuse, or go on by the steps that are free, which email mostly is.",
    )


class SpendSettings(BaseModel):
    """What messages may cost, one by one and together."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    max_price: Amount | None = Field(
        None, description="The most that one message may cost: a provider that costs more is left out."
    )
    unknown_price: Amount = Field(
        "0.50 USD",
        description="What a message is reckoned at where no price table names it; email is free then.",
    )
    caps: dict[Name, CapSettings] = Field(
        default_factory=dict,
        max_length=8,
        description="The most that is spent in a period, by a name that an extending policy can change.",
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        purses: dict[object, str] = {}
        for name, cap in self.caps.items():
            other = purses.setdefault((cap.per, cap.window), name)
            if other != name:
                raise ValueError(
                    f"caps.{name}: has the same per and window as {other}: change {other}, or set it to null"
                )
        return self


@dataclass(frozen=True, slots=True)
class Spending:
    """A policy's section on money, reckoned in millionths of one currency."""

    tariff: Tariff
    most: int | None
    unknown: int
    caps: tuple[tuple[str, CapSettings, int], ...]
    says: str


def prepare(settings: SpendSettings, tariff: Tariff) -> Spending:
    """Reckon a policy's amounts, once. Raises policies.money.Unrated."""
    # Those that refuse come first: of several that are used up, the first is what the store tells.
    ordered = sorted(settings.caps.items(), key=lambda cap: cap[1].then == "free")
    return Spending(
        tariff,
        _reckoned("max_price", settings.max_price, tariff) if settings.max_price else None,
        _reckoned("unknown_price", settings.unknown_price, tariff),
        tuple((name, cap, _reckoned(f"caps.{name}.amount", cap.amount, tariff)) for name, cap in ordered),
        f"caps {', '.join(settings.caps) or 'nothing'}",
    )


def _reckoned(key: str, amount: str, tariff: Tariff) -> int:
    try:
        return tariff.reckon(amount)
    except Unrated as fault:
        raise Unrated(f"spend.{key}: {fault}") from None


REFUSAL = Refusal("spend_capped", "spend", "What may be spent on messages to this destination is used up.")
"""The answer to a start or a resend that a cap refuses."""
_DEAR = Refusal("spend_capped", "spend", "Every message to this destination would cost more than the policy allows.")


def judge(spending: Spending, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Price the steps, leave out the providers that cost too much, and say what is to be reckoned. The store does."""
    priced = [step._replace(prices=_prices(spending, step, at)) for step in steps]
    most = 0 if at.only_free else spending.most
    kept = tuple(step for step in (_within(step, most) for step in priced) if step.providers)
    says = spending.says + _left_out(spending, priced, most)
    if not kept:
        return Finding(kept, says, REFUSAL if at.only_free else _DEAR)
    return Finding(kept, says, caps=_caps(spending, at))


def free(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The same steps with none but the providers that cost nothing: a step may be left without any."""
    return tuple(_within(step, 0) for step in steps)


def _prices(spending: Spending, step: Step, at: Circumstances) -> tuple[tuple[str, int], ...]:
    unknown = 0 if step.channel == "email" else spending.unknown
    times = at.stretch if step.channel == "sms" else 1
    found = ((name, spending.tariff.price(name, step.channel, at.country)) for name in step.providers)
    return tuple((name, times * (unknown if price is None else price)) for name, price in found)


def _within(step: Step, most: int | None) -> Step:
    if most is None or all(price <= most for _, price in step.prices):
        return step
    kept = {name for name, price in step.prices if price <= most}
    return step._replace(
        providers=tuple(name for name in step.providers if name in kept),
        weights=tuple((name, weight) for name, weight in step.weights if name in kept),
        prices=tuple((name, price) for name, price in step.prices if name in kept),
    )


def _left_out(spending: Spending, steps: list[Step], most: int | None) -> str:
    if most is None:
        return ""
    currency = spending.tariff.currency
    dear = [
        f"{name} by {step.channel} ({written(price, currency)})"
        for step in steps
        for name, price in step.prices
        if price > most
    ]
    return f"; leaves out as too dear: {', '.join(dear)}" if dear else ""


def _caps(spending: Spending, at: Circumstances) -> tuple[Cap, ...]:
    """A cap by country is about numbers: where none was given, it is left out."""
    values: Mapping[str, str] = {
        "app": at.app,
        "country": at.country,
        _EVERYTHING: "",
    }
    return tuple(
        Cap(name, "+".join(cap.per), "/".join(values[payer] for payer in cap.per), amount, cap.window, cap.then)
        for name, cap, amount in spending.caps
        if at.kind or "country" not in cap.per
    )
