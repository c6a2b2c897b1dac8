"""Every way in which a request can fail, as RFC 9457 problems with a stable code; nothing an attacker could use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from math import ceil
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from gateway.service import requests
from gateway.service.engine import Contended
from gateway.service.reports import Unsigned
from gateway.store.steps import Unavailable, Unconfirmed

TYPE = "urn:otp-gateway:problem:"
"""The `type` of a problem is this and its code. A URN, because a self-hosted gateway has no address that all share."""

MOST_ERRORS = 16
"""Faults of one request that are told; more would only echo an attack back."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its HTTP status, a short title, and a detail that says what to do."""

    status: int
    title: str
    detail: str


KINDS: Mapping[str, Kind] = {
    "malformed_http": Kind(400, "No valid HTTP", "Send HTTP/1.1."),
    "unauthenticated": Kind(401, "No valid credentials", "Send Authorization: Bearer and one of the app's API keys."),
    "country_denied": Kind(403, "Country not served", "The policy doesn't send to the number's country."),
    "number_type_denied": Kind(403, "Kind of number not served", "The policy doesn't send to this kind of number."),
    "destination_blocked": Kind(403, "Destination blocked", "Nothing is sent to this destination at present."),
    "opted_out": Kind(403, "Opted out", "The person asked not to get messages on this channel."),
    "fraud_suspected": Kind(403, "Traffic suspected", "Requests like this one look like abuse and are not served."),
    "spend_capped": Kind(403, "Spending capped", "What may be spent is used up; the operator can raise it."),
    "no_channel": Kind(403, "No channel", "No allowed channel reaches this destination."),
    "not_found": Kind(404, "Not found", "There is nothing at this address for this app."),
    "method_not_allowed": Kind(405, "Method not allowed", "Use a method that the Allow header names."),
    "request_timeout": Kind(408, "Body too slow", "Send the whole body at once."),
    "idempotency_in_progress": Kind(
        409, "First request still running", "Repeat it later: the first with this Idempotency-Key has no answer yet."
    ),
    "not_pending": Kind(409, "Not pending", "The verification has ended. Start another one."),
    "too_large": Kind(413, "Body too large", "Send less: the body exceeds the limit."),
    "unsupported_media_type": Kind(
        415, "Not JSON", "Send Content-Type: application/json, in UTF-8 and not compressed."
    ),
    "invalid_request": Kind(422, "Invalid request", "Mend what errors names, and send it again."),
    "invalid_destination": Kind(422, "Invalid destination", "Mend the number or address that errors names."),
    "idempotency_mismatch": Kind(
        422, "Idempotency-Key reused", "This Idempotency-Key belongs to another request: use a new one."
    ),
    "rate_limited": Kind(429, "Rate limited", "Wait for as many seconds as Retry-After says."),
    "head_too_large": Kind(431, "Headers too large", "Send less than 32 kB of headers."),
    "internal_error": Kind(500, "Internal error", "The gateway failed. Its log has the cause, under this instance."),
    "store_unavailable": Kind(
        503, "Store unavailable", "Nobody knows whether it was done: repeat it with the same Idempotency-Key."
    ),
    "overloaded": Kind(503, "Overloaded", "Too much is under way, or this process is stopping: repeat it."),
}
"""By code, which is stable: titles and details may change."""

_PAUSE = {"Retry-After": "1"}
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Problem(Exception):
    """A request that can't be served. `facts` are further members of the answer: rule, limit, errors."""

    def __init__(
        self, code: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **facts: object
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.facts = facts


def invalid(faults: Iterable[tuple[str, str]], code: str = "invalid_request") -> Problem:
    """The problem with these faults: a JSON pointer into the request and a reason each."""
    errors = [{"pointer": pointer, "reason": reason} for pointer, reason in islice(faults, MOST_ERRORS)]
    return Problem(code, errors=errors)


_TELLABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")


def pointer(parent: str, name: str | int) -> str:
    """The JSON pointer (RFC 6901) of a member. A name that the caller made up may hold a number or an address, and is
    then not repeated: the pointer ends at its parent."""
    if isinstance(name, int):
        return f"{parent}/{name}"
    plain = _TELLABLE.fullmatch(name) and not re.search("[0-9]{4}", name)
    return f"{parent}/{name}" if plain else parent


def alone(code: str) -> bytes:
    """The whole answer to what never became a request, or whose work was broken off: without an id, and the last one on
    its connection."""
    kind = KINDS[code]
    said = {"type": TYPE + code, "title": kind.title, "status": kind.status, "detail": kind.detail, "code": code}
    body = json.dumps(said).encode()
    head = f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}\r\ncontent-type: application/problem+json\r\n"
    head += "retry-after: 1\r\n" if kind.status == 503 else ""
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


def respond(problem: Problem, request_id: str) -> Response:
    """The answer to the request of that id."""
    kind = KINDS[problem.code]
    body: dict[str, Any] = {
        "type": TYPE + problem.code,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail or kind.detail,
        "instance": f"urn:uuid:{request_id}",
        "code": problem.code,
        **problem.facts,
    }
    return JSONResponse(body, kind.status, dict(problem.headers), media_type="application/problem+json")


def _limited(error: requests.Limited) -> Problem:
    """IETF draft-ietf-httpapi-ratelimit-headers-10 §3 and §4: both fields are lists of RFC 9651 items. Seconds are
    rounded up: who waits that long is not refused again."""
    seconds = max(1, ceil(error.wait / 1000))
    name = _sf_string(error.limit)
    headers = {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f"{name};q={error.amount};w={ceil(error.window / 1000)}",
        "RateLimit": f"{name};r=0;t={seconds}",
    }
    return Problem("rate_limited", _together(error.unnamed), headers=headers, limit=error.limit)


def _together(unnamed: tuple[str, ...]) -> str:
    """What an app has to change whose starts are all counted as one client's; "" where they are not."""
    if not unnamed:
        return ""
    fields = " and ".join(unnamed)
    return (
        f"This limit counts by {fields}, and all starts that leave it out together, as this one does. Name it in every "
        "start; this one can pass after as many seconds as Retry-After says."
    )


def _sf_string(text: str) -> str:
    """An RFC 9651 string: printable ASCII, with its quotes and backslashes escaped."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _invalid_field(error: requests.InvalidField) -> Problem:
    code = "invalid_destination" if error.destination else "invalid_request"
    return invalid([(error.pointer, error.reason)], code)


def _denied(error: requests.Denied) -> Problem:
    return Problem(error.code, error.detail, rule=error.rule)


def _http(error: HTTPException) -> Problem:
    """What the router itself refuses: it knows no other reasons than these two."""
    return Problem("method_not_allowed" if error.status_code == 405 else "not_found", headers=error.headers)


_UNSIGNED = "The callback's signature is missing or wrong."

_UNCONFIRMED = "Whether it was done is not certain yet. Repeat the request with the same Idempotency-Key to learn it."

CAUSES: Mapping[type[Exception], Callable[[Any], Problem]] = {
    Problem: lambda error: error,
    requests.NotFound: lambda _: Problem("not_found"),
    requests.NotPending: lambda _: Problem("not_pending"),
    requests.InvalidField: _invalid_field,
    requests.Denied: _denied,
    requests.Limited: _limited,
    requests.Overloaded: lambda _: Problem("overloaded", headers=_PAUSE),
    requests.InProgress: lambda _: Problem("idempotency_in_progress", headers=_PAUSE),
    requests.Mismatched: lambda _: Problem("idempotency_mismatch"),
    Unsigned: lambda _: Problem("unauthenticated", _UNSIGNED, headers={"WWW-Authenticate": "Signature"}),
    Contended: lambda _: Problem("overloaded", headers=_PAUSE),
    Unconfirmed: lambda _: Problem("store_unavailable", _UNCONFIRMED, headers=_PAUSE),
    Unavailable: lambda _: Problem("store_unavailable", headers=_PAUSE),
    HTTPException: _http,
}
"""Which problem an exception of the service, the store or the router becomes."""


def unauthenticated() -> Problem:
    return Problem("unauthenticated", headers=_CHALLENGE)


def answer(error: Exception, request_id: str) -> Response:
    """The problem that an exception of CAUSES becomes."""
    cause = next(CAUSES[cls] for cls in type(error).__mro__ if cls in CAUSES)
    return respond(cause(error), request_id)


async def _handle(request: Request, error: Exception) -> Response:
    return answer(error, request.state.request_id)


EXCEPTION_HANDLERS: Mapping[Any, ExceptionHandler] = dict.fromkeys(CAUSES, _handle)
