"""What the rest of the gateway is given: the configuration, checked, its secrets fetched and its policies compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from channels.contract import Channel, Context, Provider, ProviderSettings
from gateway.config.model import Config
from policies.engine import Policy
from policies.money import Tariff


@dataclass(frozen=True, slots=True)
class ProviderSection:
    """One provider of the configuration, ready to be built."""

    name: str
    settings: ProviderSettings
    channels: frozenset[Channel] | None  # None when only the built provider knows
    calls_back: bool  # the vendor reports deliveries to our public address
    builder: Callable[[ProviderSettings, Context], Provider] = field(repr=False)
    context: Context
    free: bool = False  # its messages cost nothing, unless a price is configured

    def build(self) -> Provider:
        """The provider itself. A provider that is not enabled has no secrets and is not to be built."""
        return self.builder(self.settings, self.context)


@dataclass(frozen=True, slots=True)
class ApiKeyOwner:
    """Whose an API key is."""

    app: str
    key: str  # the key's id


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured."""

    config: Config
    path: Path
    revision: str  # the first 12 hex digits of a hash over the configuration, its overrides included
    public_url: str  # without a trailing slash; ends in :0 when a free port is taken and no address was configured
    store_url: str = field(repr=False)  # with the user and password; "embedded" as it is
    lookup: bytes = field(repr=False)
    sealing: Mapping[str, bytes] = field(repr=False)  # in order: the first seals
    api_keys: Mapping[str, ApiKeyOwner] = field(repr=False)  # by the SHA-256 of the key, in hex
    providers: Mapping[str, ProviderSection]  # the enabled ones
    orders: Mapping[str, tuple[str, ...]]  # channel -> its enabled providers, in order
    policies: Mapping[str, Policy]
    tariff: Tariff
    warnings: tuple[str, ...] = ()

    @property
    def production(self) -> bool:
        return self.config.mode == "production"

    def policy(self, app: str, purpose: str) -> Policy:
        """The policy for a purpose of an app. Raises KeyError for an app that is not configured."""
        chosen = self.config.apps[app].policies
        return self.policies[chosen.get(purpose) or chosen["*"]]

    @property
    def segments(self) -> Mapping[str, int]:
        """The most segments of one message, by channel."""
        return {Channel.SMS: self.config.channels.sms.max_segments}
