"""Request bodies: read within a bound of bytes and time, and parsed as JSON that means one thing only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Generator, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Message

from gateway.http import headers
from gateway.http.call import Asked, Call
from gateway.http.problems import Problem, invalid, pointer
from gateway.http.reasons import faults
from gateway.http.surface import Surface

DEEPEST = 16
"""Levels of nesting. The deepest request has two."""

_LONGEST_NUMBER = 20  # digits; no request has a number at all
_CLOSE = {"Connection": "close"}  # what is left of the body is not read

T = TypeVar("T", bound=BaseModel)


async def read(request: Asked, most: int, seconds: float) -> bytes:
    """The body, as it came. Raises the problems too_large and request_timeout."""
    if isinstance(request, Call):
        return _bounded(request.body, most)
    begun = _Begun(request.receive())
    if begun.message is None or begun.message.get("more_body", False):
        try:
            async with asyncio.timeout(seconds):
                return await _slow(request, begun, most)
        except TimeoutError:
            raise Problem("request_timeout", headers=_CLOSE) from None
    return _chunk(begun.message, most)


class _Begun:
    """A message that was asked for. Nearly every body is here when its request is, and then needs no deadline, which
    costs more than all else that it takes to read it."""

    def __init__(self, coming: Awaitable[Message]) -> None:
        self._steps = coming.__await__()
        self._first: Any = None
        self.message: Message | None = None
        try:
            self._first = next(self._steps)
        except StopIteration as done:
            self.message = done.value

    def __await__(self) -> Generator[Any, Any, Message]:
        """The message; what it waits for is known, and passed on to the event loop first."""
        if self.message is None:
            yield self._first
            self.message = yield from self._steps
        return self.message


async def _slow(request: Request, begun: _Begun, most: int) -> bytes:
    message, body = await begun, bytearray()
    while True:
        body += _chunk(message, most - len(body))
        if not message.get("more_body", False):
            return bytes(body)
        message = await request.receive()


def _chunk(message: Message, most: int) -> bytes:
    if message["type"] == "http.disconnect":
        raise Problem("request_timeout", headers=_CLOSE)
    return _bounded(message.get("body", b""), most)


def _bounded(chunk: bytes, most: int) -> bytes:
    if len(chunk) > most:
        raise Problem("too_large", headers=_CLOSE)
    return chunk


async def whole(request: Asked, surface: Surface, model: type[T]) -> tuple[T, bytes]:
    """The body of a call that needs one: as a model, and as it came."""
    require_json(request)
    if isinstance(request, Call):
        raw = _bounded(request.body, surface.max_body)
    else:
        raw = await read(request, surface.max_body, surface.body_seconds)
    return understood(model, raw), raw


def require_json(request: Asked) -> None:
    """Raises the problem unsupported_media_type unless the body says that it is JSON, plain and in UTF-8."""
    kind = headers.first(request, b"content-type").lower()
    if kind != "application/json":
        media, *parameters = kind.split(";")
        others = {p.strip().replace('"', "") for p in parameters} - {"charset=utf-8", ""}
        if media.strip() != "application/json" or others:
            raise Problem("unsupported_media_type")
    if headers.first(request, b"content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported_media_type")


def understood(model: type[T], body: bytes) -> T:
    """The body as a model. Raises the problem invalid_request, naming every fault."""
    if _unambiguous(body):
        try:
            return model.model_validate_json(body)
        except ValidationError:
            pass  # told below, of all bodies alike
    value = parse(body)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(faults(error)) from None


def _unambiguous(body: bytes) -> bool:
    """Whether no reader can think otherwise of this, if it is JSON at all, as of nearly every body: nothing but ASCII
    without escapes, no numbers, little nesting and no name twice. Without escapes a quote opens or closes a string, so
    that every second part between quotes is one, and where no string is there twice, no name is."""
    if not body.isascii() or b"\\" in body or body.count(b"{") + body.count(b"[") > DEEPEST:
        return False
    parts = body.split(b'"')
    strings = parts[1::2]
    return len(set(strings)) == len(strings) and not b"".join(parts[::2]).translate(None, _BETWEEN)


_BETWEEN = b"{}[]:, \t\r\n" + b"truefalsenull"
"""What may stand between strings where no number does: those have digits, or are NaN or Infinity."""


def parse(body: bytes) -> Any:
    """JSON of which no reader can think otherwise (RFC 8259, held to I-JSON, RFC 7493): UTF-8, no name twice, no
    number out of bounds, no lone surrogate, no more than 16 levels. Raises the problem invalid_request."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid([("", "the body is not UTF-8")]) from None
    if not text.strip():
        raise invalid([("", "the body is empty: send a JSON object")])
    try:
        value = json.loads(
            text, object_pairs_hook=_Members, parse_int=_integer, parse_float=_decimal, parse_constant=_Unfit
        )
    except RecursionError:
        raise invalid([("", _TOO_DEEP)]) from None
    except json.JSONDecodeError as fault:
        place = f"line {fault.lineno}, column {fault.colno}"
        raise invalid([("", f"the body is not JSON: {fault.msg} at {place}")]) from None
    found = list(_unfit(value, "", 1))
    if found:
        raise invalid(found)
    return _plain(value)


_TOO_DEEP = f"nested more than {DEEPEST} levels deep"


class _Unfit(str):
    """A number that JSON can spell and that no two readers need read alike."""


class _Members(list[tuple[str, Any]]):
    """An object before its names are known to differ."""


def _integer(text: str) -> int | _Unfit:
    return int(text) if len(text) <= _LONGEST_NUMBER else _Unfit(text)


def _decimal(text: str) -> float | _Unfit:
    return float(text) if len(text) <= _LONGEST_NUMBER and abs(float(text)) < 1e300 else _Unfit(text)


def _unfit(value: Any, at: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Unfit):
        yield at, "a number that is out of bounds or not finite"
    elif isinstance(value, str):
        if not _encodable(value):
            yield at, "text with half of a surrogate pair"
    elif isinstance(value, list):
        yield from _unfit_inside(value, at, depth) if depth <= DEEPEST else [(at, _TOO_DEEP)]


def _unfit_inside(value: list[Any], at: str, depth: int) -> Iterator[tuple[str, str]]:
    if not isinstance(value, _Members):
        for index, item in enumerate(value):
            yield from _unfit(item, pointer(at, index), depth + 1)
        return
    seen: set[str] = set()
    for name, item in value:
        here = pointer(at, name)
        if name in seen:
            yield here, "the same name twice in one object"
        if not _encodable(name):
            yield at, "a name with half of a surrogate pair"
        seen.add(name)
        yield from _unfit(item, here, depth + 1)


def _encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _plain(value: Any) -> Any:
    if isinstance(value, _Members):
        return {name: _plain(item) for name, item in value}
    return [_plain(item) for item in value] if isinstance(value, list) else value
