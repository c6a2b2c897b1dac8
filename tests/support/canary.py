"""Canaries: marked codes, numbers, addresses and keys, and the search for them in whatever came out of a system."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret with a name to report it by. Choose secrets that appear nowhere by chance: 8 characters or more."""

    name: str
    secret: str

    def __post_init__(self) -> None:
        if len(self.secret) < 8:
            raise ValueError(f"{self.name}: a canary of under 8 characters turns up by chance")

    def __repr__(self) -> str:
        return f"Canary({self.name})"


def found(canaries: Iterable[Canary], places: Mapping[str, str | bytes]) -> list[str]:
    """Every canary in every place, as 'name in place', whatever its spelling there: plain, in another case, quoted for
    a URL, escaped, with separators between its digits, in UTF-16, in hex or in base64."""
    return [
        f"{canary.name} in {place}"
        for place, content in places.items()
        for canary in canaries
        if _in(canary, content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    ]


def _in(canary: Canary, content: bytes) -> bool:
    lower = content.lower()
    if any(form.lower() in lower for form in _plain(canary.secret)) or any(
        f in content for f in _base64(canary.secret)
    ):
        return True
    number = _number(canary.secret)
    return number is not None and number.search(content) is not None


def _plain(secret: str) -> Iterator[bytes]:
    raw = secret.encode()
    yield from {raw, raw.hex().encode(), quote(secret, safe="").encode(), quote_plus(secret).encode()}
    yield from {ascii(secret)[1:-1].encode(), secret.encode("utf-16-le")}
    if secret.startswith("+"):
        yield secret[1:].encode()


def _base64(secret: str) -> Iterator[bytes]:
    """What base64 makes of it at each of the three places where it can begin."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode())
        core = encoded[(before * 8 + 5) // 6 : (before + len(secret.encode())) * 8 // 6]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def _number(secret: str) -> re.Pattern[bytes] | None:
    digits = secret.removeprefix("+")
    if not digits.isdigit():
        return None
    return re.compile(b"[ ().-]{0,2}".join(digit.encode() for digit in digits))
