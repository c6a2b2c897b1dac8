"""`otp-gateway policy`: tests what is expected of policies, and replays recorded traffic against changed ones."""

from __future__ import annotations

import click

from gateway.cli.policy import simulate, test


@click.group("policy")
def command() -> None:
    """Test policies against what is expected of them, and see what a change of them would change."""


command.add_command(test.command)
command.add_command(simulate.command)
