"""`otp-gateway block`: what a running gateway holds back as abuse, seen and lifted as one app."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import client, options


@click.group("block")
def command() -> None:
    """List and lift the blocks that rules against abuse have begun."""


@command.command("list")
@client.where
def list_(url: str, key_file: Path, as_json: bool) -> None:
    """Say what is blocked, by which rule, and until when."""
    _tell(client.call(url, key_file, "/v1/blocks", None), as_json)


@command.command("lift", context_settings={"ignore_unknown_options": True})  # an id may begin with a hyphen
@click.argument("block")
@client.where
def lift(block: str, url: str, key_file: Path, as_json: bool) -> None:
    """End BLOCK, by the id that stands in the list. What it was for begins anew: if the pump goes on, it is found again
    as it was the first time."""
    left = client.call(url, key_file, "/v1/blocks/lift", {"id": block})
    if not as_json:
        click.echo(f"{block} is lifted.", err=True)
    _tell(left, as_json)


def _tell(answer: Mapping[str, Any], as_json: bool) -> None:
    options.shown(answer, map(_line, answer["blocks"]), as_json, "Nothing is blocked.")


def _line(block: Mapping[str, Any]) -> str:
    again = f", {block['repeated']} times in a row" if block["repeated"] > 1 else ""
    what = f"{block['per']} {block['subject']}" if block["subject"] != block["per"] else block["per"]
    return f"{block['id']}  {what}  {block['rule']}, until {block['expires_at']}{again}"
