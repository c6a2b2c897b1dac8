"""Signatures of Standard Webhooks 1.0.0: made for what is sent, and checked on what comes in."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

from channels.contract import Forged

PREFIX = "whsec_"
WINDOW = 300
"""Seconds that a timestamp may be away from now. The specification leaves the amount open; five minutes is what the
libraries of the specification use."""

_KEY_BYTES = (24, 64)  # specification, "Signature scheme": 192 to 512 bits
_SIGNATURES = 16  # in one header; a sender that rotates has two


def key(secret: str) -> bytes:
    """The bytes behind a secret. Raises ValueError, which doesn't show it, for what isn't one."""
    try:
        raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raw = b""
    lowest, highest = _KEY_BYTES
    if not secret.startswith(PREFIX) or not lowest <= len(raw) <= highest:
        raise ValueError(f"write {PREFIX} and the base64 of {lowest} to {highest} random bytes")
    return raw


def headers(keys: Sequence[bytes], message_id: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers of one request, signed under every key, so that the receiver may know any of them.

    `at` is now in Unix seconds. The id is what makes a repeat recognisable; a full stop in it would make the signed
    text ambiguous, and raises ValueError.
    """
    if "." in message_id or not message_id.isascii():
        raise ValueError("an id is ASCII without full stops")
    signatures = [_signature(each, message_id, str(at), body).decode() for each in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def check(keys: Sequence[bytes], given: Mapping[str, str], body: bytes, now: float) -> None:
    """Raises Forged unless one of the keys signed this body, not long ago. `given` has its names in lower case."""
    message_id, at = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not message_id or not fresh(at, now):
        raise Forged
    signed = given.get("webhook-signature", "").encode("utf-8", "replace").split(b" ")[:_SIGNATURES]
    right = [b"v1," + _signature(each, message_id, at, body) for each in keys]
    if True not in [hmac.compare_digest(each, one) for each in right for one in signed]:  # always all of them
        raise Forged


def fresh(timestamp: str, now: float) -> bool:
    """Whether a timestamp in Unix seconds, as text, lies within the window around now."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    return abs(now - int(timestamp)) <= WINDOW


def _signature(key: bytes, message_id: str, at: str, body: bytes) -> bytes:
    text = f"{message_id}.{at}.".encode("utf-8", "replace") + body
    return binascii.b2a_base64(hmac.digest(key, text, "sha256"), newline=False)
