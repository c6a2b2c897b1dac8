"""Request headers: how one is found, and the two that change what a call does, Idempotency-Key and Prefer."""

from __future__ import annotations

import re

from gateway.http.call import Asked, Call
from gateway.http.problems import invalid

LONGEST_KEY = 255
MOST_WAIT = 30
"""Seconds that an answer may be held. A caller who prefers more gets this."""

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;.*)?', re.IGNORECASE)


def every(request: Asked, name: bytes) -> list[str]:
    """What each header of that name says; the name is in lower case, as ASGI has it. The library's own mapping decodes
    all of them first."""
    if isinstance(request, Call) and name not in request.named:
        return []
    return [value.decode("latin-1") for found, value in request.scope["headers"] if found == name]


def first(request: Asked, name: bytes, otherwise: str = "") -> str:
    """What the first header of that name says."""
    if isinstance(request, Call):
        said = request.named.get(name)
        return otherwise if said is None else str(said, "latin-1")
    for found, value in request.scope["headers"]:
        if found == name:
            return str(value, "latin-1")
    return otherwise


def idempotency_key(request: Asked) -> str | None:
    """The key, raw or as an RFC 9651 string (draft-ietf-httpapi-idempotency-key-header-07 §2.1 wants the string, and
    most clients send it raw): the two spellings are one key. Raises the problem invalid_request."""
    given = every(request, b"idempotency-key")
    if not given:
        return None
    key = _unquoted(given[0].strip())
    if len(given) > 1 or key is None or _KEY.fullmatch(key) is None:
        reason = f"Idempotency-Key: send one, of 1 to {LONGEST_KEY} printable ASCII characters"
        raise invalid([("", reason)])
    return key


def _unquoted(text: str) -> str | None:
    if not text.startswith('"'):
        return text
    quoted = _QUOTED.fullmatch(text)
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else None


def wait(request: Asked) -> int | None:
    """Seconds that the caller prefers to wait, at most 30; None without a preference.

    RFC 7240 §2: what is not understood is ignored, and of a preference given twice the first counts.
    """
    lines = every(request, b"prefer")
    if not lines:
        return None
    preferences = (part.strip() for line in lines for part in line.split(","))
    found = next(filter(None, map(_WAIT.fullmatch, preferences)), None)
    return min(int(found[1]), MOST_WAIT) if found else None
