"""The command `otp-gateway`: one module per command, imported when it is called, which imports what it needs then."""

from __future__ import annotations

from importlib import import_module

import click

_MODULES = {
    "serve": "serve",
    "check-config": "check_config",
    "doctor": "doctor",
    "explain": "explain",
    "policy": "policy",
    "reload": "reload",
    "send": "send",
    "check": "check",
    "suppression": "suppression",
    "list": "listing",
    "erase": "erase",
    "block": "block",
    "provider": "provider",
    "keys": "keys",
    "schema": "schema",
}
"""Where each command is, by its name."""


class _Commands(click.Group):
    """Imports a command when it is asked for: what serves need not carry what only the others use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = import_module(f"gateway.cli.{_MODULES[cmd_name]}").command
        return command


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from gateway.config.version import (
            version,
        )  # the configuration's packages take longer to import than --help takes

        click.echo(f"otp-gateway {version()}")
        context.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Say which.")
def main() -> None:
    """Verifies phone numbers and email addresses over SMS, voice, WhatsApp, Telegram and email, with fallback.

    Every command ends with 0 when all is well, 1 when something is wrong, and 2 when it was called wrongly.
    """
