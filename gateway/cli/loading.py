"""Loads the configuration for a command, and tells a person what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from gateway.config import Fault, Invalid, Settings


def settings(file: Path, *, make_keys: bool = True) -> Settings:
    """The settings. With any fault, all of them go to the standard error and the command ends with 1."""
    found = _loaded(file, make_keys=make_keys, secrets=True)
    for warning in found.warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)
    return found


def policies(file: Path) -> Settings:
    """The settings without any secret, for a command that only asks the policies: it runs where the secrets of
    production are not. Faults are told as above; warnings are left to `check-config`."""
    return _loaded(file, make_keys=False, secrets=False)


def _loaded(file: Path, *, make_keys: bool, secrets: bool) -> Settings:
    from gateway.config import Invalid, load  # pydantic and the providers' packages: not for --help

    try:
        return load(file, os.environ, make_keys=make_keys, secrets=secrets)
    except Invalid as invalid:
        refuse(invalid)


def refuse(invalid: Invalid) -> NoReturn:
    """Tell every fault on the standard error and end the command with 1."""
    for fault in invalid.faults:
        click.echo(_coloured(fault, invalid.file), err=True)
    count = len(invalid.faults)
    click.echo(f"{count} {'fault' if count == 1 else 'faults'}.", err=True)
    raise click.exceptions.Exit(1) from None


def _coloured(fault: Fault, file: str) -> str:
    """The fault with its place in bold; click takes colours out where nobody would see them."""
    place, _, rest = fault.text(file).partition(": ")
    return f"{click.style(place, bold=True)}: {rest}"
