"""`otp-gateway check-config`: judges a configuration without starting anything or writing a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from gateway.config import Settings


@click.command("check-config")
@options.config_file
def command(config_file: Path) -> None:
    """Say whether the configuration can be used, or everything that is wrong with it."""
    found = loading.settings(config_file, make_keys=False)
    for line in _summary(found):
        click.echo(line)


def _summary(settings: Settings) -> Iterator[str]:
    yield f"{settings.path} can be used: {settings.config.mode}, revision {settings.revision}"
    yield f"  apps      {', '.join(settings.config.apps)}"
    for channel, order in settings.orders.items():
        yield f"  {channel:<9} {', then '.join(order) or 'not offered'}"
    for name, policy in settings.policies.items():
        steps = ", then ".join(step.channel for step in policy.routes.default)
        yield f"  policy    {name} ({policy.revision}): {steps}"
