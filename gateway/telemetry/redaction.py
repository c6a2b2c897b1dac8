"""What must never reach a log: codes, full numbers and addresses, keys. And what an exception may say there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from math import isfinite
from pathlib import PurePath
from traceback import TracebackException, walk_tb
from types import TracebackType

HIDDEN = "[hidden]"
MAX_TEXT = 2_000
"""Characters of one value: a vendor's answer must not become a megabyte of log."""

_DEEPEST = 4
_SECRET_FIELDS = frozenset({"code", "otp", "key", "api_key", "secret", "token", "authorization", "password", "cookie"})
_SECRET_ENDINGS = ("_secret", "_token", "_password", "_key")
_SUSPECT = re.compile(
    r"(?P<phone>(?:\+|%2[Bb])\d(?:[ ().-]{0,2}\d){6,})"
    r"|(?P<email>[^\s@<>\"']{1,64}(?:@|%40)[^\s@<>\"',;)]+)"
    r"|(?P<key>otp_[A-Za-z0-9_-]{16,}|whsec_[A-Za-z0-9+/=_-]+)"
)
_NUMBER = re.compile(r"\+\d(?:[ ().-]{0,2}\d){6}")
_MASKED_EMAIL = re.compile(r".\*\*@[A-Za-z0-9.-]+")
_DIGITS = re.compile(r"\d{4,}")


@lru_cache(maxsize=1024)
def secret(field: str) -> bool:
    """Whether a field of that name is hidden, whatever it holds."""
    name = field.lower()
    return name in _SECRET_FIELDS or name.endswith(_SECRET_ENDINGS)


def text(value: str) -> str:
    """The text with every number, address and key in it masked, cut to a bounded length.

    A number is a plus, or its percent form, and seven digits or more. The masked forms that the gateway itself writes
    (+1415*****23, a**@example.org) pass.
    """
    if len(value) > MAX_TEXT:
        value = value[:MAX_TEXT] + "..."
    if "+" in value or "@" in value or "%" in value or "otp_" in value or "whsec_" in value:
        return _SUSPECT.sub(_mask, value)
    return value


def spotless(line: str) -> bool:
    """Whether `text` would leave every value of a line as it is, seen from the whole of it in JSON. Errs on the side of
    no: at a backslash, behind which any character may stand, and at what is long or not ASCII."""
    return (
        line.isascii()
        and len(line) <= MAX_TEXT
        and "@" not in line
        and "%" not in line
        and "\\" not in line
        and "\x7f" not in line
        and "otp_" not in line
        and "whsec_" not in line
        and not ("+" in line and _NUMBER.search(line))
    )


def _mask(match: re.Match[str]) -> str:
    found = match.group()
    if match.lastgroup == "email" and _MASKED_EMAIL.fullmatch(found):
        return found
    return f"[{match.lastgroup}]"


def anything(field: str, value: object, depth: int = 0) -> object:
    """A value made safe to write down: plain data, nothing secret, nothing that the encoder can't take."""
    if secret(field):
        return HIDDEN
    if isinstance(value, str):
        return text(str(value))
    if isinstance(value, BaseException):
        return exception(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _inside(value, depth) if depth < _DEEPEST else HIDDEN
    return value if value is None or isinstance(value, int) else _scalar(value)


def _scalar(value: object) -> object:
    finite = isinstance(value, float) and isfinite(value)  # JSON has no word for the others
    return value if finite else text(str(value))


def _inside(value: Mapping[object, object] | Iterable[object], depth: int) -> object:
    if isinstance(value, Mapping):
        return {text(str(name)): anything(str(name), item, depth + 1) for name, item in value.items()}
    return [text(item) if type(item) is str else anything("", item, depth + 1) for item in value]


def exception(error: BaseException, depth: int = 0) -> dict[str, object]:
    """What an exception says, without lines of source or local variables.

    Its message comes from anywhere, so every run of four digits or more is masked as well: it may be a code.
    """
    said = str(TracebackException(type(error), error, None))  # survives an exception that can't be printed
    told: dict[str, object] = {
        "type": type(error).__qualname__,
        "message": _DIGITS.sub("[digits]", text(said)),
        "frames": list(_frames(error.__traceback__))[-12:],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth < 3:
        told["cause"] = exception(cause, depth + 1)
    if isinstance(error, BaseExceptionGroup) and depth < 3:
        told["group"] = [exception(one, depth + 1) for one in error.exceptions[:5]]
    return told


def _frames(trace: TracebackType | None) -> Iterator[str]:
    for frame, line in walk_tb(trace):
        code = frame.f_code
        yield f"{'/'.join(PurePath(code.co_filename).parts[-3:])}:{line} {code.co_qualname}"


def one_line(value: str) -> str:
    """The text with everything that a terminal might obey (line ends, ANSI, bidi marks) written as an escape."""
    return value if value.isprintable() else "".join(map(_escape, value))


def _escape(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
