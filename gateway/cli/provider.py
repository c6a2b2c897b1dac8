"""`otp-gateway provider`: switches providers off for an outage and on again, in every process and without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.store.switches import Off
    from gateway.store.valkey import Store

T = TypeVar("T")


@click.group("provider")
def command() -> None:
    """Switch providers off for an outage, and on again. It is written in the store, so it holds for every gateway on
    that store, and after a restart. Callbacks of a provider that is off are still read."""


@command.command("list")
@options.config_file
def list_(config_file: Path) -> None:
    """Say of each provider what it carries and whether it is on."""
    settings = loading.settings(config_file, make_keys=False)
    for line in _lines(settings, _with_store(settings, lambda store: store.off.read())):
        click.echo(line)


@command.command("disable")
@click.argument("name")
@click.option("--reason", default="", help="Why, for whoever reads the list or the log: no numbers, no names.")
@options.config_file
def disable(name: str, reason: str, config_file: Path) -> None:
    """Send nothing more through the provider NAME, of what begins and of what falls back."""
    settings = loading.settings(config_file, make_keys=False)
    if name not in settings.config.providers:
        raise click.BadParameter(_unknown(name, settings), param_hint="NAME")
    if len(reason) > 200 or not reason.isprintable():
        raise click.BadParameter("write one line of 200 characters at the most", param_hint="--reason")

    async def switch(store: Store) -> Mapping[str, Off]:
        await store.off.add(name, reason)
        return await store.off.read()

    off = _with_store(settings, switch)
    click.echo(f"{name} is off: every gateway knows it {_soon()}.")
    for channel, order in settings.orders.items():
        if name in order and off.keys() >= set(order):
            click.echo(f"{click.style('warning:', fg='yellow')} {channel} has no other provider that is on.", err=True)


@command.command("enable")
@click.argument("name")
@options.config_file
def enable(name: str, config_file: Path) -> None:
    """Send through the provider NAME again."""
    settings = loading.settings(config_file, make_keys=False)
    was_off = _with_store(settings, lambda store: store.off.remove(name))
    if not was_off and name not in settings.config.providers:
        raise click.BadParameter(_unknown(name, settings), param_hint="NAME")
    click.echo(f"{name} is on: every gateway knows it {_soon()}." if was_off else f"{name} was not switched off.")
    if name in settings.config.providers and name not in settings.providers:
        click.echo(f"providers.{name}.enabled is false in {settings.path}, so nothing is sent through it.", err=True)


def _soon() -> str:
    from gateway.service.switches import PAUSE

    return f"within {PAUSE:g} seconds"


def _unknown(name: str, settings: Settings) -> str:
    return f"there is no provider {name!r}: write one of {', '.join(settings.config.providers)}"


def _lines(settings: Settings, off: Mapping[str, Off]) -> Iterator[str]:
    for name in settings.config.providers:
        channels = ", ".join(channel for channel, order in settings.orders.items() if name in order) or "in no order"
        state = "on" if name in settings.providers else "off in the configuration"
        yield f"{name:<16} {_since(off[name]) if name in off else state} ({channels})"
    for name in sorted(off.keys() - settings.config.providers.keys()):
        yield f"{name:<16} {_since(off[name])} (not in the configuration)"


def _since(off: Off) -> str:
    at = datetime.fromtimestamp(off.since / 1000, UTC)
    return f"off since {at:%Y-%m-%d %H:%M} UTC{f': {off.reason}' if off.reason else ''}"


def _with_store(settings: Settings, work: Callable[[Store], Awaitable[T]]) -> T:
    """What the work gives, done on the store that the configuration names."""
    from gateway.store import embedded
    from gateway.store.steps import Unavailable
    from gateway.store.topology import configured, steps
    from gateway.store.valkey import Store

    said = settings.config.store
    url = embedded.address(said.directory) if settings.store_url == "embedded" else settings.store_url
    if url is None:
        raise click.ClickException(
            f"no gateway runs on {said.directory}, which holds the store. Start it, or write enabled: false under the "
            "provider in the configuration."
        )

    async def done() -> T:
        store = Store(configured(said, url), prefix=said.prefix, steps=steps(url))
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(done())
    except Unavailable:
        raise click.ClickException(f"the store does not answer ({said.url}).") from None
