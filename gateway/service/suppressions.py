"""Opt-outs: who asked not to get messages on a channel, how it came to be known, and what lifts it.

An opt-out belongs to an app, a channel and a destination, whichever provider it was said to. It is kept under a keyed
hash, so the store can say whether a number that it is asked about has opted out, and nobody can read out who has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from channels.contract import Channel, ErrorClass, InboundText
from gateway.core.machine import Changed, Effect
from gateway.core.model import Attempt, AttemptStatus, OptOuts, Verification
from gateway.core.replies import Wish, wish
from gateway.service.addresses import kept
from gateway.service.requests import Destinations, InvalidField
from gateway.service.setup import App, Setup
from gateway.store.steps import Reply, Suppression
from gateway.store.wants import Look, Mark
from policies import destination
from policies.model import Email, Phone

ALREADY = "suppressed"
"""In place of a vendor's code: the message was not sent, since the person had opted out when it was about to be."""

VENDOR, REPLY, APP = "vendor", "reply", "app"
"""Reasons: a vendor refused a message with that word, the person wrote STOP, the app says so."""


def looks(records: OptOuts, channels: Iterable[str]) -> tuple[Look, ...]:
    """What the store has to look for before a message may go out by these channels."""
    to_phone, to_email = _parted(tuple(channels))
    return tuple(
        [Look(key, those) for key, those in ((records.phone, to_phone), (records.email, to_email)) if key and those]
    )


@lru_cache(maxsize=1024)
def _parted(channels: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that reach a number, and those that reach a mailbox; each once. Policies have few orders."""
    named = tuple(dict.fromkeys(channels))
    return tuple(c for c in named if c != Channel.EMAIL), tuple(c for c in named if c == Channel.EMAIL)


def marks(setup: Setup, v: Verification, effects: tuple[Effect, ...]) -> tuple[Mark, ...]:
    """What a turn has the store remember: that a vendor knows of an opt-out."""
    return tuple(
        [
            Mark(v.opt_outs.key(effect.attempt.channel), (effect.attempt.channel,), VENDOR, life(setup, v.app))
            for effect in effects
            if isinstance(effect, Changed) and _marked(effect.attempt) and v.opt_outs.key(effect.attempt.channel)
        ]
    )


def tell(setup: Setup, v: Verification, attempt: Attempt) -> None:
    """Count and log what `marks` had the store remember of this attempt."""
    if _marked(attempt):
        setup.metrics.suppression(attempt.channel, "added")
        setup.log.info(
            "suppression.added",
            verification=v.id,
            app=v.app,
            channels=[attempt.channel],
            reason=VENDOR,
            provider=attempt.provider,
        )


def left_out(setup: Setup, channels: Iterable[str], **facts: object) -> None:
    """Count and log that these channels were left out, since the person has opted out of them."""
    named = list(channels)
    for channel in named:
        setup.metrics.suppression(channel, "applied")
    setup.log.info("suppression.applied", channels=named, **facts)


def _marked(attempt: Attempt) -> bool:
    """Whether it failed because the vendor knows of an opt-out."""
    return (
        attempt.status is AttemptStatus.FAILED
        and attempt.reason == ErrorClass.OPTED_OUT
        and attempt.vendor_code != ALREADY
    )


def life(setup: Setup, app: str) -> int:
    """ms that an opt-out from an app holds: the longest that any of its policies says; 0 is until it is lifted."""
    names = setup.apps[app].policies.values() if app in setup.apps else ()
    said = [setup.policies[name].settings.suppression.expiry for name in names]
    return 0 if None in said else max((expiry for expiry in said if expiry), default=0)


def _record(setup: Setup, app: str, to: Phone | Email) -> str:
    return kept(setup, app, to).opt_outs


@dataclass(frozen=True, slots=True)
class Standing:
    """What a destination has opted out of: masked, and the entries that hold now."""

    phone: str
    email: str
    entries: tuple[Suppression, ...]


class Suppressions:
    """The use-cases. Every method raises store.steps.Unavailable when the store is away."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    async def search(self, app: str, to: Destinations) -> Standing:
        """What holds for this app and destination."""
        entries: list[Suppression] = []
        for address in to.given:
            entries += await self._setup.store.suppressions(_record(self._setup, app, address))
        return Standing(to.phone.masked if to.phone else "", to.email.masked if to.email else "", tuple(entries))

    async def add(self, app: str, to: Destinations, channels: Collection[str] = (), reason: str = APP) -> Standing:
        """Send nothing more by these channels; none named: by all that reach the destination. Raises InvalidField."""
        for address, named in _by_address(to, channels):
            key = _record(self._setup, app, address)
            await self._setup.store.suppress(key, named, reason, life(self._setup, app))
            self._told("added", named, app=app, reason=reason)
        return await self.search(app, to)

    async def lift(self, app: str, to: Destinations, channels: Collection[str] = ()) -> Standing:
        """Send again by these channels; none named: by all that reach the destination. Raises InvalidField."""
        for address, named in _by_address(to, channels):
            if await self._setup.store.lift(_record(self._setup, app, address), named):
                self._told("lifted", named, app=app, reason=APP)
        return await self.search(app, to)

    async def heard(self, provider: str, text: InboundText) -> None:
        """Act on what a person wrote back to a provider: it is said to every app that sends by it on that channel,
        since no vendor knows which app a person means."""
        asked = wish(text.text)
        if asked is None:
            return
        try:
            sender = destination.phone(text.sender)
        except destination.Invalid:  # a short code or a name, to which nothing is ever sent
            return
        apps = [name for name, app in self._setup.apps.items() if self._sends(app, provider, text.channel)]
        if apps and await self._setup.store.reply(self._reply(provider, text, asked, sender, apps)):
            action = "added" if asked is Wish.STOP else "lifted"
            self._told(action, [text.channel], apps=apps, reason=REPLY, provider=provider)

    def _reply(self, provider: str, text: InboundText, asked: Wish, sender: Phone, apps: list[str]) -> Reply:
        """Of each provider its own times and ids: by another one the person may have written to other apps."""
        setup, address = self._setup, sender.e164
        heard = setup.keys.name("suppression", "heard", provider, text.channel, address)
        return Reply(
            setup.store.heard_key(setup.keys.shard(address), heard),
            {_record(setup, app, sender): life(setup, app) for app in apps},
            text.channel,
            REPLY,
            asked is Wish.START,
            text.said_at,
            setup.keys.hashed("suppression", "heard", text.id) if text.id else b"",
        )

    def _sends(self, app: App, provider: str, channel: Channel) -> bool:
        """Whether any policy of the app has a step of that channel through that provider, in any country."""
        policies = (self._setup.policies[name] for name in app.policies.values())
        orders = (order for policy in policies for order in (policy.routes.default, *policy.routes.by_country.values()))
        return any(step.channel == channel and provider in step.providers for order in orders for step in order)

    def _told(self, action: str, channels: Iterable[str], **facts: object) -> None:
        named = [str(channel) for channel in channels]
        for channel in named:
            self._setup.metrics.suppression(channel, action)
        self._setup.log.info(f"suppression.{action}", channels=named, **facts)


def _by_address(to: Destinations, channels: Collection[str]) -> Iterator[tuple[Phone | Email, list[str]]]:
    """Each address with the channels that reach it, of those that are named."""
    reached = {
        address: [c for c in Channel if (c is Channel.EMAIL) == isinstance(address, Email)] for address in to.given
    }
    every = {channel for those in reached.values() for channel in those}
    if lost := [channel for channel in channels if channel not in every]:
        raise InvalidField("/channels", f"{lost[0]} reaches none of the addresses in to")
    for address, those in reached.items():
        if named := [str(channel) for channel in those if not channels or channel in channels]:
            yield address, named
