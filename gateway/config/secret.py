"""Fetches secrets from where the configuration says that they are: the environment, or a file of their own."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath

from pydantic import BaseModel

from channels.contract import SecretRef
from gateway.config.fault import Path
from gateway.config.model import SecretSettings, StoreSettings
from gateway.config.reader import Document

LARGEST = 64 * 1024
"""Bytes of a file that holds a secret: the largest are private keys in PEM."""

KEY_BYTES = 32
"""The least that a key of the gateway has: 256 bits."""


def fetched(ref: SecretRef, environ: Mapping[str, str] | None, path: Path, document: Document) -> str | None:
    """The secret, or None with a fault that says what is missing. Without an environment none is looked for."""
    if environ is None:
        return None
    if ref.env is not None:
        return _from_environment(ref.env, environ, (*path, "env"), document)
    return _from_file(ref.file or FilePath(), (*path, "file"), document)


def _from_environment(name: str, environ: Mapping[str, str], path: Path, document: Document) -> str | None:
    value = environ.get(name)
    if value:
        return value
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name) is None:  # perhaps the secret itself: not repeated
        problem, remedy = "this is not the name of an environment variable", "write the name, never the secret itself"
    else:
        problem = f"the environment variable {name} is {'not set' if value is None else 'empty'}"
        remedy = "set it, or write file: and a path"
    document.complain(path, problem, remedy)
    return None


def _from_file(file: FilePath, path: Path, document: Document) -> str | None:
    """The file's text less the line break that editors put at its end."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        value = content.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        reason = (error.strerror or "it can't be opened").lower()
        document.complain(path, f"the file can't be read: {reason}", "correct the path or its rights")
        return None
    except UnicodeDecodeError:
        document.complain(path, "the file is not text", "write the secret in base64 or hex")
        return None
    if value and len(content) <= LARGEST:
        return value
    problem = "the file is empty" if not value else f"the file has more than {LARGEST} bytes"
    document.complain(path, problem, "put the secret into it, and nothing else")
    return None


def references(settings: BaseModel) -> Iterator[tuple[tuple[str, ...], SecretRef]]:
    """The fields of a section, and of the sections in it, that refer to a secret."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretRef):
            yield (name,), value
        elif isinstance(value, BaseModel):
            yield from (((name, *rest), found) for rest, found in references(value))


@dataclass(frozen=True, slots=True)
class GatewayKeys:
    """The gateway's own secrets. What is empty was not configured."""

    lookup: bytes = field(default=b"", repr=False)
    sealing: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    store_password: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)


def gateway_keys(
    secrets: SecretSettings | None, store: StoreSettings | None, environ: Mapping[str, str] | None, document: Document
) -> GatewayKeys:
    """Fetch them all. Faults go to the document."""
    named = references(store) if store else iter(())
    passwords = {path[-1]: fetched(ref, environ, ("store", *path), document) or "" for path, ref in named}
    logins = GatewayKeys(
        store_password=passwords.get("password", ""), sentinel_password=passwords.get("sentinel_password", "")
    )
    if secrets is None:
        return logins
    lookup = secrets.lookup and _key(secrets.lookup, environ, ("secrets", "lookup"), document)
    sealing: dict[str, bytes] = {}
    for index, entry in enumerate(secrets.sealing):
        path = ("secrets", "sealing", index)
        if entry.id in sealing:
            document.complain((*path, "id"), f"there is another key {entry.id}", "write another id")
        sealing[entry.id] = _key(entry, environ, path, document) or b""
    return replace(logins, lookup=lookup or b"", sealing=sealing)


def _key(ref: SecretRef, environ: Mapping[str, str] | None, path: Path, document: Document) -> bytes | None:
    """One of the gateway's own keys, or None with a fault."""
    text = fetched(ref, environ, path, document)
    if text is None:
        return None
    raw = key_bytes(text)
    if len(raw) < KEY_BYTES:
        problem = f"the key has fewer than {KEY_BYTES} bytes"
    elif len(set(raw)) < KEY_BYTES // 4:
        problem = "the key is a filler and not random"
    else:
        return raw
    document.complain(path, problem, "make one with: openssl rand -base64 32")
    return None


def key_bytes(text: str) -> bytes:
    """The bytes that a key is written for: hex where it is that, else base64 of either alphabet, else its own text."""
    text = text.strip()
    if re.fullmatch(r"(?:[0-9a-fA-F]{2}){32,}", text):
        return bytes.fromhex(text)
    try:
        decoded = base64.b64decode(text.translate(_URLSAFE) + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return text.encode()
    return decoded if len(decoded) >= KEY_BYTES else text.encode()


_URLSAFE = str.maketrans("-_", "+/")
