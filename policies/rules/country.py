"""Where a policy sends: countries are refused unless allowed, and a channel can be held to some of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from phonenumbers import SUPPORTED_REGIONS
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator

from policies.duration import Duration, within
from policies.model import ChannelName, Circumstances, Refusal, Step
from policies.rules.finding import Finding, sift

_NETWORKS = "001"  # libphonenumber's name for numbers of no country: satellite, international freephone and premium


def country_code(value: object) -> str:
    """An ISO 3166-1 alpha-2 code, or "001". YAML 1.1 reads an unquoted NO as false and an unquoted 001 as 1. Raises
    ValueError with what to write."""
    if value is False:
        raise ValueError('YAML reads an unquoted NO as false: write "NO" in quotes for Norway')
    if not isinstance(value, str):
        raise ValueError('not a country code: write its two letters and no calling code, or "001" in quotes')
    if value not in SUPPORTED_REGIONS and value != _NETWORKS:
        meant = _MEANT.get(value.upper(), value.upper())
        known = meant in SUPPORTED_REGIONS
        remedy = f"write {meant}" if known else 'write ISO 3166 letters, such as US, or "001" for global networks'
        raise ValueError(f"not a country code: {remedy}")
    return value


_MEANT = {"UK": "GB", "EL": "GR", "USA": "US", "UAE": "AE", "KSA": "SA"}
"""What people write for a country, and ISO 3166-1 doesn't."""


def _countries(value: object) -> object:
    if value in ("all", "any", "*"):
        raise ValueError("every country is not written as a list: write default: allow")
    return value


CountryCode = Annotated[
    str, BeforeValidator(country_code), WithJsonSchema({"type": "string", "pattern": "^([A-Z]{2}|001)$"})
]
Countries = Annotated[
    frozenset[CountryCode],
    BeforeValidator(_countries, json_schema_input_type=frozenset[CountryCode]),
    PlainSerializer(sorted, return_type=list[str]),
]
"""A set of countries; sorted when written, so that one content has one revision."""

PhoneChannel = Literal["sms", "voice", "whatsapp", "telegram"]
Wait = Annotated[Duration, within("100ms", "1h")]
Providers = Annotated[tuple[str, ...], Field(min_length=1, max_length=16)]


class CountryRule(BaseModel):
    """What differs for numbers of one country."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    channels: tuple[ChannelName, ...] = Field(
        (), description="Only these channels of the fallback, in this order; email, when not named, keeps its steps."
    )
    providers: dict[ChannelName, Providers] = Field(
        default_factory=dict, description="The providers to try in this country, by channel."
    )
    sender: dict[ChannelName, Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        default_factory=dict, description="The sender id or number to use in this country, by channel."
    )
    wait: dict[ChannelName, Wait] = Field(
        default_factory=dict, description="How long to wait for a sign of delivery in this country, by channel."
    )


class CountrySettings(BaseModel):
    """Where a policy sends. With nothing written it sends nowhere: pumping fraud lives on forgotten countries."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    default: Literal["deny", "allow"] = Field(
        "deny", description='What holds for a country in neither list. "001" always needs to be in allow.'
    )
    allow: Countries = Field(frozenset(), description="Countries to send to, as ISO 3166-1 alpha-2 codes.")
    deny: Countries = Field(frozenset(), description="Countries never to send to.")
    only: dict[PhoneChannel, Countries] = Field(
        default_factory=dict, description="Channels held to some countries: a call costs more than an SMS."
    )
    rules: dict[CountryCode, CountryRule] = Field(
        default_factory=dict, description="Another order, provider, sender or wait for some countries."
    )
    shadow: bool = Field(False, description="Note what would be refused, and refuse nothing.")

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if both := sorted(self.allow & self.deny):
            raise ValueError(f"{', '.join(both)} in both allow and deny: take it out of one")
        return self


_DENIED = Refusal("country_denied", "country", "This policy doesn't send to the number's country.")
_NO_CHANNEL = Refusal("no_channel", "country", "None of the channels that are left is offered in the number's country.")


def judge(settings: CountrySettings, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps that may go to the number's country. Email has no country and is always kept."""
    if at.kind is None:
        return Finding(steps, "no number")
    country = at.country
    if not _allowed(settings, country):
        return sift(steps, lambda step: step.channel == "email", f"{country} is not allowed", _DENIED)
    closed = {channel for channel, countries in settings.only.items() if country not in countries}
    return sift(steps, lambda step: step.channel not in closed, f"{country} is allowed", _NO_CHANNEL)


def _allowed(settings: CountrySettings, country: str) -> bool:
    """A number whose country can't be told (ZZ) is never allowed: no list can have meant it."""
    if country in settings.allow:
        return True
    return settings.default == "allow" and country not in settings.deny and country not in (_NETWORKS, "ZZ")
