"""`otp-gateway serve`: runs the gateway until it is told to stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import loading, options

if TYPE_CHECKING:
    from gateway.config import Settings
    from gateway.http.listening import Addresses


@click.command("serve")
@options.config_file
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve, in the place of server.workers.")
def command(config_file: Path, workers: int | None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C, which let it finish what it has begun."""
    if workers is not None:
        os.environ["OTP_GATEWAY__SERVER__WORKERS"] = str(workers)  # for each time that the configuration is read
    settings = loading.settings(config_file)
    from gateway.http import serve
    from gateway.http.carriers import Unbuildable
    from gateway.http.listening import Unbound
    from gateway.http.workers import Failed
    from gateway.store.embedded import InUse, Lost, NotStarted
    from gateway.store.survey import Unfit
    from gateway.telemetry.logs import configure
    from gateway.telemetry.traffic import Unwritable

    configure(settings.config.log.level, _layout(settings))
    try:
        serve.run(settings, lambda addresses: _announce(settings, addresses))
    except (Unbound, Unbuildable, Unwritable, Unfit, InUse, Lost, NotStarted, Failed) as fault:
        raise click.ClickException(str(fault)) from None


def _layout(settings: Settings) -> str:
    layout = settings.config.log.format
    if layout == "auto":
        return "json" if settings.production else "console"
    return layout


def _announce(settings: Settings, addresses: Addresses) -> None:
    """Say where to look. Only in development, where nobody but its developer reads the terminal, is a key shown."""
    import structlog

    structlog.get_logger().info(
        "gateway.started",
        mode=settings.config.mode,
        address=addresses.api,
        metrics=addresses.metrics,
        revision=settings.revision,
        providers=sorted(settings.providers),
    )
    if not settings.production:
        for line in _welcome(settings, addresses):
            click.echo(line)


def _welcome(settings: Settings, addresses: Addresses) -> list[str]:
    from gateway.config.development import key_file

    folder = settings.config.store.directory
    lines = ["", f"{click.style('OTP gateway', bold=True)} is ready, in development mode.", ""]
    lines += _row("API", f"{addresses.api}/v1/verifications  (described at {addresses.api}/openapi.json)")
    if any(section.settings.type == "simulator" for section in settings.providers.values()):
        lines += _row("Messages", f"{addresses.api}/simulator")
    if addresses.metrics:
        lines += _row("Metrics", f"{addresses.metrics}/metrics")
    if settings.store_url == "embedded":
        lines += _row("Data", str(folder))
    keyless = [name for name, app in settings.config.apps.items() if not app.keys]
    for name in keyless:
        file = key_file(folder, name)
        key = file.read_text(encoding="ascii").strip()
        lines += _row("API key", f"{key}  (app {name}, kept in {file})")
    if keyless:
        lines += ["", "Start a verification:", "", *_curl(addresses.api, key), ""]
    return lines


def _row(name: str, text: str) -> list[str]:
    return [f"  {name:<9} {text}"]


def _curl(api: str, key: str) -> list[str]:
    body = '{"to": {"phone": "+14155550100"}}'
    headers = f"-H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
    return [f"  curl -s {api}/v1/verifications {headers} -d '{body}'"]
