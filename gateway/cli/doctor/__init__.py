"""`otp-gateway doctor`: looks at every provider's account, the callback address and the store, and says what to do.

Nothing is sent, unless --send-to names somebody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from gateway.cli.doctor.trial import Trial
    from gateway.config import Settings


@click.command("doctor")
@click.argument("providers", nargs=-1, metavar="[PROVIDER]...")
@click.option("--send-to", metavar="NUMBER_OR_EMAIL", help="Also send one real test message, by each PROVIDER named.")
@click.option("--channel", help="The channel of the test message. Left out: the first that the provider has.")
@options.config_file
@options.as_json
def command(
    providers: tuple[str, ...], send_to: str | None, channel: str | None, config_file: Path, as_json: bool
) -> None:
    """Look at each PROVIDER's credentials, senders and callback address without sending anything, and say what to do
    about what is wrong. Left out: at all providers, and at the store. Ends with 1 when anything is at fault."""
    settings = loading.settings(config_file, make_keys=False)
    from gateway.cli.doctor import page
    from gateway.cli.doctor.examination import examined, faulty

    names = _named(settings, providers)
    trial = _trial(settings, providers, send_to, channel)
    found = asyncio.run(examined(settings, names, whole=not providers, trial=trial))
    options.shown(page.told(found), page.lines(found), as_json)
    if faulty(found):
        raise click.exceptions.Exit(1)


def _named(settings: Settings, wanted: Sequence[str]) -> list[str]:
    """The providers to look at. Raises click.UsageError for one that there is not."""
    from gateway.config.fault import instead

    for name in wanted:
        if name in settings.config.providers and name not in settings.providers:
            raise click.UsageError(f"{name} is disabled: write enabled: true in its section.")
        if name not in settings.providers:
            raise click.UsageError(f"There is no provider {name!r}: {instead(name, settings.providers)}")
    return list(dict.fromkeys(wanted)) or list(settings.providers)


def _trial(settings: Settings, names: Sequence[str], to: str | None, channel: str | None) -> Trial | None:
    """The test message, if one is to be sent. Raises click.UsageError."""
    from gateway.cli.doctor.trial import Trial, Unusable

    if to is None and channel is None:
        return None
    if to is None:
        raise click.UsageError("--channel is that of a test message: say to whom, with --send-to.")
    if not names:
        known = ", ".join(settings.providers)
        raise click.UsageError(f"A test message is real and costs money: name who is to send it, of {known}.")
    try:
        return Trial.to(to, channel, next(iter(settings.config.apps.values())).name)
    except Unusable as fault:
        raise click.UsageError(str(fault)) from None
