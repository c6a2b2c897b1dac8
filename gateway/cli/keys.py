"""`otp-gateway keys`: makes API keys, and the hashes of them that the configuration holds."""

from __future__ import annotations

import sys

import click


@click.group("keys")
def command() -> None:
    """Make API keys, and the lines that name them in the configuration."""


_key_id = click.option("--id", "key_id", default="k1", show_default=True, help="The key's name in the configuration.")


@command.command("new")
@_key_id
def new(key_id: str) -> None:
    """Make a key. It is shown this once: only its hash is kept, in apps.<name>.keys."""
    from gateway.config import apikey

    key = apikey.new()
    click.echo(key)
    click.echo(_line(key_id, key))


@command.command("hash")
@_key_id
def hashed(key_id: str) -> None:
    """Read a key from the standard input and print its line for apps.<name>.keys."""
    from gateway.config import apikey

    typed = click.prompt("API key", hide_input=True) if sys.stdin.isatty() else sys.stdin.read(1024)
    key = typed.strip()
    if apikey.FORM.fullmatch(key) is None:
        raise click.ClickException(
            "That is not a key: it begins with otp_ and has 22 or more random characters after it."
        )
    click.echo(_line(key_id, key))


def _line(key_id: str, key: str) -> str:
    from gateway.core.keys import api_key_hash

    return f"- {{id: {key_id}, sha256: {api_key_hash(key)}}}"
