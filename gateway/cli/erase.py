"""`otp-gateway erase`: erases what a running gateway keeps of a destination."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli import client, options


@click.command("erase")
@click.argument("to")
@client.where
def command(to: str, url: str, key_file: Path, as_json: bool) -> None:
    """Erase what is kept of TO, a phone number or an email address, for the app of the API key. Opt-outs and counters
    stay: they are keyed hashes that protect the person."""
    answer = client.call(url, key_file, "/v1/erase", {"to": client.destination(to)})
    count, ended = answer["verifications"], answer["ended"]
    pending = f", {ended} of them pending" if ended else ""
    said = f"erased {count} {'verification' if count == 1 else 'verifications'}{pending}"
    options.shown(answer, [said], as_json)
