"""Options that several commands have, and how a command prints what it found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

as_json = click.option("--json", "as_json", is_flag=True, help="Print it for programs.")


def shown(found: Mapping[str, Any], lines: Iterable[str], as_json: bool, otherwise: str = "") -> None:
    """Print what was found: all of it for programs, or the lines for people, who are told `otherwise` where there are
    none."""
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    page = list(lines)
    for line in page:
        click.echo(line)
    if not page and otherwise:
        click.echo(otherwise, err=True)


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
