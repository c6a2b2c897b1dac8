"""`otp-gateway list`: what an app denies and allows at a running gateway, seen and changed as that app."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import client, options


@click.group("list")
def command() -> None:
    """Show, add and remove entries of the app's list. ENTRY is a number such as +14155550100, the beginning of numbers
    such as '+4479*', an email address, or a domain with all under it."""


@command.command("show")
@click.argument("entry")
@client.where
def show(entry: str, url: str, key_file: Path, as_json: bool) -> None:
    """Say what the list says of ENTRY."""
    _tell(client.call(url, key_file, "/v1/lists/search", {"entry": entry}), as_json)


@command.command("add")
@click.argument("entry")
@click.option("--allow", is_flag=True, help="Allow it, against wider denials of this list; without, deny it.")
@click.option("--expires", help="How long it holds, such as 24h; left out: until it is removed.")
@click.option("--reason", default="operator", show_default=True, help="A word of lower-case letters and underscores.")
@client.where
def add(entry: str, allow: bool, expires: str | None, reason: str, url: str, key_file: Path, as_json: bool) -> None:
    """Send nothing more to ENTRY, or with --allow send again to a part of what is denied."""
    body: dict[str, object] = {"entry": entry, "list": "allow" if allow else "deny", "reason": reason}
    if expires is not None:
        body["expires_in"] = _seconds(expires)
    _tell(client.call(url, key_file, "/v1/lists", body), as_json)


@command.command("remove")
@click.argument("entry")
@client.where
def remove(entry: str, url: str, key_file: Path, as_json: bool) -> None:
    """Take ENTRY itself out of the list. Wider entries that cover it stay."""
    _tell(client.call(url, key_file, "/v1/lists/remove", {"entry": entry}), as_json)


def _seconds(text: str) -> int:
    from policies.duration import milliseconds

    try:
        return -(-milliseconds(text) // 1000)
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--expires") from None


def _tell(answer: Mapping[str, Any], as_json: bool) -> None:
    nothing = f"{answer['entry']} is on no list of this app."
    options.shown(answer, map(_line, answer["entries"]), as_json, nothing)


def _line(said: Mapping[str, Any]) -> str:
    until = f"until {said['expires_at']}" if said["expires_at"] else "until it is removed"
    return f"{said['list']:<5} {said['entry']} since {said['since']}, {until} ({said['reason']})"
