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
        self.told = told

    @property
    def raw_headers(self) -> list[Header]:  # type: ignore[override]  # the library's own is made at once, and may be changed
        """All of them, for who sends them one by one."""
        return [*self.told, (b"content-length", b"%d" % len(self.body)), (b"content-type", _JSON)]

    @property
    def lines(self) -> bytes:
        """The same, as they go over the wire."""
        told = b"".join([b"%s: %s\r\n" % header for header in self.told]) if self.told else b""
        return b"%scontent-length: %d\r\ncontent-type: %s\r\n" % (told, len(self.body), _JSON)


class Nothing(Answer):
    """An answer that says all that it says by its status: a 204, mostly, which has no length (RFC 9110 §8.6)."""

    def __init__(self, status: int = 204) -> None:
        super().__init__(b"", status)

    @property
    def raw_headers(self) -> list[Header]:  # type: ignore[override]  # see Answer
        return [] if self.status_code == 204 else [(b"content-length", b"0")]

    @property
    def lines(self) -> bytes:
        return b"" if self.status_code == 204 else b"content-length: 0\r\n"
