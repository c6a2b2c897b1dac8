"""`otp-gateway suppression`: opt-outs at a running gateway, seen and changed as one app."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import client, options

_channels = click.option("--channel", "channels", multiple=True, help="Only this channel; may be repeated.")


@click.group("suppression")
def command() -> None:
    """List, add and lift opt-outs of TO, a phone number such as +14155550100 or an email address."""


@command.command("list")
@click.argument("to")
@client.where
def list_(to: str, url: str, key_file: Path, as_json: bool) -> None:
    """Say which channels TO has opted out of."""
    _tell(client.call(url, key_file, "/v1/suppressions/search", {"to": client.destination(to)}), as_json)


@command.command("add")
@click.argument("to")
@_channels
@click.option("--reason", default="operator", show_default=True, help="A word of lower-case letters and underscores.")
@client.where
def add(to: str, channels: tuple[str, ...], reason: str, url: str, key_file: Path, as_json: bool) -> None:
    """Send nothing more to TO, on the channels named or on all."""
    _tell(client.call(url, key_file, "/v1/suppressions", {**_body(to, channels), "reason": reason}), as_json)


@command.command("lift")
@click.argument("to")
@_channels
@client.where
def lift(to: str, channels: tuple[str, ...], url: str, key_file: Path, as_json: bool) -> None:
    """Send to TO again, on the channels named or on all. Only when the person has asked for it: a vendor that keeps a
    list of its own goes on refusing until the person writes START."""
    stood = client.call(url, key_file, "/v1/suppressions/search", {"to": client.destination(to)})
    answer = client.call(url, key_file, "/v1/suppressions/lift", _body(to, channels))
    left = {entry["channel"] for entry in answer["suppressions"]}
    lifted = [entry["channel"] for entry in stood["suppressions"] if entry["channel"] not in left]
    if lifted and not as_json:
        click.echo(f"lifted: {', '.join(lifted)}")
    if left or not lifted or as_json:
        _tell(answer, as_json)


def _body(to: str, channels: tuple[str, ...]) -> dict[str, object]:
    return {"to": client.destination(to), **({"channels": channels} if channels else {})}


def _tell(answer: Mapping[str, Any], as_json: bool) -> None:
    options.shown(answer, map(_line, answer["suppressions"]), as_json, "No opt-out is known.")


def _line(entry: Mapping[str, Any]) -> str:
    until = f"until {entry['expires_at']}" if entry["expires_at"] else "until it is lifted"
    return f"{entry['channel']:<9} since {entry['since']}, {until} ({entry['reason']})"
