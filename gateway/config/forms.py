"""How single values are written in the configuration, and what is said to who writes them otherwise."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from gateway.core.codes import Malformed, normalise
from policies import destination

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def _name(text: str) -> str:
    """Names appear in addresses, metrics and file names."""
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            "not a usable name: write lower-case letters, digits, hyphens and underscores, a letter first, 63 at most"
        )
    return text


Name = Annotated[str, AfterValidator(_name)]


def _purpose(text: str) -> str:
    return text if text == "*" else _name(text)


Purpose = Annotated[str, AfterValidator(_purpose)]


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("not a network: write an address or a range, such as 10.0.0.0/8 or fd00::/8") from None


Network = Annotated[str, AfterValidator(_network)]


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an address: write one such as https://otp.example.org")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("has more than an address: write only the scheme, the host and if need be a port and a path")
    return text.rstrip("/")


PublicUrl = Annotated[str, AfterValidator(_public_url)]


_HOSTS = r"[^\s/?#,]+(,[^\s/?#,]+)*"
_WATCHED = re.compile(rf"rediss?\+(sentinel://{_HOSTS}/[A-Za-z0-9._-]+(/[0-9]+)?|cluster://{_HOSTS}/?)")


def _store_url(text: str) -> str:
    if text == "embedded" or re.fullmatch(r"unix:///\S+", text):
        return text
    if "@" in urlsplit(text).netloc:
        raise ValueError("a password is never written in the configuration: write store.username and store.password")
    if _WATCHED.fullmatch(text):
        return text
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "not a store: write embedded, unix:///path, redis://host:6379/0, rediss://host:6379/0, "
            "redis+sentinel://host:26379,host:26379/group/0 or redis+cluster://host:6379,host:6379"
        )
    return text


StoreUrl = Annotated[str, AfterValidator(_store_url)]


def _sha256(text: str) -> str:
    if text.startswith("otp_"):
        raise ValueError(
            "the key itself is never written in the configuration: write what `otp-gateway keys hash` says"
        )
    if re.fullmatch(r"[0-9a-f]{64}", text.lower()) and text != text.lower():
        raise ValueError("has capital letters: write them small, as `otp-gateway keys new` prints them")
    if re.fullmatch(r"[0-9a-f]{64}", text) is None:
        raise ValueError("not a SHA-256: write the 64 hexadecimal digits that `otp-gateway keys new` prints")
    return text


Sha256 = Annotated[str, AfterValidator(_sha256)]


def _written(pattern: str, fault: str) -> AfterValidator:
    """Text that matches as a whole, or the fault."""

    def checked(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(fault)
        return text

    return AfterValidator(checked)


Locale = Annotated[
    str, _written(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", "not a language tag: write one such as en or pt-BR")
]
Prefix = Annotated[
    str,
    _written(  # a brace would move the hash tag that keeps a verification's keys in one slot of a cluster
        r"[A-Za-z0-9_.:-]{1,32}",
        "not a usable prefix: write 1 to 32 letters, digits, dots, colons, hyphens and underscores",
    ),
]
Currency = Annotated[str, _written(r"[A-Z]{3}", "not a currency: write its three ISO 4217 letters, such as USD")]


def _destination(to: str) -> str:
    """The number or the mailbox in its one spelling."""
    try:
        return destination.email(to).key if "@" in to else destination.phone(to).e164
    except destination.Invalid as fault:
        raise ValueError(f"not a destination: write another. {fault.reason}") from None


def _code(text: str) -> str:
    """As a check compares it."""
    try:
        return normalise(text)
    except Malformed as fault:
        raise ValueError(f"{fault}: write one such as 123456 in quotes") from None


TestDestinations = dict[Annotated[str, AfterValidator(_destination)], Annotated[str, AfterValidator(_code)]]
