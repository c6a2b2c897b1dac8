"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.config import Settings

config_file = click.option(
    "--config",
    "-c",
    "config_file",
    type=click.Path(path_type=Path),
    default=Path("config.yaml"),
    envvar="OTP_GATEWAY_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)


def app(settings: Settings, name: str | None) -> str:
    """The app that is meant: the one that is named, or the only one. Raises click.UsageError."""
    apps = settings.config.apps
    if name in apps:
        return name
    known = ", ".join(apps)
    if name is not None:
        raise click.BadParameter(f"there is no app {name!r}: write one of {known}", param_hint="--app")
    if len(apps) > 1:
        raise click.UsageError(f"Say which app asks, with --app: one of {known}.")
    return next(iter(apps))
