"""Talks to a running gateway for the commands that ask it something, as any app would."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli import options

_TIMEOUT = 45.0  # seconds; a start may be held for 30


def _own() -> str:
    """Where the gateway answers whose configuration the other commands read."""
    from gateway.config.loader import own_url  # pydantic: not for --help

    return own_url(Path(os.environ.get("OTP_GATEWAY_CONFIG") or "config.yaml"), os.environ)


F = TypeVar("F", bound=Callable[..., Any])


def where(command: F) -> F:
    """The options that say which gateway and as which app."""
    url = click.option(
        "--url",
        default=_own,
        envvar="OTP_GATEWAY_URL",
        show_default="where the server of config.yaml listens",
        show_envvar=True,
        help="Where the gateway answers.",
    )
    key = click.option(
        "--key-file",
        type=click.Path(path_type=Path),
        default=Path("data/demo-api-key"),
        show_default=True,
        help="The file that holds the API key, unless OTP_GATEWAY_API_KEY has it.",
    )
    return url(key(options.as_json(command)))


def call(
    url: str, key_file: Path, path: str, body: Mapping[str, object] | None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The answer to a POST, or to a GET where there is no body. Ends the command with 1 and the problem's own words
    when it is refused."""
    if not url.startswith(("http://", "https://")):
        raise click.UsageError("--url: write where the gateway answers, such as http://127.0.0.1:8080")
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's own
        url.rstrip("/") + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {_key(key_file)}",
            "Content-Type": "application/json",
            **(headers or {}),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - as above
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as refusal:
        raise click.ClickException(_told(refusal)) from None
    except (ValueError, http.client.HTTPException):
        raise click.ClickException(f"what answers at {url} is no gateway: name another --url.") from None
    except OSError as fault:
        reason = getattr(fault, "reason", fault)
        raise click.ClickException(f"no gateway answers at {url}: {reason}. Start it, or name another --url.") from None


def destination(to: str) -> dict[str, str]:
    """What an argument names, as the API has it."""
    return {"email" if "@" in to else "phone": to}


def _key(file: Path) -> str:
    try:
        key = (os.environ.get("OTP_GATEWAY_API_KEY") or file.read_text(encoding="ascii")).strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key:
        raise click.ClickException(
            f"there is no API key in {file}: set OTP_GATEWAY_API_KEY, or name another --key-file."
        )
    if not key.isascii() or not key.isprintable():
        raise click.ClickException("the API key holds characters that no key has: copy it again.")
    return key


def _told(refusal: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(refusal)
    except ValueError:
        return f"refused with status {refusal.code}, and not as a gateway refuses: is --url right?"
    lines = [f"{problem.get('code', refusal.code)}: {problem.get('detail') or problem.get('title', '')}"]
    lines += [f"  {error.get('pointer')}: {error.get('reason')}" for error in problem.get("errors", ())]
    if refusal.headers.get("Retry-After"):
        lines.append(f"  try again in {refusal.headers['Retry-After']} s")
    return "\n".join(lines)
