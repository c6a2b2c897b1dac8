"""Loads a configuration: the file, overruled by the environment, checked as a whole, with every fault told at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from channels.contract import Channel
from gateway.config import cautions, checks, development, environment, policing, providers, secret, tariff
from gateway.config.explain import Model, judged, validated
from gateway.config.fault import Fault, Invalid
from gateway.config.model import (
    AppSettings,
    ChannelSettings,
    Config,
    CurrencySettings,
    EngineSettings,
    SecretSettings,
    ServerSettings,
    SmsSettings,
    StoreSettings,
)
from gateway.config.reader import LARGEST, Document, read
from gateway.config.settings import ApiKeyOwner, ProviderSection, Settings


def load(path: Path, environ: Mapping[str, str], *, make_keys: bool = True, secrets: bool = True) -> Settings:
    """The settings. Raises Invalid with every fault.

    `make_keys` lets development make the keys that are missing, in store.directory; without it nothing is written, and
    what would be made is empty: enough to judge a file, and nothing to run with. Without `secrets` none is fetched
    either, so that policies can be judged where the secrets of production are not.
    """
    document = _read(path)
    if document.data is None and document.faults:
        raise Invalid(str(path), document.faults)  # not readable as YAML: nothing else can be said of it
    if isinstance(document.data, dict):
        document.data = {name: section for name, section in document.data.items() if section is not None}
        environment.overrule(document, environ)
        settings = _judged(path, document, environ if secrets else None)
        if settings is not None:
            return development.furnish(settings) if make_keys and secrets and not settings.production else settings
    else:
        document.complain((), "the file has no sections", "begin with mode: development")
    raise Invalid(str(path), document.faults)


def store_directory(path: Path, environ: Mapping[str, str]) -> Path:
    """store.directory alone, of a file in which all else may be wrong. Raises Invalid for what is not YAML."""
    document = _read(path)
    if document.data is None and document.faults:
        raise Invalid(str(path), document.faults)
    environment.overrule(document, environ)
    said = document.data.get("store") if isinstance(document.data, dict) else None
    return (judged(StoreSettings, said or {}, strict=True)[0] or StoreSettings()).directory


def own_url(path: Path, environ: Mapping[str, str]) -> str:
    """Where a gateway of this file answers on this machine; the default's address when the file is not there or
    nothing in it can be understood."""
    try:
        document = _read(path)
    except Invalid:
        document = read(b"{}")
    environment.overrule(document, environ)
    said = document.data.get("server") if isinstance(document.data, dict) else None
    return _own_url(judged(ServerSettings, said or {}, strict=True)[0] or ServerSettings())


def _read(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            return read(file.read(LARGEST + 1))
    except OSError as error:
        problem = f"the file can't be read: {(error.strerror or 'it is out of reach').lower()}"
        raise Invalid(str(path), [Fault(0, "", problem, "name another with --config")]) from None


def _judged(path: Path, document: Document, environ: Mapping[str, str] | None) -> Settings | None:
    """The settings, or None with all faults in the document."""
    config = validated(Config, document.data, (), document)
    parts = _parts(document, environ)
    checks.check(parts)
    orders, available = _orders(parts), _available(parts)
    money = tariff.tariff(parts.spend or CurrencySettings(), parts.providers, _segments(parts))
    policies = policing.compiled(parts.policy_places, parts.policies, orders, available, money, document)
    keys = secret.gateway_keys(parts.secrets, parts.store, environ, document)
    if config is None or document.faults:
        return None
    return Settings(
        config=config,
        path=path,
        revision=_revision(document.data),
        public_url=config.server.public_url or _own_url(config.server),
        store_url=_store_url(config.store, keys.store_password, keys.sentinel_password),
        lookup=keys.lookup,
        sealing=keys.sealing,
        api_keys=_api_keys(config),
        providers={name: section for name, section in parts.providers.items() if section.settings.enabled},
        orders=orders,
        policies=policies,
        tariff=money,
        warnings=tuple(cautions.warnings(parts, config)),
    )


def _parts(document: Document, environ: Mapping[str, str] | None) -> checks.Parts:
    """Each section for itself, so that a fault in one hides nothing of the others."""
    raw = document.data
    production = raw.get("mode", "production") == "production"
    policies = _sections(raw, "policies")
    policing.refuse_empty(document)
    places = policing.wanted(policies, _sections(raw, "apps"))
    return checks.Parts(
        document=document,
        production=production,
        engine=judged(EngineSettings, raw.get("engine", {}), strict=True)[0],
        secrets=judged(SecretSettings, raw.get("secrets", {}), strict=True)[0],
        store=judged(StoreSettings, raw.get("store", {}), strict=True)[0],
        spend=judged(CurrencySettings, raw.get("spend", {}), strict=True)[0],
        channels=_channels(raw),
        apps=_right(AppSettings, _sections(raw, "apps")),
        providers=providers.sections(_sections(raw, "providers"), production, environ, document),
        policies=policing.settled(places, policies, document),
        policy_places=places,
    )


def _channels(raw: Mapping[str, Any]) -> dict[str, ChannelSettings]:
    """The channels that are right, the ones that are left out included: they have no providers."""
    said = raw.get("channels", {})
    if not isinstance(said, dict):
        return {}
    shapes: dict[Channel, type[ChannelSettings]] = {Channel.SMS: SmsSettings}
    return {
        channel: settings
        for channel in Channel
        for settings in _right(shapes.get(channel, ChannelSettings), {channel: said.get(channel, {})}).values()
    }


def _segments(parts: checks.Parts) -> dict[str, int]:
    sms = parts.channels.get(Channel.SMS)
    return {Channel.SMS: sms.max_segments} if isinstance(sms, SmsSettings) else {}


def _right(shape: type[Model], sections: Mapping[str, Any]) -> dict[str, Model]:
    """The sections that are right."""
    found = {name: judged(shape, section, strict=True)[0] for name, section in sections.items()}
    return {name: section for name, section in found.items() if section is not None}


def _sections(raw: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The sections under a name, less what is none."""
    found = raw.get(name)
    return {key: entry for key, entry in found.items() if isinstance(entry, dict)} if isinstance(found, dict) else {}


def _available(parts: checks.Parts) -> dict[str, frozenset[str]]:
    """The enabled providers of each channel."""

    def able(section: ProviderSection, channel: Channel) -> bool:
        return section.settings.enabled and (section.channels is None or channel in section.channels)

    return {
        channel: frozenset(name for name, section in parts.providers.items() if able(section, channel))
        for channel in Channel
    }


def _orders(parts: checks.Parts) -> dict[str, tuple[str, ...]]:
    """Each channel's enabled providers, in order."""
    available = _available(parts)
    return {
        channel: tuple(name for name in settings.providers if name in available[channel])
        for channel, settings in parts.channels.items()
    }


def _api_keys(config: Config) -> dict[str, ApiKeyOwner]:
    return {key.sha256: ApiKeyOwner(name, key.id) for name, app in config.apps.items() for key in app.keys}


def _revision(data: object) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _own_url(server: ServerSettings) -> str:
    """The listener's own address, which the simulator can reach and nobody else needs to."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"


def _store_url(store: StoreSettings, password: str, sentinel_password: str) -> str:
    """The address with the users and the passwords in it, as the client takes it."""
    parts = urlsplit(store.url)
    if password:
        login = f"{quote(store.username or '', safe='')}:{quote(password, safe='')}@"
        parts = parts._replace(netloc=login + parts.netloc)
    if sentinel_password:
        said = {"sentinel_username": store.sentinel_username or "", "sentinel_password": sentinel_password}
        parts = parts._replace(query=urlencode(said))
    return urlunsplit(parts) if password or sentinel_password else store.url
