"""Makes, in development only, the keys that nobody configured, and keeps them beside the store's files."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gateway.config import apikey
from gateway.config.fault import Fault, Invalid
from gateway.config.secret import KEY_BYTES, key_bytes
from gateway.config.settings import ApiKeyOwner, Settings
from gateway.core.keys import api_key_hash

KEY_ID = "development"
"""The id of the sealing key and of the API keys that are made here."""


def furnish(settings: Settings) -> Settings:
    """The settings with every key that was missing. Raises Invalid when the folder can't be used.

    Whatever was made once is read again at the next start. Of several processes that start at once, one makes a key
    and all of them read it.
    """
    folder = settings.config.store.directory
    try:
        return replace(
            settings,
            lookup=settings.lookup or _secret(folder / "secrets" / "lookup"),
            sealing=settings.sealing or {KEY_ID: _secret(folder / "secrets" / "sealing")},
            api_keys={**settings.api_keys, **_api_keys(settings, folder)},
        )
    except OSError as error:
        problem = f"{folder} can't hold the keys of development: {(error.strerror or 'it is out of reach').lower()}"
        remedy = "name a folder that can be written to"
        raise Invalid(str(settings.path), [Fault(0, "store.directory", problem, remedy)]) from None
    except _Damaged as error:
        problem, remedy = f"{error} holds no key", "delete it and start again: another one is made"
        raise Invalid(str(settings.path), [Fault(0, "store.directory", problem, remedy)]) from None


class _Damaged(Exception):
    pass


def _api_keys(settings: Settings, folder: Path) -> dict[str, ApiKeyOwner]:
    """A key for each app that has none, in <app>-api-key."""
    keyless = [name for name, app in settings.config.apps.items() if not app.keys]
    return {api_key_hash(_api_key(key_file(folder, name))): ApiKeyOwner(name, KEY_ID) for name in keyless}


def key_file(folder: Path, app: str) -> Path:
    """Where the API key of an app without keys is kept."""
    return folder / f"{app}-api-key"


def _api_key(file: Path) -> str:
    key = _kept(file, apikey.new)
    if apikey.FORM.fullmatch(key) is None:
        raise _Damaged(file)
    return key


def _secret(file: Path) -> bytes:
    raw = key_bytes(_kept(file, lambda: base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()))
    if len(raw) < KEY_BYTES:
        raise _Damaged(file)
    return raw


def _kept(file: Path, make: Callable[[], str]) -> str:
    """What a file says; first made, if it isn't there."""
    if not file.exists():
        _publish(file, make())
    return file.read_text(encoding="utf-8", errors="replace").strip()


def _publish(file: Path, text: str) -> None:
    """Write a file, readable by its owner only, that is whole from the moment that it has its name.

    link(2) fails where rename(2) would replace: the key of a process that was faster stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(text + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
    finally:
        draft.unlink()
