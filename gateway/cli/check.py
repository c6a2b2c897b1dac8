"""`otp-gateway check`: tries a code at a running gateway."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from gateway.cli import client, options


@click.command("check")
@click.argument("verification")
@click.argument("code")
@client.where
def command(verification: str, code: str, url: str, key_file: Path, as_json: bool) -> None:
    """Try CODE for VERIFICATION, the id that `send` printed. Ends with 0 only when the code is right."""
    answer = client.call(url, key_file, f"/v1/verifications/{quote(verification, safe='')}/check", {"code": code})
    approved = answer["approved"]
    left = f", {answer['checks_left']} checks left" if answer["verdict"] == "wrong" else ""
    options.shown(answer, [click.style(answer["verdict"], fg="green" if approved else "red") + left], as_json)
    if not approved:
        raise click.exceptions.Exit(1)
