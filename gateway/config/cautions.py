"""What a configuration may say and an operator should see all the same."""

from __future__ import annotations

from collections.abc import Iterator

from channels.contract import Channel
from gateway.config.checks import Parts
from gateway.config.model import Config
from gateway.config.policing import ancestry
from gateway.config.settings import ProviderSection
from gateway.config.tariff import unpriced
from policies.rules.limits import Dimension
from policies.schema import PolicySettings


def warnings(parts: Parts, config: Config) -> Iterator[str]:
    """One sentence each."""
    for name, policy in parts.policies.items():
        yield from _weak(name, policy, config)
    chosen = {name for app in config.apps.values() for name in app.policies.values()}
    alive = {name for policy in chosen for name in ancestry(policy, config.policies)}
    for name in sorted(set(config.policies) - alive):
        yield f"policies.{name}: no app uses it, nor a policy that an app uses. Name it under apps.NAME.policies."
    used = {name for channel in Channel for name in getattr(config.channels, channel).providers}
    used |= {name for policy in parts.policies.values() for name in _named(policy)}
    for name in sorted(set(parts.providers) - used):
        yield f"providers.{name}: no channel and no policy uses it."
    for name in sorted(used & set(parts.providers)):
        yield from _unpriced(name, parts.providers[name], config)
    for channel in Channel:
        names = getattr(config.channels, channel).providers
        if names and not any(parts.providers[name].settings.enabled for name in names):
            yield f"channels.{channel}: all its providers are disabled, so its steps are passed over."
    yield from _divided(parts, config)
    if parts.production and (config.server.public_url or "").startswith("http:"):
        yield "server.public_url: reports and what a call says would come over plain http. Write an https address."


def _divided(parts: Parts, config: Config) -> Iterator[str]:
    simulated = any(section.settings.type == "simulator" for section in parts.providers.values())
    if simulated and config.server.workers > 1:
        yield "server.workers: each has a simulator of its own, whose page and reports the others don't know. Write 1."


def _unpriced(name: str, section: ProviderSection, config: Config) -> Iterator[str]:
    used = [channel for channel in unpriced(section) if name in getattr(config.channels, channel).providers]
    if used and section.settings.enabled:
        yield (
            f"providers.{name}.price: none for {', '.join(used)}, so that each message counts as the policy's "
            "spend.unknown_price, and its caps are soon used up. Write what it costs."
        )


def _named(policy: PolicySettings) -> Iterator[str]:
    for step in policy.fallback:
        yield from step.providers or ()
    for rule in policy.countries.rules.values():
        for providers in rule.providers.values():
            yield from providers


def _weak(name: str, policy: PolicySettings, config: Config) -> Iterator[str]:
    by_phone = any(step.channel != "email" for step in policy.fallback)
    countries = f"policies.{name}.countries"
    if policy.code.length < 6:
        yield f"policies.{name}.code: {policy.code.length} characters are easily guessed. NIST and OWASP ask for 6."
    yield from _unbounded(name, policy) if by_phone else ()
    if by_phone and policy.countries.default == "deny" and not policy.countries.allow:
        yield f"{countries}: no country is allowed, so it sends to no phone number. Write countries.allow."
    if by_phone and policy.countries.default == "allow" and config.mode == "production":
        yield f"{countries}: every country is allowed, which invites pumping fraud. Write countries.allow."
    if len(policy.fallback) > 1 and policy.code.expiry <= config.engine.min_useful:
        yield f"policies.{name}.code.expiry: a code that lives no longer than engine.min_useful never falls back."


def _unbounded(name: str, policy: PolicySettings) -> Iterator[str]:
    """What a policy loses that extends nothing, or that takes out more than was meant."""
    if not policy.spend.caps:
        yield f"policies.{name}.spend.caps: none, so that a stolen key or a pump spends what it can. Write some."
    if not any(Dimension.DESTINATION in limit.per and not limit.shadow for limit in policy.limits.values()):
        yield f"policies.{name}.limits: none counts per destination, so that one person may get any number. Write one."
