"""An answer in JSON whose bytes are known: what most calls give back."""

from __future__ import annotations

from starlette.responses import Response

Header = tuple[bytes, bytes]
_JSON = b"application/json"


class Answer(Response):
    """A response made without the library's work for all the others: it adds no charset and encodes no text. What a
    caller wrote stands in none of its headers."""

    def __init__(self, content: bytes, status: int = 200, told: tuple[Header, ...] = ()) -> None:
        """`told` are headers beside the type and the length, with their names in lower case."""
        self.status_code = status
        self.body = content
        self.background = None
        self.raw_headers = [*told, (b"content-length", b"%d" % len(content)), (b"content-type", _JSON)]


class Nothing(Answer):
    """An answer that says all that it says by its status: a 204, mostly, which has no length (RFC 9110 §8.6)."""

    def __init__(self, status: int = 204) -> None:
        self.status_code = status
        self.body = b""
        self.background = None
        self.raw_headers = [] if status == 204 else [(b"content-length", b"0")]
