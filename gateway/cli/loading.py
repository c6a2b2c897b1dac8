"""Loads the configuration for a command, and tells a person what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.config import Fault, Settings


def settings(file: Path, *, make_keys: bool = True) -> Settings:
    """The settings. With any fault, all of them go to the standard error and the command ends with 1."""
    from gateway.config import Invalid, load  # pydantic and the providers' packages: not for --help

    try:
        found = load(file, os.environ, make_keys=make_keys)
    except Invalid as invalid:
        for fault in invalid.faults:
            click.echo(_coloured(fault, invalid.file), err=True)
        count = len(invalid.faults)
        click.echo(f"{count} {'fault' if count == 1 else 'faults'}.", err=True)
        raise click.exceptions.Exit(1) from None
    for warning in found.warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)
    return found


def _coloured(fault: Fault, file: str) -> str:
    """The fault with its place in bold; click takes colours out where nobody would see them."""
    place, _, rest = fault.text(file).partition(": ")
    return f"{click.style(place, bold=True)}: {rest}"
