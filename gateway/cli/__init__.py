"""The command `otp-gateway`: one module per command, each of which imports what it needs when it runs."""

from __future__ import annotations

import click

from gateway.cli import (
    block,
    check,
    check_config,
    doctor,
    erase,
    explain,
    keys,
    listing,
    policy,
    provider,
    reload,
    schema,
    send,
    serve,
    suppression,
)


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from gateway.config.version import (
            version,
        )  # the configuration's packages take longer to import than --help takes

        click.echo(f"otp-gateway {version()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Say which.")
def main() -> None:
    """Verifies phone numbers and email addresses over SMS, voice, WhatsApp, Telegram and email, with fallback.

    Every command ends with 0 when all is well, 1 when something is wrong, and 2 when it was called wrongly.
    """


for _command in (
    serve.command,
    check_config.command,
    doctor.command,
    explain.command,
    policy.command,
    reload.command,
    send.command,
    check.command,
    suppression.command,
    listing.command,
    erase.command,
    block.command,
    provider.command,
    keys.command,
    schema.command,
):
    main.add_command(_command)
