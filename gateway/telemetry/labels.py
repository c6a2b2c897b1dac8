"""Label values kept to closed sets, so that no caller and no attacker can grow the number of time series."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from channels.contract import Channel, ErrorClass
from gateway.telemetry.table import (
    ATTEMPTS,
    BLOCKS,
    CALLBACKS,
    LEVELS,
    LOOKUPS,
    MEASURES,
    MODES,
    MOVEMENTS,
    NONE,
    OTHER,
    OUTCOMES,
    REASONS,
    STATUSES,
    SUPPRESSIONS,
)

ROUTES = (
    "/v1/verifications",
    "/v1/verifications/{id}",
    "/v1/verifications/{id}/check",
    "/v1/verifications/{id}/resend",
    "/v1/verifications/{id}/cancel",
    "/v1/verifications/{id}/events",
    "/v1/verifications/{id}/feedback",
    "/v1/suppressions",
    "/v1/suppressions/search",
    "/v1/suppressions/lift",
    "/v1/blocks",
    "/v1/blocks/lift",
    "/callbacks/{provider}/{token}",
)
"""The routes that are always counted. Others, such as a page or a probe, take the free places as they come."""

CHANNELS = frozenset(str(channel) for channel in Channel)
BUILT_IN = ("cooldown", "guesses")
"""The limits that every policy has beside those that it names."""
ERRORS = frozenset(str(error) for error in ErrorClass)
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COUNTRY = re.compile(r"(?!ZZ)[A-Z]{2}|001")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ROUTE = re.compile(r"/[a-z0-9_./{}-]{0,79}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Labels:
    """The names that the configuration gives to things: they are exported at zero before anything happens."""

    apps: Mapping[str, Iterable[str]] = field(default_factory=dict)  # app: the purposes that it names
    carriers: Mapping[str, Iterable[str]] = field(default_factory=dict)  # provider: its channels
    limits: Mapping[str, Iterable[str]] = field(default_factory=dict)  # policy: its limits
    caps: Mapping[str, Iterable[str]] = field(default_factory=dict)  # policy: its caps on spending
    countries: Iterable[str] = ()  # named in policies
    rules: Iterable[str] = ()
    fraud: Iterable[str] = ()  # rules against abuse, of all policies
    operations: Iterable[str] = ()  # of the store
    country_cap: int = 20


class Vocabulary:
    """A set of words that grows to `cap` and no further. What it does not admit is `other`."""

    def __init__(self, words: Iterable[str], cap: int, form: re.Pattern[str]) -> None:
        named = tuple(dict.fromkeys(words))
        self._form = form
        self._cap = cap
        # More names than places: those that are used first get them, instead of those first in the alphabet.
        self._words = set(named) if len(named) <= cap else set()
        self._waiting = frozenset() if len(named) <= cap else frozenset(named)

    def __call__(self, word: str) -> str:
        return word if word in self._words or self._admitted(word) else OTHER

    @property
    def words(self) -> tuple[str, ...]:
        """What has been admitted so far."""
        return tuple(self._words)

    def _admitted(self, word: str) -> bool:
        free = len(self._words) < self._cap and self._form.fullmatch(word) is not None
        if free and (not self._waiting or word in self._waiting):
            self._words.add(word)
            return True
        return False


class Names:
    """Makes label values of whatever the engine passes; never raises on an unknown one."""

    def __init__(self, labels: Labels) -> None:
        self.countries = Vocabulary(labels.countries, labels.country_cap, _COUNTRY)
        self.currencies = Vocabulary((), 3, _CURRENCY)
        self.operations = Vocabulary(labels.operations, max(10, len(tuple(labels.operations))), _WORD)
        self.routes = Vocabulary(ROUTES, len(ROUTES) + 2, _ROUTE)
        self.rules = Vocabulary(labels.rules, 12, _WORD)
        self.admit(labels)

    def admit(self, labels: Labels) -> None:
        """Take over the names of a configuration that was read again; countries keep the places that they have."""
        self.apps = {app: frozenset(purposes) - {"*", ""} for app, purposes in labels.apps.items()}
        self.carriers = {(name, channel) for name, channels in labels.carriers.items() for channel in channels}
        self.limits = {(policy, limit) for policy, limits in labels.limits.items() for limit in (*limits, *BUILT_IN)}
        self.caps = {(policy, cap) for policy, caps in labels.caps.items() for cap in caps}
        self.providers = frozenset(labels.carriers)
        self.fraud = frozenset(labels.fraud)

    def verification(self, outcome: str, app: str, purpose: str) -> tuple[str, ...]:
        if app not in self.apps or outcome not in OUTCOMES:
            return one_of(OUTCOMES, outcome), OTHER, OTHER
        return outcome, app, purpose if purpose in self.apps[app] else OTHER

    def failing(self, app: str) -> tuple[str, ...]:
        return (app if app in self.apps else OTHER,)

    def conversion(self, outcome: str, country: str) -> tuple[str, ...]:
        return outcome, self.countries(country) if country else NONE

    def carrier(self, provider: str, channel: str, *rest: str) -> tuple[str, ...]:
        """A pair that the configuration names, or other for both: the rest is as it comes."""
        return (provider, channel, *rest) if (provider, channel) in self.carriers else (OTHER, OTHER, *rest)

    def attempt(self, provider: str, channel: str, country: str, outcome: str) -> tuple[str, ...]:
        if (provider, channel) not in self.carriers or outcome not in ATTEMPTS:
            return OTHER, OTHER, OTHER, one_of(ATTEMPTS, outcome)
        place = NONE if channel == Channel.EMAIL or not country else self.countries(country)
        return provider, channel, place, outcome

    def error(self, provider: str, channel: str, error: str) -> tuple[str, ...]:
        return self.carrier(provider, channel, error if error in ERRORS else OTHER)

    def share(self, provider: str, channel: str, measure: str) -> tuple[str, ...]:
        return self.carrier(provider, channel, one_of(MEASURES, measure))

    def cost(self, provider: str, channel: str, currency: str) -> tuple[str, ...]:
        return self.carrier(provider, channel, self.currencies(currency))

    def spend(self, movement: str, app: str) -> tuple[str, ...]:
        return one_of(MOVEMENTS, movement), app if app in self.apps else OTHER

    def country_spend(self, movement: str, country: str) -> tuple[str, ...]:
        return one_of(MOVEMENTS, movement), self.countries(country) if country else NONE

    def cap(self, policy: str, cap: str, *level: str) -> tuple[str, ...]:
        known = (policy, cap) if (policy, cap) in self.caps else (OTHER, OTHER)
        return (*known, *(one_of(LEVELS, word) for word in level))

    def limit(self, policy: str, limit: str, decision: str) -> tuple[str, ...]:
        return (policy, limit, decision) if (policy, limit) in self.limits else (OTHER, OTHER, decision)

    def fallback(self, from_channel: str, to_channel: str, reason: str) -> tuple[str, ...]:
        if reason in ERRORS:
            reason = "failed"  # a family of its own counts the classes
        known = {from_channel, to_channel} <= CHANNELS and reason in REASONS
        return (from_channel, to_channel, reason) if known else (OTHER, OTHER, OTHER)

    def suspicion(self, rule: str, mode: str) -> tuple[str, ...]:
        return rule if rule in self.fraud else OTHER, one_of(MODES, mode)

    def block(self, rule: str, event: str) -> tuple[str, ...]:
        return rule if rule in self.fraud else OTHER, one_of(BLOCKS, event)

    def suppression(self, channel: str, action: str) -> tuple[str, ...]:
        return one_of(CHANNELS, channel), one_of(SUPPRESSIONS, action)

    def provider(self, provider: str, *rest: str) -> tuple[str, ...]:
        return (provider if provider in self.providers else OTHER, *rest)

    def callback(self, provider: str, result: str) -> tuple[str, ...]:
        return self.provider(provider, one_of(CALLBACKS, result))

    def price(self, provider: str, result: str) -> tuple[str, ...]:
        return self.provider(provider, one_of(LOOKUPS, result))

    def request(self, route: str, status: str) -> tuple[str, ...]:
        if status not in STATUSES:
            status = f"{status[0]}xx" if re.fullmatch("[1-5][0-9][0-9]", status) else OTHER
        return self.routes(route), status


def one_of(words: Iterable[str], word: str) -> str:
    """The word itself when it is one of a closed set, else other."""
    return word if word in words else OTHER
