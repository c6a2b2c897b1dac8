"""Plivo's signatures of its callbacks, V3 and V2.

V3 covers the address and the fields (Plivo, Voice: Request validation). V2 covers the address alone, and is what Plivo
documents for messages (Messaging: Signature validation), though messages have been seen with V3. So V2 is enough for a
report on a message that brings no V3, and never for a call, which could otherwise be asked for its words.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

Fields = Sequence[tuple[str, str]]


def v3(token: str, url: str, fields: Fields, nonce: str) -> str:
    """The signature of a POST. The joints are as Plivo's SDK makes them, which no page describes: with fields, an
    address without a query gets a bare question mark, and one with a query gets a full stop after it."""
    address, query = _split(url)
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    told = "&".join(f"{name}={value}" for name, value in pairs)
    if told or fields:
        address += f"?{told}"
    if told and fields:
        address += "."
    text = address + "".join(name + value for name, value in sorted(fields))
    return _sign(token, f"{text}.{nonce}")


def v2(token: str, url: str, nonce: str) -> str:
    """The address without its query, and the nonce."""
    return _sign(token, _split(url)[0] + nonce)


def genuine(tokens: Iterable[str], url: str, headers: Mapping[str, str], fields: Fields) -> int:
    """Which version's signature a callback bears: 3 or 2, and 0 for a forgery. A wrong V3 is never excused by a V2.

    `-ma-` is signed with the main account's token, where the account is a subaccount. Plivo sends several signatures
    with commas between them when there are several tokens.
    """
    if "x-plivo-signature-v3" in headers or "x-plivo-signature-ma-v3" in headers:
        nonce = headers.get("x-plivo-signature-v3-nonce", "")
        expected = [v3(token, url, fields, nonce) for token in tokens]
        return 3 if nonce and _any_equal(expected, _given(headers, "v3")) else 0
    nonce = headers.get("x-plivo-signature-v2-nonce", "")
    expected = [v2(token, url, nonce) for token in tokens]
    return 2 if nonce and _any_equal(expected, _given(headers, "v2")) else 0


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", parts.query


def _sign(token: str, text: str) -> str:
    return base64.b64encode(hmac.digest(token.encode(), text.encode("utf-8", "surrogatepass"), "sha256")).decode()


def _given(headers: Mapping[str, str], version: str) -> list[str]:
    texts = [headers.get(f"x-plivo-signature-{kind}{version}", "") for kind in ("", "ma-")]
    return [part.strip() for text in texts for part in text.split(",")][:16]


def _any_equal(expected: list[str], given: list[str]) -> bool:
    return any(hmac.compare_digest(one.encode(), other.encode()) for one in expected for other in given)
