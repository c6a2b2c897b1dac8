"""`otp-gateway schema`: the configuration as a JSON Schema, for editors that complete and check YAML."""

from __future__ import annotations

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the configuration."""
    from gateway.config.schema import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
