"""`otp-gateway reload`: has the running gateway read its configuration again, and tells how that ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from gateway.http.presence import Told

_PATIENCE = 30.0  # seconds
_LOOK = 0.05


@click.command("reload")
@options.config_file
def command(config_file: Path) -> None:
    """Have every gateway that serves from this configuration's store.directory read its file again. Each takes it over
    whole or keeps what it has; limits keep their counts. Ends with 0 when all of them took it over. A gateway in
    another container or on another machine is sent SIGHUP there."""
    from gateway.http.presence import running

    directory = _directory(config_file)
    found = list(running(directory))
    if not found:
        raise click.ClickException(
            f"no running gateway is found in {directory}. Is it started with this configuration? A gateway that can't "
            "write there is reloaded by SIGHUP."
        )
    meant = [told for told in found if _meant(config_file, told)]
    reached = {target: _signal(target) for target in {told.parent or told.pid for told in meant if told.here}}
    said: set[str] = set()  # what several say alike is told once
    well = [_reload(directory, told, reached.get(told.parent or told.pid), said) for told in meant]
    if len(meant) < len(found) or not all(well):
        raise click.exceptions.Exit(1)


def _directory(config_file: Path) -> Path:
    from gateway.config import Invalid
    from gateway.config.loader import store_directory

    try:
        return store_directory(config_file, os.environ)
    except Invalid as invalid:
        loading.refuse(invalid)


def _meant(config_file: Path, told: Told) -> bool:
    """Whether the process reads that file: to read another one it has to be started anew."""
    if not told.file or not told.here or told.file == str(config_file.resolve()):
        return True
    click.echo(f"process {told.pid} was started with {told.file} and reads no other: name it with --config.", err=True)
    return False


def _signal(pid: int) -> str:
    """Have it reload, and all whose parent it is. Returns why that can't be, or nothing."""
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        return (error.strerror or "it is gone").lower()
    return ""


def _reload(directory: Path, before: Told, problem: str | None, said: set[str]) -> bool:
    """Wait for one process that was signalled. Whether it took the configuration over."""
    name = f"process {before.pid}"
    if not before.here:
        click.echo(f"{name} runs in another container: send SIGHUP to it there.", err=True)
        return False
    if problem:
        click.echo(f"{name} can't be reached: {problem}.", err=True)
        return False
    after = _answer(directory, before)
    if after is None:
        click.echo(f"{name} has not answered in {_PATIENCE:g} seconds: its log says more.", err=True)
        return False
    lines = [*(f"{click.style('warning:', fg='yellow')} {warning}" for warning in after.warnings), *after.refused]
    for line in lines:
        if line not in said:
            click.echo(line, err=True)
    said.update(lines)
    click.echo(f"{name} {'keeps' if after.refused else 'has taken over'} revision {after.revision}")
    return not after.refused


def _answer(directory: Path, before: Told) -> Told | None:
    from gateway.http.presence import running

    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        for told in running(directory):
            if told.pid == before.pid and told.reloads > before.reloads:
                return told
        time.sleep(_LOOK)
    return None
