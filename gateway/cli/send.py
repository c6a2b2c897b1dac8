"""`otp-gateway send`: starts a verification at a running gateway."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli import client, options


@click.command("send")
@click.argument("to")
@click.option("--purpose", default="default", show_default=True, help="Selects the policy.")
@click.option("--channel", "channels", multiple=True, help="Narrow and order the channels; may be repeated.")
@click.option("--locale", help="The language of the message, such as pt-BR.")
@click.option(
    "--wait", type=click.IntRange(0, 30), default=10, show_default=True, help="Seconds for the first message."
)
@client.where
def command(
    to: str,
    purpose: str,
    channels: tuple[str, ...],
    locale: str | None,
    wait: int,
    url: str,
    key_file: Path,
    as_json: bool,
) -> None:
    """Send a code to TO, a phone number such as +14155550100 or an email address."""
    body: dict[str, object] = {"to": client.destination(to), "purpose": purpose}
    if channels:
        body["channels"] = channels
    if locale:
        body["locale"] = locale
    answer = client.call(url, key_file, "/v1/verifications", body, {"Prefer": f"wait={wait}"})
    options.shown(answer, [answer["id"]], as_json)
    if as_json:
        return
    for attempt in answer["attempts"]:
        reason = f" ({attempt['reason']})" if attempt["reason"] else ""
        click.echo(f"  {attempt['channel']} by {attempt['provider']}: {attempt['status']}{reason}", err=True)
    if all(attempt["status"] == "failed" for attempt in answer["attempts"]):
        raise click.ClickException("no provider took the message: the reasons stand above")
    click.echo(f"  then: otp-gateway check {answer['id']} CODE", err=True)
