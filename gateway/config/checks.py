"""What must hold between the sections of a configuration, beyond what each of them says for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from channels.price import DEFAULT
from channels.wording import check_template
from gateway.config.explain import split
from gateway.config.fault import Path, instead
from gateway.config.model import (
    AppSettings,
    ChannelSettings,
    CurrencySettings,
    EngineSettings,
    SecretSettings,
    StoreSettings,
)
from gateway.config.policing import unknown
from gateway.config.reader import Document
from gateway.config.settings import ProviderSection
from gateway.config.tariff import unrated
from policies.duration import written
from policies.rules.country import country_code
from policies.rules.route import StepSettings
from policies.schema import PolicySettings

MARGIN = 2000
"""Milliseconds that a lease has beyond the longest provider's timeout, for all that is not the provider's."""

Found = tuple[Path, str, str]
"""Where, the problem, the remedy."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The sections that are right for themselves. One that is not is None, or missing, and nothing is said of it."""

    document: Document
    production: bool
    engine: EngineSettings | None
    secrets: SecretSettings | None
    store: StoreSettings | None
    spend: CurrencySettings | None
    channels: Mapping[str, ChannelSettings]
    apps: Mapping[str, AppSettings]
    providers: Mapping[str, ProviderSection]
    policies: Mapping[str, PolicySettings]
    policy_places: Mapping[str, Path]

    @property
    def raw(self) -> Mapping[str, Any]:
        return raw if isinstance(raw := self.document.data, dict) else {}

    @property
    def raw_apps(self) -> Mapping[str, dict[str, Any]]:
        apps = self.raw.get("apps")
        return {k: app for k, app in apps.items() if isinstance(app, dict)} if isinstance(apps, dict) else {}

    def names(self, section: str) -> list[str]:
        """The names in a section, whether what they name is right or not."""
        raw = self.raw.get(section)
        return list(raw) if isinstance(raw, dict) else []


def check(parts: Parts) -> None:
    """Add every fault between the sections to the document."""
    for rule in _RULES:
        for path, problem, remedy in rule(parts):
            parts.document.complain(path, problem, remedy)


def _login(parts: Parts) -> Iterator[Found]:
    store = parts.store
    if store and store.username and not store.password:
        yield ("store", "username"), "a user needs a password", "write store.password, such as {env: NAME}"
    if store and store.password and not store.url.startswith("redis"):
        yield ("store", "password"), "this store is reached by a socket and has no password", "take it out"
    if store and store.sentinel_username and not store.sentinel_password:
        problem = "a user needs a password"
        yield ("store", "sentinel_username"), problem, "write store.sentinel_password, such as {env: NAME}"
    if store and store.sentinel_password and "+sentinel:" not in store.url:
        yield ("store", "sentinel_password"), "no Sentinels are asked for this store", "take it out"
    if store and store.tls and not store.url.startswith("rediss"):
        yield ("store", "tls"), "this store is reached without TLS", "take it out, or write rediss: in store.url"


def _leases(parts: Parts) -> Iterator[Found]:
    for name, section in parts.providers.items():
        timeout = int(section.settings.timeout * 1000)
        if parts.engine and section.settings.enabled and parts.engine.lease <= timeout + MARGIN:
            problem = (
                f"a lease of {written(parts.engine.lease)} could end while provider {name} "
                f"({written(timeout)}) still sends: the code would be sent twice"
            )
            yield ("engine", "lease"), problem, f"write more than {written(timeout + MARGIN)}, or a shorter timeout"


def _rates(parts: Parts) -> Iterator[Found]:
    for name, section in parts.providers.items():
        for channel, country, currency in unrated(parts.spend, section) if parts.spend else ():
            path = ("providers", name, "price", channel)
            problem = f"{currency} has no rate to {parts.spend.currency if parts.spend else ''}"
            place = (*path, country) if (*path, country) in parts.document.lines else path
            yield place, problem, f"write spend.rates.{currency}, such as 1.08"


def _priced_countries(parts: Parts) -> Iterator[Found]:
    """A price for a country that is none, such as UK, would silently be nobody's."""
    for name, section in parts.providers.items():
        for channel, listed in section.settings.price.items():
            for country in listed.keys() - {DEFAULT}:
                try:
                    country_code(country)
                except ValueError as error:
                    yield ("providers", name, "price", channel, country), *split(str(error))


def _keys_of_production(parts: Parts) -> Iterator[Found]:
    if not parts.production or parts.secrets is None:
        return
    if parts.secrets.lookup is None:
        yield ("secrets", "lookup"), "production needs the lookup key", "write {env: NAME} or {file: PATH}"
    if not parts.secrets.sealing:
        yield ("secrets", "sealing"), "production needs a sealing key", "write [{id: k1, env: NAME}]"


def _vendors_of_production(parts: Parts) -> Iterator[Found]:
    if not parts.production:
        return
    for name, section in parts.providers.items():
        if section.settings.type == "simulator":
            problem = "the simulator shows every code to whoever looks, and production sends real ones"
            yield ("providers", name, "type"), problem, "take it out, or write mode: development"
    reporting = sorted(name for name, s in parts.providers.items() if s.calls_back and s.settings.enabled)
    server = parts.raw.get("server") or {}
    if reporting and isinstance(server, dict) and server.get("public_url") is None:
        problem = f"production needs it, because {', '.join(reporting)} will report deliveries there"
        yield ("server", "public_url"), problem, "write the address, such as https://otp.example.org"


def _test_destinations(parts: Parts) -> Iterator[Found]:
    if not parts.raw.get("test_destinations"):
        return
    if parts.production:
        problem = "whoever knows the code of one would pass for its owner, and production has real ones"
        yield ("test_destinations",), problem, "take it out, or write mode: development"
    if "test" in parts.names("providers"):
        yield ("providers", "test"), "test is who carries messages to test_destinations", "write another name"


def _apps(parts: Parts) -> Iterator[Found]:
    for name, app in parts.apps.items():
        path = ("apps", name)
        if parts.production and not app.keys:
            yield (*path, "keys"), "production needs a key for each app", "make one with: otp-gateway keys new"
        if "*" not in app.policies:
            yield (*path, "policies"), "the policy for every other purpose is missing", 'write "*": and a policy'


def _policies_of_apps(parts: Parts) -> Iterator[Found]:
    known = {*parts.names("policies"), *parts.policy_places}
    for path, policy in _texts(parts, "policies"):
        if policy not in known:
            yield path, f"there is no policy or preset {policy!r}", unknown(policy, parts.names("policies"))


def _templates(parts: Parts) -> Iterator[Found]:
    for path, text in _texts(parts, "templates"):
        try:
            check_template(str(path[-1]), text)
        except ValueError as error:
            yield path, *split(str(error))


def _texts(parts: Parts, key: str) -> Iterator[tuple[Path, str]]:
    """The texts under a key of each app, of those too that have something else wrong with them."""
    for name, app in parts.raw_apps.items():
        said = app.get(key)
        for entry, text in said.items() if isinstance(said, dict) else ():
            if isinstance(text, str):
                yield ("apps", name, key, entry), text


def _api_keys(parts: Parts) -> Iterator[Found]:
    """One key, one owner: whoever shares a key shares its app."""
    owners: dict[str, str] = {}
    for name, app in parts.apps.items():
        ids: set[str] = set()
        for index, key in enumerate(app.keys):
            path = ("apps", name, "keys", index)
            if key.sha256 in owners:
                problem = f"the same key is already {owners[key.sha256]}'s"
                yield (*path, "sha256"), problem, "make another with: otp-gateway keys new"
            if key.id in ids:
                yield (*path, "id"), f"this app has another key called {key.id}", "write another id"
            owners.setdefault(key.sha256, name)
            ids.add(key.id)


def _orders(parts: Parts) -> Iterator[Found]:
    for channel, settings in parts.channels.items():
        for index, name in enumerate(settings.providers):
            path = ("channels", str(channel), "providers", index)
            yield from _provider(parts, path, name, channel)
            if name in settings.providers[:index]:
                yield path, f"{name} is in this list twice", "take one out"


def _provider(parts: Parts, path: Path, name: str, channel: str) -> Iterator[Found]:
    """A provider must exist and have the channel."""
    section = parts.providers.get(name)
    if not parts.names("providers"):
        return  # which is a fault of its own
    if name not in parts.names("providers"):
        yield path, f"there is no provider {name!r}", instead(name, parts.names("providers"))
    elif section and section.channels is not None and channel not in section.channels:
        has = ", ".join(sorted(section.channels)) or "no channel"
        yield path, f"{name} can't carry {channel}: it has {has}", f"name one that has {channel}, or give it a sender"


def _chains(parts: Parts) -> Iterator[Found]:
    """A step that nothing can carry would be passed over in silence."""
    for name, policy in parts.policies.items():
        path = parts.policy_places[name]
        for index, step in enumerate(policy.fallback):
            place = _nearest(parts, (*path, "fallback", index))
            for number, provider in enumerate(step.providers or ()):
                yield from _provider(parts, (*place, "providers", number), provider, step.channel)
            if not step.providers and step.channel in parts.channels and not parts.channels[step.channel].providers:
                problem = f"policy {name} falls back to {step.channel}, which no provider carries"
                yield place, problem, f"write channels.{step.channel}.providers, or a fallback without {step.channel}"


def _weights(parts: Parts) -> Iterator[Found]:
    """A share for a provider that is in no order of the step would silently be nobody's."""
    for name, policy in parts.policies.items():
        for index, step in enumerate(policy.fallback):
            place = _nearest(parts, (*parts.policy_places[name], "fallback", index))
            known = _candidates(parts, policy, step)
            for provider in step.weights:
                path = (*place, "weights", provider)
                yield from (found := list(_provider(parts, path, provider, step.channel)))
                if not found and provider not in known:
                    yield path, f"{provider} has a share and is in no order of {step.channel}", instead(provider, known)


def _candidates(parts: Parts, policy: PolicySettings, step: StepSettings) -> list[str]:
    """Every provider that may come to carry a step."""
    channel = parts.channels.get(step.channel)
    own = step.providers or (channel.providers if channel else ())
    countries = (rule.providers.get(step.channel, ()) for rule in policy.countries.rules.values())
    return list(dict.fromkeys([*own, *(provider for providers in countries for provider in providers)]))


def _senders(parts: Parts) -> Iterator[Found]:
    for name, policy in parts.policies.items():
        for country, rule in policy.countries.rules.items():
            for channel, providers in rule.providers.items():
                path = (*parts.policy_places[name], "countries", "rules", country, "providers", channel)
                for index, provider in enumerate(providers):
                    yield from _provider(parts, (*_nearest(parts, path), index), provider, channel)


def _nearest(parts: Parts, path: Path) -> Path:
    """The path if the file has it, else the policy that inherits it."""
    return path if path in parts.document.lines else path[:2] if path[0] == "policies" else path[:4]


_RULES = (
    _login,
    _leases,
    _rates,
    _priced_countries,
    _keys_of_production,
    _vendors_of_production,
    _test_destinations,
    _apps,
    _policies_of_apps,
    _templates,
    _api_keys,
    _orders,
    _chains,
    _weights,
    _senders,
)
